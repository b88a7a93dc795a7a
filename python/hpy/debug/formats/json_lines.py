"""A report as JSON, one line each: of a site, which is a report file again; or of a group."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hpy.debug.formats.rendering import Rendering
from hpy.debug.grouping import group
from hpy.debug.violation import Violation


def render(violations: Sequence[Violation], rendering: Rendering) -> str:
    """By stack: what `report` and `diff` can read. Else {"group", "count", "violations"} a line."""
    groups = group(violations, rendering.group_by)
    if rendering.group_by == "stack":
        items = [site.to_dict() for found in groups for site in found.sites]
    else:
        items = [
            {
                "group": found.name,
                "by": rendering.group_by,
                "count": found.count,
                "violations": [site.to_dict() for site in found.sites],
            }
            for found in groups
        ]
    # Without spaces, as in a report file.
    lines = (json.dumps(item, separators=(",", ":")) for item in items[: rendering.top])
    return "".join(f"{line}\n" for line in lines)
