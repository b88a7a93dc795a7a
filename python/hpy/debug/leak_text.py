"""The text of HPyLeakError.

It begins as it always did (`1 unclosed handle:`, a line for each, `Allocation stacktrace:`), and
goes on with what is known of the place. Handles that were opened at the same place are listed
together, with one stack.
"""

from __future__ import annotations

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


def leak_text(leaks: Sequence[DebugHandle], violations: Sequence[Violation]) -> str:
    """`violations[i]` is about `leaks[i]`; further violations have no handle, fewer no story."""
    others = violations[len(leaks) :]
    if leaks or not others:
        lines = [f"{len(leaks)} unclosed handle{'' if len(leaks) == 1 else 's'}:"]
    else:
        lines = [f"{len(others)} leak{'' if len(others) == 1 else 's'}:"]
    groups: dict[object, list[int]] = {}
    for index in range(len(leaks)):
        violation = violations[index] if index < len(violations) else None
        groups.setdefault(_place(violation), []).append(index)
    # The places with the most handles first; the sort keeps the order of equal ones.
    ordered = sorted(groups.values(), key=len, reverse=True)
    shown = ordered[: max(1, settings.get("top"))]
    for indices in shown:
        lines += ["    " + _head(leaks[index]) for index in indices[:_HANDLES_LISTED]]
        if len(indices) > _HANDLES_LISTED:
            lines.append(f"    and {len(indices) - _HANDLES_LISTED} more, opened at the same place")
        first = indices[0]
        lines += _story(violations[first] if first < len(violations) else None)
    rest = ordered[len(shown) :]
    if rest:
        lines.append(
            f"and {sum(map(len, rest))} more, opened at {len(rest)} other places "
            "(hpy.debug.configure(top=...) shows more)"
        )
    lines += map(str, others)
    lines += _hints(violations)
    return "\n".join(lines)


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
