"""The plugin in the controller of pytest-xdist.

Each worker writes its violations to a report file of its own, at once. So when a worker dies of
one, its file says of which: that report is attached to the test that was running. What the files
hold ends up in the report file that was asked for.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from hpy.debug.pytest_found import ATTRIBUTE, WRITTEN, Found, attach, counted_kinds, short_text
from hpy.debug.pytest_options import WORKER_REPORT, Options
from hpy.debug.pytest_summary import Summary
from hpy.debug.violation import Violation


class Controller:
    """Registered where tests run in workers. `node` is a worker, as pytest-xdist calls it."""

    def __init__(self, options: Options, summary: Summary) -> None:
        self._options = options
        self._summary = summary
        self._folder: str | None = None
        self._files: dict[str, Path] = {}  # of workers that have not been dealt with
        self._written: dict[str, int] = {}  # how much of it is of tests that were told
        self._last_words: dict[str, list[str]] = {}  # what the files of the others held beyond

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Before a worker starts: tells it the path of its file."""
        name = node.gateway.id
        if self._options.report is None:
            if self._folder is None:
                self._folder = tempfile.mkdtemp(prefix="hpy-debug-")
            path = os.path.join(self._folder, f"{name}.jsonl")
        else:
            # Beside the one that was asked for: should this process be killed too, they are found.
            path = f"{self._options.report.replace('{pid}', str(os.getpid()))}.{name}"
        node.workerinput[WORKER_REPORT] = path
        self._files[name] = Path(path)
        self._written[name] = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        written = getattr(report, WRITTEN, None)
        if written is not None:
            self._written[report.node.gateway.id] = written

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """A worker has ended; one that crashed is dealt with in pytest_handlecrashitem too."""
        data = (getattr(node, "workeroutput", None) or {}).get(ATTRIBUTE)
        if data is not None:
            self._summary.add_process(data)
        self._collect(node.gateway.id)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: Any) -> None:
        """Before the failure of the test that was running in a worker that died is told."""
        stories = self._last_words.get(report.node.gateway.id)
        if not stories:
            return
        lines = [f"hpy.debug had found: {counted_kinds(stories)}", *short_text(stories)]
        report.longrepr = "\n    ".join([f"{report.longrepr}\n{lines[0]}", *lines[1:]])
        attach(report, Found(stories=stories))

    def close(self) -> None:
        """The run is over."""
        for name in list(self._files):
            self._collect(name)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _collect(self, name: str) -> None:
        """Moves what the worker wrote to the report file that was asked for."""
        path = self._files.pop(name, None)
        if path is None or not path.exists():
            return
        data = path.read_bytes()
        words = data[self._written.get(name, 0) :].decode("utf-8", "replace").splitlines()
        self._last_words[name] = [story for story in words if _is_error(story)]
        if self._options.report is not None and data:
            # Whole lines in one piece; others may append too, or look at it.
            whole = data[: data.rindex(b"\n") + 1] if b"\n" in data else b""
            with open(self._options.report.replace("{pid}", str(os.getpid())), "ab", 0) as file:
                file.write(whole)
        path.unlink()


def _is_error(line: str) -> bool:
    """Whether it is a violation, and not a note, or a line that a crash cut."""
    try:
        return Violation.from_json(line).severity == "error"
    except ValueError:
        return False
