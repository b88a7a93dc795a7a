"""A violation as Python sees it: made from the line of JSON that the native code writes.

There is one description of a violation, the JSON object of the report file. Attributes here have
the names of its keys, and the small objects inside can be subscripted by them too, so code that
reads report files and code that gets a Violation look the same:

    violation.at.native[0].line == violation.at.native[0]["line"]
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any


class _Record:
    """Subscription by the keys of JSON."""

    def __getitem__(self, key: str) -> Any:
        if key not in (field.name for field in dataclasses.fields(self)):  # type: ignore[arg-type]
            raise KeyError(key)
        return getattr(self, key)


@dataclasses.dataclass(frozen=True)
class NativeFrame(_Record):
    """`file` and `line` are None where there is no debug information, `function` where no symbol.

    `offset` is that of the return address in the file `library`: addr2line understands it.
    """

    function: str | None
    file: str | None
    line: int | None
    library: str | None
    offset: int | None

    def __str__(self) -> str:
        if self.file is not None:
            where = self.file if self.line is None else f"{self.file}:{self.line}"
        elif self.library is not None:
            where = self.library if self.offset is None else f"{self.library}+{self.offset:#x}"
        else:
            where = "an unknown place"
        return where if self.function is None else f"{where} in {self.function}"


@dataclasses.dataclass(frozen=True)
class PythonFrame(_Record):
    function: str
    file: str
    line: int | None

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclasses.dataclass(frozen=True)
class Stack(_Record):
    """Innermost frame first. The first native frame is that of the extension."""

    native: tuple[NativeFrame, ...]
    python: tuple[PythonFrame, ...]


@dataclasses.dataclass(frozen=True)
class Handle(_Record):
    """`repr` and `type` are None where the object may no longer exist."""

    id: str
    repr: str | None
    type: str | None


@dataclasses.dataclass(frozen=True)
class Violation(_Record):
    """A mistake of an extension, or a leak: what it was and where it was made."""

    kind: str
    message: str
    api: str | None = None
    module: str | None = None
    function: str | None = None
    handle: Handle | None = None
    at: Stack | None = None
    opened: Stack | None = None
    closed: Stack | None = None
    severity: str = "error"
    count: int = 1

    @classmethod
    def from_json(cls, text: str) -> Violation:
        """From a line of a report file; ValueError when it is none."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, data: Any) -> Violation:
        """From what such a line stands for; ValueError when it is no violation."""
        if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
            raise ValueError(f"not a violation in the form of a report file: {str(data)[:80]}")
        try:
            return cls(
                kind=data["kind"],
                message=data["message"],
                api=data.get("api"),
                module=data.get("module"),
                function=data.get("function"),
                handle=_handle(data.get("handle")),
                at=_stack(data.get("at")),
                opened=_stack(data.get("opened")),
                closed=_stack(data.get("closed")),
                severity=data.get("severity", "error"),
                count=data.get("count", 1),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f"not a violation in the form of a report file ({error!r}): {str(data)[:80]}"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, its keys in the order of a report file."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """The message and the places, one a line."""
        lines = [f"{self.severity}[{self.kind}]: {self.message}"]
        for verb, stack in (
            ("at", self.at),
            ("opened at", self.opened),
            ("closed at", self.closed),
        ):
            if stack is not None and stack.native:
                lines.append(f"  {verb} {stack.native[0]}")
        for stack in (self.at, self.opened):
            if stack is not None and stack.python:
                lines.append(f"  called from {stack.python[0]}")
                break
        if self.count > 1:
            lines.append(f"  {self.count} times")
        return "\n".join(lines)


class HPyDebugWarning(UserWarning):
    """Issued for a violation under the policy `warn`. `violation` is what it is about."""

    def __init__(self, message: str = "", violation: Violation | None = None) -> None:
        super().__init__(message)
        self.violation = violation


def _handle(data: Mapping[str, Any] | None) -> Handle | None:
    return None if data is None else Handle(data["id"], data.get("repr"), data.get("type"))


def _stack(data: Mapping[str, Any] | None) -> Stack | None:
    if data is None:
        return None
    return Stack(
        tuple(
            NativeFrame(
                frame.get("function"),
                frame.get("file"),
                frame.get("line"),
                frame.get("library"),
                frame.get("offset"),
            )
            for frame in data.get("native") or ()
        ),
        tuple(
            PythonFrame(frame["function"], frame["file"], frame.get("line"))
            for frame in data.get("python") or ()
        ),
    )
