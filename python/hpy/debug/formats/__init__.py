"""What a report can be rendered as: a module each, with a function of violations to text.

All of it is the standard library's. A template engine would render one page, whose rows are made
in the browser anyway so that they can be sorted; and colours come from the native renderer.
"""

from __future__ import annotations

from hpy.debug.formats import folded, html, json_lines, sarif, text
from hpy.debug.formats.rendering import Format, Rendering

__all__ = ["FORMATS", "Format", "Rendering"]

FORMATS: dict[str, Format] = {
    "text": text.render,
    "json": json_lines.render,
    "html": html.render,
    "sarif": sarif.render,
    "folded": folded.render,
}
