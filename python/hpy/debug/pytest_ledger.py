"""Who opened what: the time of a test run, in generations, shared out among tests and fixtures.

A generation is a point in the order in which handles are opened, so it is enough to note one where
the code in charge changes: what was opened in between, and is still open when its owner is done,
are the owner's leaks. As long as the native module is not loaded there is nothing to note.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Optional

from hpy.debug import reporting
from hpy.debug.native import loaded, native
from hpy.debug.violation import Violation

if TYPE_CHECKING:
    from _pytest.nodes import Node

    from hpy.debug._native import DebugHandle

    Ignore = Optional[Callable[[DebugHandle], object]]


@dataclass
class Owner:
    """A test or a fixture. `node` is what its markers are looked up at; `times` are generations."""

    name: str
    node: Node
    times: list[tuple[int, int]] = field(default_factory=list)


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


def leaks_of(owner: Owner, ignore: Ignore = None) -> list[Violation]:
    """What `owner` opened that is open now: one for each place, with a count.

    Where there is something, the garbage is collected first: an object in a cycle may close it.
    `ignore(handle)` leaves a handle out.
    """
    found = list(_find(owner, ignore))
    if found:
        gc.collect()
        found = list(_find(owner, ignore))
    return [Violation.from_json(story) for story, _, _ in found]


def report_leaks_of(
    owner: Owner, ignore: Ignore, wanted: Callable[[Violation], bool]
) -> list[Violation]:
    """Appends those that are wanted to the report file, if they are new, and tells subscribers.

    Returns those that no suppression is about.
    """

    def wants(story: str) -> bool:
        return wanted(Violation.from_json(story))

    found = [leak for leak in _find(owner, ignore, wants) if wants(leak[0])]
    return [leak.violation for leak in reporting.report_found(found)]


def _find(
    owner: Owner, ignore: Ignore, report: bool | Callable[[str], bool] = False
) -> Iterator[tuple[str, str | None, list[DebugHandle]]]:
    if not loaded():
        return
    for since, until in _merged(owner.times):
        yield from reporting.find_leaks(since, ignore, report, until=until)


def _merged(times: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without what lies between times that follow each other."""
    merged: list[tuple[int, int]] = []
    for since, until in times:
        if merged and merged[-1][1] == since:
            merged[-1] = (merged[-1][0], until)
        else:
            merged.append((since, until))
    return merged
