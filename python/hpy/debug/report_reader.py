"""Reads report files: the lines of JSON that HPY_DEBUG_REPORT and its like append.

report = read("out.jsonl")
report.violations       # equal ones folded, in the order in which they were first met
report.cut              # a sentence when the last line was cut by a crash, else None
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from hpy.debug import kinds
from hpy.debug.native import available
from hpy.debug.violation import Violation

_BEGINNING = b'{"kind":'
_ALIKE = ("kind", "api", "module", "function", "at", "opened", "closed", "severity")
_MENDS = "A report is what HPY_DEBUG_REPORT=F, or `run --report F`, makes: a line of JSON each"


class ReportError(ValueError):
    """A file that cannot be read, or is no report."""


@dataclass
class Report:
    """`cut` says that the last line is missing; None: it is not."""

    path: str
    violations: list[Violation]
    cut: str | None


def read(
    path: str | os.PathLike[str], progress: Callable[[int], object] = lambda n: None
) -> Report:
    """The report in this file; `progress` is told how many bytes of it were read."""
    name = os.fspath(path)
    folded: dict[tuple[object, ...], Violation] = {}
    cut = None
    done = 0
    try:
        with open(name, "rb") as file:
            for number, line in enumerate(file, 1):
                done += len(line)
                progress(done)
                try:
                    _add(_parse(line), folded)
                except ValueError as error:
                    if not line.endswith(b"\n") and _is_beginning(line):
                        cut = (
                            f"the last line of {name!r}, line {number}, was cut, as by a crash; "
                            "it is left out"
                        )
                        break
                    raise ReportError(f"{name!r} is no report: line {number} {error}") from None
    except OSError as error:
        raise ReportError(f"cannot read the report {name!r}: {error.strerror}. {_MENDS}") from None
    return Report(name, list(folded.values()), cut)


def _parse(line: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(line)
    except (UnicodeDecodeError, ValueError, RecursionError):
        shown = line[:60].decode("utf-8", "replace").rstrip("\r\n")
        raise ValueError(f"is not JSON: {shown!r}. {_MENDS}") from None
    if not isinstance(data, dict) or "kind" not in data:
        raise ValueError(f"is no violation: it has no kind. {_MENDS}")
    return data


def _is_beginning(line: bytes) -> bool:
    """Whether it could be what is left of a line of ours."""
    return line.startswith(_BEGINNING) or _BEGINNING.startswith(line)


def _check(data: Mapping[str, Any]) -> None:
    """ValueError for what no line of a report has."""
    if not isinstance(data["kind"], str) or (available() and data["kind"] not in _kind_names()):
        raise ValueError(
            f"has the kind {data['kind']!r}, which is not known here (`kinds` lists them). Was it "
            "written by a later version of hpy?"
        )
    wanted: dict[str, tuple[type, ...]] = {"message": (str,)}
    for name in ("api", "module", "function"):
        wanted[name] = (str, type(None))
    for name in ("handle", "at", "opened", "closed"):
        wanted[name] = (dict, type(None))
    for name, types in wanted.items():
        if not isinstance(data.get(name), types):
            raise ValueError(f"is no violation: its {name} is {data.get(name)!r:.60}")
    if data.get("severity", "error") not in ("error", "note"):
        raise ValueError(f"is no violation: its severity is {data['severity']!r:.60}")
    handle = data.get("handle")
    if handle is not None and not isinstance(handle.get("id"), str):
        raise ValueError(f"is no violation: its handle is {handle!r:.60}")
    for name in ("at", "opened", "closed"):
        stack = data.get(name) or {}
        for which in ("native", "python"):
            frames = stack.get(which, [])
            if not isinstance(frames, list):
                raise ValueError(f"is no violation: its {name} is {stack!r:.60}")
            for frame in frames:
                _check_frame(frame)
                if which == "python" and not (frame.get("function") and frame.get("file")):
                    raise ValueError(f"is no violation: a frame of it is {frame!r:.60}")


def _check_frame(frame: Any) -> None:
    if not isinstance(frame, dict):
        raise ValueError(f"is no violation: a frame of it is {frame!r:.60}")
    for name, types in (("function", str), ("file", str), ("library", str)):
        if not isinstance(frame.get(name), (types, type(None))):
            raise ValueError(f"is no violation: the {name} of a frame is {frame[name]!r:.60}")
    for name in ("line", "offset"):
        if not isinstance(frame.get(name), (int, type(None))):
            raise ValueError(f"is no violation: the {name} of a frame is {frame[name]!r:.60}")


def _kind_names() -> frozenset[str]:
    return frozenset(kind.name for kind in kinds.all_kinds())


def _add(data: Mapping[str, Any], folded: dict[tuple[object, ...], Violation]) -> None:
    """Many lines differ in the handle only; they become one here, before they are looked into."""
    handle = data.get("handle")
    key = (
        *(repr(data.get(name)) for name in _ALIKE),
        repr(handle.get("type")) if isinstance(handle, dict) else None,
    )
    count = data.get("count", 1)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"is no violation: its count is {count!r:.60}")
    before = folded.get(key)
    if before is None or not isinstance(data.get("message"), str):
        _check(data)
        folded[key] = Violation.from_dict(data)
    else:
        folded[key] = dataclasses.replace(before, count=before.count + count)
