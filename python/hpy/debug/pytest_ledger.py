"""Who opened what: the time of a test run, in generations, shared out among tests and fixtures.

A generation is a point in the order in which handles are opened, so it is enough to note one where
the code in charge changes: what was opened in between, and is still open when its owner is done,
are the owner's leaks. As long as the native module is not loaded there is nothing to note.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpy.debug.native import loaded, native

if TYPE_CHECKING:
    from _pytest.nodes import Node

    from hpy.debug._native import DebugHandle


@dataclass
class Owner:
    """A test or a fixture. `node` is what its markers are looked up at; `times` are generations."""

    name: str
    node: Node
    times: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Leak:
    """`handle` is None for what is no handle: a builder or a tracker. `story` is its JSON."""

    handle: DebugHandle | None
    story: str


class Ledger:
    """Begins with nobody in charge."""

    def __init__(self) -> None:
        self._owners: list[Owner] = []
        self._since = 0

    @property
    def current(self) -> Owner | None:
        """Who is in charge now."""
        return self._owners[-1] if self._owners else None

    def push(self, owner: Owner) -> None:
        """`owner` is in charge from now on, until pop()."""
        self.note()
        self._owners.append(owner)

    def pop(self, owner: Owner) -> None:
        """Ends the time of `owner`, and of whoever began after it and did not end."""
        self.note()
        if owner in self._owners:
            del self._owners[self._owners.index(owner) :]

    def note(self) -> None:
        """What was opened until now belongs to the one in charge."""
        if not loaded():
            return
        now = native()._debug.new_generation()
        owner = self.current
        if owner is not None:
            owner.times.append((self._since, now))
        self._since = now


def leaks_of(owner: Owner) -> list[Leak]:
    """What `owner` opened that is open now, oldest first.

    Where there is something, the garbage is collected first: an object in a cycle may close it.
    """
    found = _leaks_of(owner)
    if found:
        gc.collect()
        found = _leaks_of(owner)
    return found


def _leaks_of(owner: Owner) -> list[Leak]:
    found: list[Leak] = []
    for since, until in _merged(owner.times):
        opened = _open_since(since)
        if not opened:
            continue
        later = Counter(leak.story for leak in _open_since(until))
        for leak in opened:
            if later[leak.story] > 0:
                later[leak.story] -= 1
            else:
                found.append(leak)
    return found


def _open_since(generation: int) -> list[Leak]:
    if not loaded():
        return []
    handles, stories = native().leak_report(generation)
    leaks = [Leak(handle, story) for handle, story in zip(handles, stories)]
    return leaks + [Leak(None, story) for story in stories[len(handles) :]]


def _merged(times: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without what lies between times that follow each other."""
    merged: list[tuple[int, int]] = []
    for since, until in times:
        if merged and merged[-1][1] == since:
            merged[-1] = (merged[-1][0], until)
        else:
            merged.append((since, until))
    return merged
