"""Violations that belong together: the same site, the same module, kind or type of object."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hpy.debug.violation import NativeFrame, PythonFrame, Stack, Violation

_NONE = "(none)"

GROUPINGS: dict[str, Callable[[Violation], str]] = {
    "stack": lambda violation: "",
    "module": lambda violation: violation.module or _NONE,
    "kind": lambda violation: violation.kind,
    "type": lambda violation: (violation.handle and violation.handle.type) or _NONE,
}


@dataclass(frozen=True)
class Group:
    """`sites` are folded violations, the most frequent first."""

    name: str
    sites: list[Violation]

    @property
    def count(self) -> int:
        return sum(site.count for site in self.sites)


def fold(violations: Iterable[Violation]) -> list[Violation]:
    """Those of the same kind with the same stacks become one, whose count is the sum.

    The most frequent first, as in leakdetector/fold.cc, which does the same for texts.
    """
    folded: dict[object, Violation] = {}
    for violation in violations:
        key = (
            *(violation.kind, violation.api, violation.module, violation.function),
            *map(_exact, (violation.at, violation.opened, violation.closed)),
        )
        before = folded.get(key)
        if before is None:
            folded[key] = violation
        else:
            folded[key] = dataclasses.replace(before, count=before.count + violation.count)
    return sorted(folded.values(), key=lambda violation: -violation.count)


def group(violations: Iterable[Violation], by: str) -> list[Group]:
    """By one of GROUPINGS, the group with the most violations first. By stack: one group."""
    members: dict[str, list[Violation]] = {}
    for violation in violations:
        members.setdefault(GROUPINGS[by](violation), []).append(violation)
    groups = [Group(name, fold(found)) for name, found in members.items()]
    return sorted(groups, key=lambda found: (-found.count, found.name))


def identity(violation: Violation) -> tuple[object, ...]:
    """Equal for the same violation in two runs, also of two builds of the same source.

    Kind, and module, function and line of the frames; no addresses, and no folders, which differ
    from one checkout to the next.
    """
    stacks = (violation.at, violation.opened, violation.closed)
    return (violation.kind, violation.module, violation.function, *map(_recognisable, stacks))


def primary(violation: Violation) -> Stack | None:
    """The stack of the place: where the mistake was made; of a leak, where it was opened.

    So too of what was found when nothing ran, as an overrun is at the end of the object.
    """
    at = violation.at
    return at if at is not None and (at.native or at.python) else violation.opened


def is_leak(violation: Violation) -> bool:
    """Whether something was not given back: such a violation has no `at`."""
    return violation.at is None and violation.opened is not None


def place(violation: Violation) -> str:
    """`matrix.c:88 in row_sum`, or what is known of it."""
    stack = primary(violation)
    if stack is not None and stack.native:
        native = stack.native[0]
        return str(dataclasses.replace(native, file=_relative(native.file)))
    if stack is not None and stack.python:
        python = stack.python[0]
        return str(dataclasses.replace(python, file=_relative(python.file) or ""))
    names = [name for name in (violation.module, violation.function) if name]
    return ".".join(names) or "an unknown place"


def _relative(path: str | None) -> str | None:
    """Below the current directory without it, as the native renderer shows paths."""
    if path is None or not os.path.isabs(path):
        return path
    try:
        relative = os.path.relpath(path)
    except OSError:  # the current directory was removed
        return path
    return path if relative.startswith(os.pardir) else relative


def _exact(stack: Stack | None) -> object:
    if stack is None:
        return None
    native = (
        (frame.function, frame.file, frame.line)
        if frame.line is not None
        else (frame.function, frame["library"], frame.offset)
        for frame in stack.native
    )
    return (tuple(native), stack.python)


def _recognisable(stack: Stack | None) -> object:
    if stack is None:
        return None
    return (tuple(map(_of_native, stack.native)), tuple(map(_of_python, stack.python)))


def _of_native(frame: NativeFrame) -> object:
    return (os.path.basename(frame["library"] or ""), frame.function, frame.line)


def _of_python(frame: PythonFrame) -> object:
    return (os.path.basename(frame.file), frame.function, frame.line)
