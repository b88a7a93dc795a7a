"""LeakDetector, and the errors of debug mode.

    with hpy.debug.LeakDetector():
        mymodule.function()        # HPyLeakError if it leaves handles open behind it

It looks at extensions that are loaded in debug mode and switches that on for none: where there is
none, it does nothing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast

from hpy.debug import reporting, settings
from hpy.debug.leak_text import leak_text
from hpy.debug.native import native
from hpy.debug.violation import Violation

if TYPE_CHECKING:
    from hpy.debug._native import DebugHandle

_Function = TypeVar("_Function", bound=Callable[..., Any])


class HPyDebugError(Exception):
    """A mistake of an extension, found by debug mode.

    `violation` says everything that is known of it; None where the error is about no single one.
    The text is the whole report, with the lines of source, which are read when it is asked for.
    """

    def __init__(
        self, message: str | Callable[[], str] = "", violation: Violation | None = None
    ) -> None:
        super().__init__(*([message] if isinstance(message, str) else ()))
        self.violation = violation
        self._text = message

    @property
    def _message(self) -> str:
        if not isinstance(self._text, str):
            try:
                self._text = self._text()
            except Exception:  # at the end of the program, say: a text without the lines
                self._text = str(self.violation)
            self.args = (self._text,)
        return self._text

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> tuple[Any, ...]:
        # The class may be one made by error_class(), which pickle cannot find.
        also = getattr(type(self), "_also", None)
        return _rebuild_error, (also, self._message, self.violation)


class HPyLeakError(HPyDebugError):
    """Handles, builders or trackers were left open.

    `violations` says what is known, those with the same stacks in one with a `count`; `leaks` are
    the handles, as LeakDetector.leaks. The text was made when the error was: a DebugHandle shows
    what its record holds now. `of` has the handles of each violation, in the same order.
    """

    def __init__(
        self,
        leaks: Sequence[DebugHandle],
        violations: Sequence[Violation] = (),
        of: Sequence[Sequence[DebugHandle]] | None = None,
    ) -> None:
        text = leak_text(leaks, violations, of)
        super().__init__(text, violations[0] if violations else None)
        self.args = ()
        self.leaks = list(leaks)
        self.violations = list(violations)

    def __reduce__(self) -> tuple[Any, ...]:
        # To another process go the text and the violations: handles are of this one.
        return _rebuild_leak_error, (self._message, self.violations)


class LeakDetector:
    """Finds handles that were opened since start() and are still open at stop().

    A context manager, and a decorator of functions (also async and generator functions), which
    watches each call of its own. Detectors may be nested: each reports what was opened since its
    own start. `ignore(leak)` is asked about each DebugHandle, and a true answer leaves it out; so
    do the suppressions in force (hpy.debug.suppressions), but not out of the report file.

    After stop(), `violations` has what it found: handles, builders and trackers, those with the
    same stacks in one with a `count`. `leaks` has the handles, as DebugHandle objects: all of them,
    or where there are more than 10000 the first 20 of each stack.
    """

    _ran = False  # whether any detector was started in this process

    def __init__(self, *, ignore: Callable[[DebugHandle], object] | None = None) -> None:
        if ignore is not None and not callable(ignore):
            raise TypeError(f"ignore must be a function of a leak, or None; it is {ignore!r}")
        self.generation: int | None = None
        self.leaks: list[DebugHandle] = []
        self.violations: list[Violation] = []
        self._ignore = ignore

    def start(self) -> None:
        """From now on handles count. ValueError when it was started before."""
        if self.generation is not None:
            raise ValueError("LeakDetector already started")
        self.generation = native()._debug.new_generation()
        LeakDetector._ran = True

    def stop(self) -> None:
        """Raises HPyLeakError when there are leaks. May be called again, and then looks again.

        ValueError when start() was not called.
        """
        if self.generation is None:
            raise ValueError("LeakDetector not started yet")
        self.leaks, self.violations = [], []
        found = reporting.find_leaks(self.generation, self._ignore, report=True)
        if not found:
            return
        kept = reporting.report_found(found)
        self.violations = [leak.violation for leak in kept]
        handles = [handle for leak in kept for handle in leak.handles]
        self.leaks = sorted(handles, key=lambda handle: handle._order)
        if kept:
            raise HPyLeakError(self.leaks, self.violations, [leak.handles for leak in kept])

    def __enter__(self) -> LeakDetector:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __call__(self, function: _Function) -> _Function:
        if not inspect.isroutine(function) and not isinstance(function, functools.partial):
            raise TypeError(f"LeakDetector decorates functions; {function!r} is none")
        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def watch_async_generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                with self._for_one_call():
                    async for item in function(*args, **kwargs):
                        yield item

            return cast(_Function, watch_async_generator)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def watch_coroutine(*args: Any, **kwargs: Any) -> Any:
                with self._for_one_call():
                    return await function(*args, **kwargs)

            return cast(_Function, watch_coroutine)
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def watch_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                with self._for_one_call():
                    result = yield from function(*args, **kwargs)
                return result

            return cast(_Function, watch_generator)

        @functools.wraps(function)
        def watch(*args: Any, **kwargs: Any) -> Any:
            with self._for_one_call():
                return function(*args, **kwargs)

        return cast(_Function, watch)

    def _for_one_call(self) -> LeakDetector:
        """Calls may be nested or at the same time, so each has a detector."""
        return LeakDetector(ignore=self._ignore)


def leaks(since: int = 0, *, long_lived: bool | None = None) -> list[Violation]:
    """What extensions have opened and not closed so far, without raising: handles, oldest first,
    then builders and trackers. Those with the same stacks are one, with a `count`.

    `since` is a generation (LeakDetector().generation): only what was opened from then on.
    `long_lived` adds notes about the handles among them that outlived the call which opened them;
    None: if the setting of that name is on.
    """
    if long_lived is None:
        long_lived = bool(settings.get("long_lived"))
    found = reporting.find_leaks(since, long_lived=long_lived)
    return [Violation.from_json(story) for story, _, _ in found]


_error_classes: dict[type[BaseException], type[HPyDebugError]] = {}


def error_class(also: type[BaseException] | None) -> type[HPyDebugError]:
    """HPyDebugError, or a subclass that `except also` catches too."""
    if also is None or issubclass(HPyDebugError, also):
        return HPyDebugError
    if issubclass(also, HPyDebugError):
        return also
    if also not in _error_classes:
        names = {"__module__": __name__, "__qualname__": "HPyDebugError", "_also": also}
        made = type("HPyDebugError", (HPyDebugError, also), names)
        _error_classes[also] = cast("type[HPyDebugError]", made)
    return _error_classes[also]


def _rebuild_error(
    also: type[BaseException] | None, message: str, violation: Violation | None
) -> HPyDebugError:
    return error_class(also)(message, violation)


def _rebuild_leak_error(message: str, violations: list[Violation]) -> HPyLeakError:
    error = HPyLeakError((), violations)
    error._text = message
    return error


def report_at_exit() -> None:
    """At the end of a program in which no detector ran: what is still open goes to the report."""
    if settings.current()["report"] is None:
        return
    native().flush_notes()
    if LeakDetector._ran:
        return
    reporting.report_found(reporting.find_leaks(0, report=True))
