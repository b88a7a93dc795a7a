"""A report as SARIF 2.1.0, which code hosts and editors show beside the source."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

from hpy.debug import kinds
from hpy.debug.formats.rendering import Rendering
from hpy.debug.grouping import group, identity, primary
from hpy.debug.violation import NativeFrame, PythonFrame, Stack, Violation

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT = "SRCROOT"  # the current directory: what is below it is named relative to it
_Frame = Union[NativeFrame, PythonFrame]


def render(violations: Sequence[Violation], rendering: Rendering) -> str:
    """One run; a result for each site, in the order of the groups, a rule for each kind."""
    groups = group(violations, rendering.group_by)
    tagged: list[tuple[Violation, str | None]]
    if rendering.group_by == "stack":
        sites = [site for found in groups for site in found.sites][: rendering.top]
        tagged = [(site, None) for site in sites]
    else:
        tagged = [(s, found.name) for found in groups[: rendering.top] for s in found.sites]
    used = {site.kind for site, _ in tagged}
    rules = [kind for kind in kinds.all_kinds() if kind.name in used]
    indices = {kind.name: index for index, kind in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "hpy.debug",
                "version": _version(),
                "rules": [_rule(kind) for kind in rules],
            }
        },
        "originalUriBaseIds": {_ROOT: {"uri": Path.cwd().as_uri().rstrip("/") + "/"}},
        "results": [
            _result(site, indices[site.kind], rendering.group_by, name) for site, name in tagged
        ],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(kind: kinds.Kind) -> dict[str, Any]:
    return {
        "id": kind.name,
        "name": "".join(word.capitalize() for word in kind.name.split("-")),
        "shortDescription": {"text": _sentence(kind.title)},
        "fullDescription": {"text": kind.cause},
        "help": {"text": _sentence(kind.help)},
        "defaultConfiguration": {"level": kind.severity},
    }


def _result(site: Violation, rule: int, by: str, name: str | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": site.kind,
        "ruleIndex": rule,
        "level": site.severity,
        "message": {"text": _sentence(site.message)},
        "occurrenceCount": site.count,
        "partialFingerprints": {"hpyDebugSite/v1": _fingerprint(site)},
    }
    place = primary(site)
    located = next((frame for frame in _frames(place) if _has_source(frame) and frame.line), None)
    location: dict[str, Any] = {} if located is None else _location(located)
    names = [part for part in (site.module, site.function) if part]
    if names:
        location["logicalLocations"] = [
            {
                "fullyQualifiedName": ".".join(names),
                "kind": "function" if site.function else "module",
            }
        ]
    if location:
        result["locations"] = [location]
    kind = kinds.find(site.kind)
    stories = [(kind.at, site.at), (kind.opened, site.opened), (kind.closed, site.closed)]
    related = [
        {**_location(_frames(stack)[0]), "message": {"text": label}}
        for label, stack in stories
        if stack is not place and _frames(stack) and _has_source(_frames(stack)[0])
    ]
    if related:
        result["relatedLocations"] = [{"id": i, **found} for i, found in enumerate(related, 1)]
    stacks = [
        {
            "message": {"text": label},
            "frames": [{"location": _location(frame)} for frame in _frames(stack)],
        }
        for label, stack in stories
        if _frames(stack)
    ]
    if stacks:
        result["stacks"] = stacks
    properties: dict[str, Any] = {"api": site.api} if site.api else {}
    if name is not None:
        properties[by] = name
    if properties:
        result["properties"] = properties
    return result


def _frames(stack: Stack | None) -> list[_Frame]:
    return [] if stack is None else [*stack.native, *stack.python]


def _location(frame: _Frame) -> dict[str, Any]:
    location: dict[str, Any] = {}
    if frame.file is not None and _has_source(frame):
        physical: dict[str, Any] = {"artifactLocation": _artifact(frame.file)}
        if frame.line:
            physical["region"] = {"startLine": frame.line}
        location["physicalLocation"] = physical
    elif isinstance(frame, NativeFrame) and frame["library"] is not None:
        location["physicalLocation"] = {
            "artifactLocation": _artifact(frame["library"]),
            "address": {"relativeAddress": frame.offset or 0},
        }
    if frame.function:
        location["logicalLocations"] = [{"name": frame.function, "kind": "function"}]
    return location


def _artifact(path: str) -> dict[str, str]:
    """Relative to the current directory where it is below that: code hosts want it so."""
    if not os.path.isabs(path) and not os.path.exists(path):
        return {"uri": _quote(path)}
    relative = os.path.relpath(path)
    if relative.startswith(os.pardir):
        return {"uri": Path(path).as_uri()}
    return {"uri": _quote(relative), "uriBaseId": _ROOT}


def _has_source(frame: _Frame) -> bool:
    """Whether its file is one, and not what Python has in place of it: <string>, <frozen runpy>."""
    file = frame.file or "<>"
    return not (file.startswith("<") and file.endswith(">"))


def _quote(path: str) -> str:
    # A colon in the first part would make it a scheme.
    return Path("/" + path).as_uri()[len("file:///") :].replace(":", "%3A")


def _fingerprint(site: Violation) -> str:
    """The same for the same site of another run, so that a host knows what it has shown before."""
    return hashlib.sha256(repr(identity(site)).encode()).hexdigest()[:32]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _version() -> str:
    try:
        return importlib.metadata.version("hpy")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
