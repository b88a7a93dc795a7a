"""What was found in a test run: its text for people, and its way from a test to the summary."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpy.debug import settings
from hpy.debug.native import native
from hpy.debug.violation import Violation

LEAK_KINDS = ("handle-leak", "builder-leak", "tracker-leak")
# The attribute of a report in which each Found travels, also from a worker of pytest-xdist.
ATTRIBUTE = "hpy_debug"
# And the one with the size of the worker's report file when the report was made.
WRITTEN = "hpy_debug_written"
SECTION = "hpy.debug"
# What stands between pytest and a test, in the paths of files.
_MACHINERY = tuple(
    os.path.join(os.sep, folder, "")
    for folder in ("_pytest", "pluggy", "unittest", "asyncio", "anyio", "pytest_asyncio")
)


@dataclass
class Found:
    """Of one phase of a test: violations as JSON, and what the markers allowed, by its reason.

    `fixture` is the one that is charged; empty for the test itself.
    """

    fixture: str = ""
    stories: list[str] = field(default_factory=list)
    allowed: list[tuple[str, str, int]] = field(default_factory=list)  # kind, reason, count

    def __bool__(self) -> bool:
        return bool(self.stories or self.allowed)

    def to_data(self) -> dict[str, Any]:
        """What pytest-xdist can send."""
        allowed = [list(one) for one in self.allowed]
        return {"fixture": self.fixture, "stories": self.stories, "allowed": allowed}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Found:
        """From to_data()."""
        allowed = [(kind, reason, count) for kind, reason, count in data["allowed"]]
        return cls(data["fixture"], list(data["stories"]), allowed)


def attach(report: Any, found: Found) -> None:
    """Sends `found` along with a report of a test, and shows it there."""
    if not found:
        return
    data = [*getattr(report, ATTRIBUTE, ()), found.to_data()]
    setattr(report, ATTRIBUTE, data)
    stories = [story for part in data for story in part["stories"]]
    if stories:
        report.sections[:] = [section for section in report.sections if section[0] != SECTION]
        report.sections.append((SECTION, full_text(stories)))


def attached_to(report: Any) -> list[Found]:
    """What attach() sent."""
    return [Found.from_data(data) for data in getattr(report, ATTRIBUTE, ())]


def full_text(stories: Sequence[str], top: int | None = None) -> str:
    """The report of hpy.debug without its summary."""
    top = settings.get("top") if top is None else top
    text: str = native().render_text(_trimmed(stories), max(top, 1), False, None)
    return text[: text.rindex("SUMMARY:")].rstrip("\n")


def summary_line(stories: Sequence[str], report: str | None) -> str:
    """The line of tools.md, section 2, that `grep SUMMARY:` finds."""
    if stories:
        text: str = native().render_text(_trimmed(stories), 0, False, report)
        return text[text.rindex("SUMMARY:") :].strip()
    behind = "" if report is None else f", report: {report}"
    return f"SUMMARY: hpy.debug: no violations{behind}"


def _trimmed(stories: Iterable[str]) -> list[str]:
    """Without the frames of pytest that called the test, which say nothing of the mistake."""
    trimmed = []
    for story in stories:
        data = json.loads(story)
        for name in ("at", "opened", "closed"):
            frames = (data.get(name) or {}).get("python") or []
            for index, frame in enumerate(frames):
                if index and any(part in frame["file"] for part in _MACHINERY):
                    del frames[index:]
                    break
        trimmed.append(json.dumps(data))
    return trimmed


def counted_kinds(stories: Iterable[str]) -> str:
    """`2 use-after-close, 1 handle-leak`."""
    kinds: Counter[str] = Counter()
    for violation in map(Violation.from_json, stories):
        kinds[violation.kind] += violation.count
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items())


def place_of(violation: Violation) -> str:
    """Where it was made, or for a leak, where it came from."""
    stack = violation.at or violation.opened
    if stack is not None and stack.native:
        return str(stack.native[0])
    if violation.function is not None:
        return f"the function {violation.function} of {violation.module}"
    return "an unknown place"


def short_text(stories: Sequence[str]) -> list[str]:
    """A line for each kind at each place, with a count, the most frequent first."""
    places: Counter[tuple[str, str]] = Counter()
    for violation in map(Violation.from_json, stories):
        places[violation.kind, place_of(violation)] += violation.count
    shown = places.most_common(max(settings.get("top"), 1))
    lines = [f"{count} {kind} at {place}" for (kind, place), count in shown]
    rest = len(places) - len(shown)
    if rest > 0:
        lines.append(
            f"and {rest} more place{'' if rest == 1 else 's'} (--hpy-debug-top shows more)"
        )
    return lines
