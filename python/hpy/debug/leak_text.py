"""The text of HPyLeakError.

It begins as it always did (`1 unclosed handle:`, a line for each, `Allocation stacktrace:`), and
goes on with what is known of the place. Handles that were opened at the same place are listed
together, with one stack.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpy.debug import settings
from hpy.debug.violation import NativeFrame, Stack, Violation

if TYPE_CHECKING:
    from hpy.debug._native import DebugHandle

_HANDLES_LISTED = 20  # of each place
_NO_STACK = (
    "To get the stack trace of where it was allocated use:\nhpy.debug.set_handle_stack_trace_limit"
)


def leak_text(
    leaks: Sequence[DebugHandle],
    violations: Sequence[Violation],
    of: Sequence[Sequence[DebugHandle]] | None = None,
) -> str:
    """`of[i]` are the first handles of `violations[i]`; if not given, `leaks[i]` is the one."""
    if of is None:
        of = [leaks[i : i + 1] for i in range(len(violations))]
    handles = [(v, first) for v, first in zip(violations, of) if v.kind == "handle-leak"]
    others = [violation for violation in violations if violation.kind != "handle-leak"]
    lines: list[str] = []
    if handles or not others:
        count = sum(violation.count for violation, _ in handles) or len(leaks)
        lines.append(f"{_counted(count, 'unclosed handle')}:")
    if leaks and not handles:
        lines += ["    " + _head(leak) for leak in leaks[:_HANDLES_LISTED]]
        lines += _more(len(leaks) - _HANDLES_LISTED, "opened")
        lines += _story(None)
    # The places with the most handles first; the sort keeps the order of equal ones.
    handles = _folded(handles)
    handles.sort(key=lambda place: -place[0].count)
    top = max(1, settings.get("top"))
    for violation, first in handles[:top]:
        lines += ["    " + _head(leak) for leak in first[:_HANDLES_LISTED]]
        lines += _more(violation.count - min(len(first), _HANDLES_LISTED), "opened")
        lines += _story(violation)
    rest = handles[top:]
    if rest:
        left = sum(violation.count for violation, _ in rest)
        lines.append(
            f"and {left} more, opened at {len(rest)} other places "
            "(hpy.debug.configure(top=...) shows more)"
        )
    for kind, noun in (("builder-leak", "unclosed builder"), ("tracker-leak", "unclosed tracker")):
        lines += _of_kind([v for v in others if v.kind == kind], noun, top)
    lines += [str(v) for v in others if v.kind not in ("builder-leak", "tracker-leak")]
    lines += _hints(violations)
    return "\n".join(lines)


def _folded(
    places: Sequence[tuple[Violation, Sequence[DebugHandle]]],
) -> list[tuple[Violation, Sequence[DebugHandle]]]:
    """Those with the same stack as one, for who has a violation for each handle."""
    folded: dict[object, tuple[Violation, Sequence[DebugHandle]]] = {}
    for violation, first in places:
        place = _place(violation)
        if place in folded:
            other, before = folded[place]
            violation = dataclasses.replace(other, count=other.count + violation.count)
            first = [*before, *first]
        folded[place] = (violation, first)
    return list(folded.values())


def _of_kind(violations: Sequence[Violation], noun: str, top: int) -> list[str]:
    """Builders or trackers."""
    if not violations:
        return []
    lines = [f"{_counted(sum(violation.count for violation in violations), noun)}:"]
    for violation in violations[:top]:
        lines.append("    " + violation.message.partition(";")[0])
        lines += _more(violation.count - 1, "made")
        lines += _story(violation)
    rest = violations[top:]
    if rest:
        count = sum(violation.count for violation in rest)
        lines.append(f"and {count} more, made at {len(rest)} other places")
    return lines


def _more(count: int, verb: str) -> list[str]:
    return [f"    and {count} more, {verb} at the same place"] if count > 0 else []


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _head(leak: DebugHandle) -> str:
    """The first line of repr(leak), which would go on with a stack of its own."""
    try:
        what = repr(leak.obj)
    except Exception as error:  # a text about leaks must not end in another error
        what = f"an object whose repr raises {type(error).__name__}"
    return f"<DebugHandle {leak.id:#x} for {what}>"


def _place(violation: Violation | None) -> object:
    """Equal for leaks that were opened by the same call stack."""
    if violation is None:
        return None
    stack = violation.opened
    if stack is None:
        return (violation.module, violation.function)
    return (tuple(map(_frame_key, stack.native)), stack.python)


def _frame_key(frame: NativeFrame) -> object:
    if frame.line is None:
        return (frame.library, frame.offset)
    return (frame.function, frame.file, frame.line)


def _story(violation: Violation | None) -> list[str]:
    stack: Stack | None = violation.opened if violation is not None else None
    lines = []
    if stack is None or not stack.native:
        if settings.get("stack_depth") == 0 or violation is None:
            lines.append(_NO_STACK)
        else:
            lines.append(f"Allocation stacktrace: not known. {violation.message}")
    else:
        lines.append("Allocation stacktrace:")
        lines += map(_native_line, stack.native)
    if stack is not None and stack.python:
        lines.append("Python stack:")
        lines += [f"  {frame}" for frame in stack.python]
    elif violation is not None and violation.function:
        lines.append(f"opened by the function {violation.function} of {violation.module}")
    return lines


def _hints(violations: Sequence[Violation]) -> list[str]:
    """How to get the lines of libraries that have none; once for each."""
    stacks = [violation.opened for violation in violations if violation.opened is not None]
    first = [stack.native[0] for stack in stacks if stack.native]
    libraries = {frame.library: None for frame in first if frame.library and frame.line is None}
    return [
        f"{os.path.basename(library)} has no debug information: compile it with -g, or install its "
        "debug symbols, to see files and lines"
        for library in libraries
    ]


def _native_line(frame: NativeFrame) -> str:
    """As a line of repr(DebugHandle); addr2line -e LIBRARY takes the offset as it is."""
    line = frame.library or "?"
    if frame.offset is not None:
        line += f"(+{frame.offset:#x}) [{frame.offset:#x}]"
    if frame.function is not None:
        line += f" in {frame.function}"
    if frame.file is not None:
        line += f" at {frame.file}" + ("" if frame.line is None else f":{frame.line}")
    return line
