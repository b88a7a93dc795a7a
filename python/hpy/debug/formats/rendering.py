"""What all formats have in common: how a report is to be rendered."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable

from hpy.debug.native import native
from hpy.debug.violation import Violation


@dataclass(frozen=True)
class Rendering:
    """How: `group_by` is a key of grouping.GROUPINGS, `top` how many groups (None: as is usual)."""

    group_by: str = "stack"
    top: int | None = None
    color: bool = False
    names: Sequence[str] = ()  # of the files that the violations come from


Format = Callable[[Sequence[Violation], Rendering], str]


def native_text(
    violations: Sequence[Violation], top: int, color: bool, report: str | None = None
) -> str:
    """The text of the native renderer, with the SUMMARY line at its end."""
    lines = [json.dumps(violation.to_dict()) for violation in violations]
    text: str = native().render_text(lines, top, color, report, current_folder())
    return text


def current_folder() -> str | None:
    """Paths below it are shown relative to it."""
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None
