"""A report as one HTML file that needs nothing else: a table, and a flame graph of the leaks.

The page is page.html, which stands beside this file; the violations go into it as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpy.debug.formats import folded
from hpy.debug.formats.rendering import Rendering, native_text
from hpy.debug.grouping import fold, group, is_leak, place
from hpy.debug.violation import Violation

_MARK = "/*DATA*/"


def render(violations: Sequence[Violation], rendering: Rendering) -> str:
    """The whole page."""
    groups = group(violations, rendering.group_by)
    if rendering.group_by == "stack":
        sites = [site for found in groups for site in found.sites][: rendering.top]
    else:
        sites = [site for found in groups[: rendering.top] for site in found.sites]
    data = {
        "by": rendering.group_by,
        "files": list(rendering.names),
        "summary": native_text(violations, 0, False).splitlines()[-1],
        "left_out": len(fold(violations)) - len(sites) if rendering.group_by == "stack" else 0,
        "sites": [_row(site) for site in sites],
    }
    page = Path(__file__).with_name("page.html").read_text("utf-8")
    # Nothing in the data may end the script, or begin a comment in it.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    before, after = page.split(_MARK)
    return before + text + after


def _row(site: Violation) -> dict[str, Any]:
    text = native_text([site], 1, False)
    return {
        "count": site.count,
        "severity": site.severity,
        "kind": site.kind,
        "module": site.module or "",
        "function": site.function or "",
        "type": (site.handle and site.handle.type) or "",
        "place": place(site),
        # A note about a handle that is open is no leak, and the leak of that handle counts already.
        "leak": is_leak(site) and site.severity == "error",
        "frames": folded.frames(site),
        # Without the SUMMARY line.
        "text": text[: text.rindex("SUMMARY:")].rstrip(),
    }
