"""--hpy-debug-loop: tells caches from leaks by running the body of a test several times.

A cache opens handles in the first round, a leak in every one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import pytest

from hpy.debug.violation import Violation


class Loop:
    """The rounds of one test. `leaks` tells what it has left open so far."""

    def __init__(
        self, item: pytest.Item, rounds: int, leaks: Callable[[], list[Violation]]
    ) -> None:
        self._item = item
        self._rounds = rounds
        self._leaks = leaks
        self._counts: list[Counter[Hashable]] = []

    def install(self) -> None:
        """From now on item.runtest() runs the body as often as was asked for."""
        run_once = self._item.runtest

        def run_all() -> None:
            __tracebackhide__ = True
            for _ in range(self._rounds):
                run_once()
                # unittest keeps exceptions aside; the first round that fails is the last.
                if getattr(self._item, "_excinfo", None):
                    return
                counts: Counter[Hashable] = Counter()
                for leak in self._leaks():
                    counts[site_of(leak)] += leak.count
                self._counts.append(counts)

        self._item.runtest = run_all  # type: ignore[method-assign]

    def remove(self) -> None:
        """Undoes install()."""
        vars(self._item).pop("runtest", None)

    def grows(self, leak: Violation) -> bool:
        """Whether its place left more open in each round after the first."""
        site = site_of(leak)
        # When the first round failed there are none to compare, and every place may be one.
        return all(
            after[site] > before[site] for before, after in zip(self._counts, self._counts[1:])
        )


def site_of(leak: Violation) -> Hashable:
    """Equal for leaks from the same place of the extension."""
    stack = leak.opened
    frames: Any = () if stack is None else stack.native
    keys = ("library", "offset", "function", "line")
    where = tuple(tuple(frame[key] for key in keys) for frame in frames)
    return leak.kind, leak.module, leak.function, where
