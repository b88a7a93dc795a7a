"""The end of a test run: one summary of all that was found, also by the workers of pytest-xdist."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from hpy.debug.pytest_found import ATTRIBUTE, Found, attached_to, place_of, summary_line
from hpy.debug.pytest_options import Options
from hpy.debug.violation import Violation

if TYPE_CHECKING:
    from hpy.debug.pytest_watch import Watcher

_OUTSIDE = "what is outside of tests"
_TESTS_SHOWN = 3  # of each place


class Summary:
    """Collects from the reports of tests, and writes the last section."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.watcher: Watcher | None = None
        self._config = config
        self._options = options
        self._found: list[tuple[str, Found]] = []  # with the test
        self._suppressed: Counter[str] = Counter()  # what suppressions say, how often
        self._loaded: set[str] = set()
        self._any_loaded = False
        self._outside = False

    def add(self, where: str, found: Found) -> None:
        """What was found in the test `where`."""
        if found:
            self._found.append((f"{found.fixture} in {where}" if found.fixture else where, found))
            self._outside |= where == _OUTSIDE and bool(found.stories)

    def add_process(self, data: Mapping[str, Any]) -> None:
        """What a process knows besides its reports: see process_data()."""
        for found in data["outside"]:
            self.add(_OUTSIDE, Found.from_data(found))
        self._suppressed.update(dict(data["suppressed"]))
        self._loaded.update(data["loaded"])
        self._any_loaded |= data["any_loaded"]

    def process_data(self) -> dict[str, Any]:
        """Of this process, for add_process() of the one that writes the summary."""
        outside = [] if self.watcher is None else self.watcher.outside
        return {
            "outside": [found.to_data() for found in outside],
            "suppressed": _suppressed(),
            "loaded": [name for name in self._options.modules or () if _is_loaded(name)],
            "any_loaded": "hpy.debug._native" in sys.modules,
        }

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for found in attached_to(report):
            self.add(report.nodeid, found)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.watcher is not None:
            self.watcher.finish()
        data = self.process_data()
        workeroutput = getattr(self._config, "workeroutput", None)
        if workeroutput is not None:
            workeroutput[ATTRIBUTE] = data
            return
        self.add_process(data)
        if self._outside and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        stories = [story for _, found in self._found for story in found.stories]
        allowed = any(found.allowed for _, found in self._found)
        if not (self._options.on or stories or allowed or any(self._suppressed.values())):
            return
        terminalreporter.ensure_newline()
        terminalreporter.section("HPy debug mode")
        for line in self._places() + self._allowances() + self._accounts() + self._absences():
            terminalreporter.write_line(line)
        terminalreporter.write_line(summary_line(stories, self._options.report))

    def _places(self) -> list[str]:
        """A line for each place, the most frequent first."""
        places: Counter[tuple[str, str]] = Counter()
        tests: dict[tuple[str, str], list[str]] = {}
        for where, found in self._found:
            for violation in map(Violation.from_json, found.stories):
                place = violation.kind, place_of(violation)
                places[place] += violation.count
                if where not in tests.setdefault(place, []):
                    tests[place].append(where)
        shown = places.most_common(self._options.top)
        lines = [
            f"{count} {kind} at {where}, by {_some(tests[kind, where])}"
            for (kind, where), count in shown
        ]
        rest = len(places) - len(shown)
        if rest:
            lines.append(
                f"and {rest} more place{'' if rest == 1 else 's'}: --hpy-debug-top sets how many "
                "are shown"
            )
        return lines

    def _allowances(self) -> list[str]:
        allowed: Counter[tuple[str, str]] = Counter()
        tests: dict[tuple[str, str], list[str]] = {}
        for where, found in self._found:
            for kind, reason, count in found.allowed:
                pair = kind, reason
                allowed[pair] += count
                if where not in tests.setdefault(pair, []):
                    tests[pair].append(where)
        return [
            f"allowed: {count} {kind}{f' ({reason})' if reason else ''}, "
            f"by {_some(tests[kind, reason])}"
            for (kind, reason), count in allowed.most_common()
        ]

    def _accounts(self) -> list[str]:
        used = [f"suppressed: {n} by {name}" for name, n in self._suppressed.most_common() if n]
        return used + [f"never used: {name}" for name, n in self._suppressed.items() if not n]

    def _absences(self) -> list[str]:
        if not self._options.on:
            return []
        if not self._any_loaded:
            return ["no HPy module was loaded in debug mode"]
        missing = [name for name in self._options.modules or () if name not in self._loaded]
        return [f"the module {name} was never loaded" for name in missing]


def _some(names: list[str]) -> str:
    rest = len(names) - _TESTS_SHOWN
    shown = ", ".join(names[:_TESTS_SHOWN])
    return shown if rest <= 0 else f"{shown} and {rest} more"


def _suppressed() -> list[tuple[str, int]]:
    """Each suppression in force, and how many violations it kept back in this process."""
    if "hpy.debug._native" not in sys.modules:
        return []
    from hpy.debug import suppressions

    return [(f"{s.text} ({s.where})", s.used) for s in suppressions.active().all]


def _is_loaded(name: str) -> bool:
    """As the loader compares names: the full one, or its last part."""
    return name in sys.modules or any(key.endswith(f".{name}") for key in list(sys.modules))
