"""A report as folded stacks, `root;caller;callee COUNT` a line: what flame graph tools read."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hpy.debug.formats.rendering import Rendering
from hpy.debug.grouping import group, primary
from hpy.debug.violation import NativeFrame, PythonFrame, Violation


def render(violations: Sequence[Violation], rendering: Rendering) -> str:
    """The root frame is the group; grouped by stack, the kind."""
    by = "kind" if rendering.group_by == "stack" else rendering.group_by
    counts: dict[str, int] = {}
    for found in group(violations, by)[: rendering.top]:
        for site in found.sites:
            stack = ";".join([_clean(found.name), *frames(site)])
            counts[stack] = counts.get(stack, 0) + site.count
    return "".join(f"{stack} {count}\n" for stack, count in counts.items())


def frames(violation: Violation) -> list[str]:
    """The frames of its place, outermost first: Python's, then those of the extension."""
    stack = primary(violation)
    if stack is None or not (stack.native or stack.python):
        names = [name for name in (violation.module, violation.function) if name]
        return [_clean(".".join(names) or "unknown place")]
    return [
        *(_python(frame) for frame in reversed(stack.python)),
        *(_native(frame) for frame in reversed(stack.native)),
    ]


def _python(frame: PythonFrame) -> str:
    return _clean(f"{frame.function} ({os.path.basename(frame.file)}:{frame.line})")


def _native(frame: NativeFrame) -> str:
    if frame.file is not None:
        where = f"{os.path.basename(frame.file)}:{frame.line}"
    else:
        where = f"{os.path.basename(frame['library'] or '?')}+{frame.offset or 0:#x}"
    return _clean(f"{frame.function} ({where})" if frame.function else where)


def _clean(text: str) -> str:
    """Semicolons part the frames, and the last space the count."""
    return " ".join(text.replace(";", ":").split())
