"""Violations on their way from the native code to Python: errors, warnings and subscribers."""

from __future__ import annotations

import contextlib
import functools
import sys
import traceback
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from hpy.debug import suppressions
from hpy.debug.native import loaded, native
from hpy.debug.violation import HPyDebugWarning, Violation

if TYPE_CHECKING:
    from hpy.debug._native import DebugHandle
    from hpy.debug.cli.terminal import Progress

_MANY_STACKS = 100  # fewer are read before a person wonders
_subscribers: list[Subscription] = []
_last_words = -1


class Leak(NamedTuple):
    """What was opened at one place: `violation.count` of them, and the first of the handles."""

    violation: Violation
    handles: list[DebugHandle]


class Subscription:
    """What on_violation() returns; cancel() ends it, and so does leaving a `with` block."""

    def __init__(self, callback: Callable[[Violation], object]) -> None:
        self._callback = callback

    def cancel(self) -> None:
        """The callback is not called any more. May be called again."""
        if self in _subscribers:
            _subscribers.remove(self)
        if not _subscribers and loaded():
            native().set_violation_callback(None)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()


def on_violation(callback: Callable[[Violation], object]) -> Subscription:
    """Calls `callback(violation)` for every violation and every leak from now on.

    Under every policy, and before it takes effect. An exception that the callback raises is printed
    on standard error and changes nothing.
    """
    if not callable(callback):
        raise TypeError(f"the callback must be a function of a Violation; it is {callback!r}")
    native()  # ImportError says why there will be no violation
    return subscribe(callback)


def subscribe(callback: Callable[[Violation], object]) -> Subscription:
    """on_violation() that imports nothing native: that is done where it is first needed."""
    subscription = Subscription(callback)
    _subscribers.append(subscription)
    if loaded():
        native().set_violation_callback(_tell_subscribers_of_json)
    return subscription


def set_last_words(descriptor: int) -> int:
    """A report that ends the process is written to this file descriptor, which becomes standard
    error; -1: to what standard error is then. Returns the one before. Imports nothing native."""
    global _last_words
    previous, _last_words = _last_words, descriptor
    if loaded():
        native().configure_native("last_words", descriptor)
    return previous


def find_leaks(
    since: int,
    ignore: Callable[[DebugHandle], object] | None = None,
    report: bool | Callable[[str], object] = False,
    long_lived: bool = False,
    until: int | None = None,
) -> list[tuple[str, str | None, list[DebugHandle]]]:
    """What native().find_leaks() finds; a line on the terminal shows how far it is with many."""
    with contextlib.ExitStack() as stack:
        line: list[Progress] = []

        def at(done: int, total: int) -> None:
            if not line and total >= _MANY_STACKS:
                from hpy.debug.cli.terminal import Progress

                line.append(stack.enter_context(Progress("hpy.debug: reading stacks", total)))
            for shown in line:
                shown.at(done)

        on = sys.stderr is not None and sys.stderr.isatty()
        progress = at if on else None
        found: list[tuple[str, str | None, list[DebugHandle]]]
        found = native().find_leaks(since, ignore, report, long_lived, until, progress)
        return found


def report_found(found: Sequence[tuple[str, str | None, list[DebugHandle]]]) -> list[Leak]:
    """Appends what is new of what find_leaks(report=True) found, and tells the subscribers.

    Returns those that are to be shown: not those which a suppression is about, which counts once.
    Detectors may be nested, and look again, but a leak is told once: the native module knows.
    """
    leaks = [Leak(Violation.from_json(story), handles) for story, _, handles in found]
    shown = [_report_leak(fresh, leak.violation) for (_, fresh, _), leak in zip(found, leaks)]
    return [leak for leak, show in zip(leaks, shown) if show]


def _report_leak(fresh: str | None, violation: Violation) -> bool:
    """`fresh` is the line about what was not told yet of a leak. Whether it is to be shown."""
    # First to the report file, which has everything, also when the suppressions cannot be read.
    if fresh is not None:
        native().append_report(fresh)
    known = suppressions.active()
    if fresh is None:
        return not known.know(violation)
    new = Violation.from_json(fresh)
    keep = not known.suppresses(new)
    if keep:
        _tell_subscribers(new)
    return keep


def connect(module: Any) -> None:
    """Gives the native module the functions that make our errors and warnings."""
    module.set_error_factory(_make_error)
    module.set_warning_factory(_issue_warning)
    if _subscribers:
        module.set_violation_callback(_tell_subscribers_of_json)
    if _last_words != -1:
        module.configure_native("last_words", _last_words)
    module.set_suppression_callback(_is_suppressed)


def _is_suppressed(story: str) -> bool:
    """Whether nothing is to be heard of a mistake but its line in the report file. Counts it.

    Asked once for each mistake, before the subscribers and the policy.
    """
    try:
        known = suppressions.active()
    except suppressions.SuppressionError as error:
        _tell_once(f"suppressions are not used: {error}")
        return False
    return bool(known) and known.suppresses(Violation.from_json(story))


@functools.cache
def _tell_once(message: str) -> None:
    if sys.stderr is not None:
        print(f"hpy.debug: {message}", file=sys.stderr)


def _make_error(story: str, also: type[BaseException] | None) -> BaseException:
    from hpy.debug.leakdetector import error_class

    violation = Violation.from_json(story)
    return error_class(also)(functools.partial(report_of, story), violation)


def _issue_warning(story: str) -> None:
    # Level 2 is the Python code that called the extension: native code has no frame.
    warnings.warn(HPyDebugWarning(warning_text(story), Violation.from_json(story)), stacklevel=2)


def report_of(story: str) -> str:
    """The report of one violation, without the summary that stands behind several."""
    text: str = native().render_text([story], 1, False, None)
    lines = [line for line in text.splitlines() if not line.startswith("SUMMARY:")]
    return "\n".join(lines).rstrip()


# The text of a warning. `python -m hpy.debug run` has a shorter one, since its report has the rest.
warning_text: Callable[[str], str] = report_of


def _tell_subscribers_of_json(story: str) -> None:
    _tell_subscribers(Violation.from_json(story))


def _tell_subscribers(violation: Violation) -> None:
    for subscription in list(_subscribers):
        try:
            subscription._callback(violation)
        except Exception:
            if sys.stderr is not None:
                print("Exception ignored in a callback of hpy.debug.on_violation:", file=sys.stderr)
                traceback.print_exc()
