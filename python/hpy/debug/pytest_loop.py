"""--hpy-debug-loop: tells caches from leaks by running the body of a test several times.

A cache opens handles in the first round, a leak in every one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pytest

from hpy.debug.pytest_ledger import Leak
from hpy.debug.violation import Violation


class Loop:
    """The rounds of one test. `leaks` tells what it has left open so far."""

    def __init__(self, item: pytest.Item, rounds: int, leaks: Callable[[], list[Leak]]) -> None:
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
                self._counts.append(Counter(site_of(leak) for leak in self._leaks()))

        self._item.runtest = run_all  # type: ignore[method-assign]

    def remove(self) -> None:
        """Undoes install()."""
        vars(self._item).pop("runtest", None)

    def growing(self, leaks: Sequence[Leak]) -> list[Leak]:
        """Those from places that left more open in each round after the first."""
        rounds = list(zip(self._counts, self._counts[1:]))
        if not rounds:  # the first one failed
            return list(leaks)
        return [
            leak
            for leak in leaks
            if all(after[site_of(leak)] > before[site_of(leak)] for before, after in rounds)
        ]


def site_of(leak: Leak) -> Hashable:
    """Equal for leaks from the same place of the extension."""
    violation = Violation.from_json(leak.story)
    stack = violation.opened
    frames: Any = () if stack is None else stack.native
    keys = ("library", "offset", "function", "line")
    where = tuple(tuple(frame[key] for key in keys) for frame in frames)
    return violation.kind, violation.module, violation.function, where
