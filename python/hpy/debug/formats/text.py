"""A report as text: what a compiler would say of each site, or a list of sites for each group."""

from __future__ import annotations

from collections.abc import Sequence

from hpy.debug.formats.rendering import Rendering, native_text
from hpy.debug.grouping import group, place
from hpy.debug.violation import Violation

_TOP = 20
_SITES = 10  # of each group


def render(violations: Sequence[Violation], rendering: Rendering) -> str:
    """Ends with the SUMMARY line."""
    top = rendering.top or _TOP
    report = ", ".join(rendering.names) or None
    if rendering.group_by == "stack":
        return native_text(violations, top, rendering.color, report)
    lines = []
    groups = group(violations, rendering.group_by)
    for found in groups[:top]:
        total = _counted(found.count, "violation")
        sites = _counted(len(found.sites), "site")
        lines.append(f"{rendering.group_by} {found.name}: {total} at {sites}")
        for site in found.sites[:_SITES]:
            kind = site.kind if rendering.group_by != "kind" else site.module or "(none)"
            lines.append(f"  {site.count:6}  {kind:24} {place(site)}")
        rest = found.sites[_SITES:]
        if rest:
            lines.append(f"  {sum(s.count for s in rest):6}  at {_counted(len(rest), 'more site')}")
        lines.append("")
    rest_groups = groups[top:]
    if rest_groups:
        total = _counted(sum(g.count for g in rest_groups), "violation")
        what = "more type" if rendering.group_by == "type" else f"more {rendering.group_by}"
        lines += [f"and {_counted(len(rest_groups), what)} with {total}: --top shows more", ""]
    return "\n".join([*lines, native_text(violations, 0, False, report).splitlines()[-1]]) + "\n"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
