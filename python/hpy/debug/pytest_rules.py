"""The markers of the pytest plugin: what a test may do.

    @pytest.mark.hpy_leaks(limit=2)                 # may leave two handles open
    @pytest.mark.hpy_leaks(ignore=lambda leak: leak.obj is CACHED)
    @pytest.mark.hpy_allow("use-after-close", reason="issue 12")

They hold for the test, and for the fixtures that live as long as what is marked: the marker of a
module for the fixtures of that module, not for those of the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable

import pytest
from _pytest.nodes import Node

MARKERS = (
    "hpy_leaks(limit=0, ignore=None): the test, and each fixture of its scope, may leave `limit` "
    "handles open; ignore(leak) leaves a leak out. Looks for leaks also without --hpy-debug",
    "hpy_allow(kind, reason=...): violations of this kind do not fail the test",
)


@dataclass(frozen=True)
class Rules:
    """What the markers of a test or a scope say. `error` is what is wrong with them."""

    leaks: bool = False  # whether there is a marker hpy_leaks
    limit: int = 0
    ignore: Callable[[Any], object] | None = None
    allowed: Mapping[str, str] = field(default_factory=dict)  # kind: reason
    error: str | None = None


def is_marked(node: Node) -> bool:
    """Whether there is any marker of ours."""
    return any(node.get_closest_marker(name) is not None for name in ("hpy_leaks", "hpy_allow"))


def rules_of(node: Node) -> Rules:
    """Reads the markers, the closest ones first."""
    if not is_marked(node):
        return Rules()
    try:
        leaks = node.get_closest_marker("hpy_leaks")
        limit, ignore = (0, None) if leaks is None else _read_leaks(leaks)
        allowed: dict[str, str] = {}
        for marker in node.iter_markers("hpy_allow"):
            kind, reason = _read_allow(marker)
            allowed.setdefault(kind, reason)
    except ValueError as error:
        return Rules(error=f"{node.nodeid}: {error}")
    return Rules(leaks is not None, limit, ignore, allowed)


def _read_leaks(marker: pytest.Mark) -> tuple[int, Callable[[Any], object] | None]:
    values = _bind(marker, "hpy_leaks(limit=0, ignore=None)", {"limit": 0, "ignore": None})
    limit, ignore = values["limit"], values["ignore"]
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise ValueError(
            f"the limit of hpy_leaks must be how many handles may stay open, a whole number from "
            f"0; it is {limit!r}"
        )
    if ignore is not None and not callable(ignore):
        raise ValueError(
            f"ignore of hpy_leaks must be a function of a leak, such as "
            f"lambda leak: leak.obj is CACHED, or None; it is {ignore!r}"
        )
    return limit, ignore


def _read_allow(marker: pytest.Mark) -> tuple[str, str]:
    values = _bind(marker, "hpy_allow(kind, reason=...)", {"kind": None, "reason": ""})
    kind, reason = values["kind"], values["reason"]
    if not isinstance(reason, str):
        raise ValueError(f"the reason of hpy_allow must be a text; it is {reason!r}")
    known = _known_kinds()
    if not isinstance(kind, str) or (known and kind not in known):
        import difflib

        close = difflib.get_close_matches(str(kind), known, 1)
        mend = f"Did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"the kind of hpy_allow must be a kind of violation; it is {kind!r}. {mend}There is "
            f"{', '.join(known)}"
        )
    return kind, reason


def _bind(marker: pytest.Mark, signature: str, defaults: dict[str, Any]) -> dict[str, Any]:
    names = list(defaults)
    wrong = [name for name in marker.kwargs if name not in names]
    twice = [name for name in names[: len(marker.args)] if name in marker.kwargs]
    if wrong or twice or len(marker.args) > len(names):
        found = (
            f"the unknown {wrong[0]!r}"
            if wrong
            else f"{twice[0]!r} twice"
            if twice
            else f"{len(marker.args)} arguments"
        )
        raise ValueError(f"the marker is {signature}; found {found}")
    return {**defaults, **dict(zip(names, marker.args)), **marker.kwargs}


def _known_kinds() -> list[str]:
    """None at all where hpy has no native module for this Python, and so no violations either."""
    from hpy.debug import kinds
    from hpy.debug.native import available

    return [kind.name for kind in kinds.all_kinds()] if available() else []
