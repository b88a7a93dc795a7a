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
    """

    def __init__(self, message: str = "", violation: Violation | None = None) -> None:
        super().__init__(message)
        self.violation = violation
        self._message = message

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> tuple[Any, ...]:
        # The class may be one made by error_class(), which pickle cannot find.
        also = getattr(type(self), "_also", None)
        return _rebuild_error, (also, self._message, self.violation)


class HPyLeakError(HPyDebugError):
    """Handles were left open.

    `leaks` are they, as DebugHandle objects; `violations` says of each what is known. The text was
    made when the error was: a DebugHandle shows what its record holds now.
    """

    def __init__(self, leaks: Sequence[DebugHandle], violations: Sequence[Violation] = ()) -> None:
        super().__init__(leak_text(leaks, violations), violations[0] if violations else None)
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

    After stop(), `leaks` has what it found, as DebugHandle objects, and `violations` the stories.
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
        leaks, stories = native().leak_report(self.generation)
        if self._ignore is not None:
            kept = [not self._ignore(leak) for leak in leaks]
            stories = [s for i, s in enumerate(stories) if i >= len(kept) or kept[i]]
            leaks = [leak for leak, keep in zip(leaks, kept) if keep]
        violations = [Violation.from_json(story) for story in stories]
        kept = reporting.report_leaks(stories, violations)
        self.leaks = [leak for leak, keep in zip(leaks, kept) if keep]
        self.violations = [violation for violation, keep in zip(violations, kept) if keep]
        if self.leaks or self.violations:
            raise HPyLeakError(self.leaks, self.violations)

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


def leaks(since: int = 0) -> list[Violation]:
    """What extensions have opened and not closed so far, oldest first, without raising.

    With `configure(long_lived=True)` also the notes about handles that outlived their call. `since`
    is a generation (LeakDetector().generation): only what was opened from then on.
    """
    return [Violation.from_json(story) for story in native().leak_report(since)[1]]


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
    error._message = message
    return error


def report_at_exit() -> None:
    """At the end of a program in which no detector ran: what is still open goes to the report."""
    if LeakDetector._ran or settings.current()["report"] is None:
        return
    _, stories = native().leak_report(0)
    reporting.report_leaks(stories, [Violation.from_json(story) for story in stories])
