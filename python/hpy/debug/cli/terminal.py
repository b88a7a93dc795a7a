"""What depends on who looks: colour, and progress of what takes long."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TextIO, TypeVar

_Item = TypeVar("_Item")
_DELAY = 0.5  # seconds before anything is shown, and between two changes
_INTERVAL = 0.1


def wants_color(stream: TextIO) -> bool:
    """Whether to colour: on a terminal, unless NO_COLOR is set; anywhere, when FORCE_COLOR is."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class Progress:
    """A line on the terminal that says how far it is; nothing where standard error is none.

    with Progress("reading out.jsonl", total=size) as progress:
        progress.at(position)
    """

    def __init__(self, what: str, total: int, stream: TextIO | None = None) -> None:
        self._what, self._total = what, total
        self._stream = stream if stream is not None else sys.stderr
        self._on = self._stream is not None and self._stream.isatty() and total > 0
        self._next = time.monotonic() + _DELAY
        self._shown = False

    def at(self, done: int) -> None:
        """Shows it, when the last time is long enough ago."""
        if not self._on or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _INTERVAL
        percent = min(100, 100 * done // self._total)
        self._stream.write(f"\r\x1b[K{self._what}: {percent} %")
        self._stream.flush()
        self._shown = True

    def over(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """The items, one step each."""
        for done, item in enumerate(items):
            self.at(done)
            yield item

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
