"""The pytest plugin, which pytest finds through its entry point; `-p no:hpy_debug` switches it off.

    pytest --hpy-debug                # a test that leaks, or breaks a rule of HPy, fails
    pytest --hpy-debug=matrix -n 4 --hpy-debug-report=out.jsonl

It is loaded into every run of pytest where hpy is installed, so it does nothing unless it is asked
to, by a flag (pytest_options.py) or a marker (pytest_rules.py): what watches the tests
(pytest_watch.py) is registered only then, and nothing native is imported before an extension needs
it. docs/pytest.md is for people.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from hpy.debug import pytest_options as options_of_pytest
from hpy.debug import reporting, settings
from hpy.debug.pytest import hpy_debug
from hpy.debug.pytest_options import Options
from hpy.debug.pytest_rules import MARKERS, is_marked

__all__ = ["hpy_debug"]

_STATE = pytest.StashKey["_State"]()
_VARIABLES = ("HPY", "HPY_DEBUG")


class _State:
    """What one run of pytest changed and has to undo: there may be others in this process."""

    def __init__(self) -> None:
        self.variables: dict[str, str | None] | None = None
        self.settings: dict[str, Any] = {}
        self.options: Options | None = None
        self.last_words = self.previous_last_words = -1
        self.closers: list[Any] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    options_of_pytest.add(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> None:
    """Debug mode must be on before conftest files import the extensions."""
    options_of_pytest.mend_arguments(early_config, parser, args)
    _switch_on(early_config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    state = _switch_on(config)
    options = state.options = options_of_pytest.read(config)
    state.settings = settings.prepare(
        on_violation=options.on_violation,
        report=options.report,
        top=options.top,
        suppressions=options.suppressions,
    )
    if not hasattr(config, "workerinput"):
        state.last_words = _standard_error()
        state.previous_last_words = reporting.set_last_words(state.last_words)
    from hpy.debug.pytest_summary import Summary

    summary = Summary(config, options)
    config.pluginmanager.register(summary, "hpy_debug_summary")
    if options.on:
        _watch(config)
    if config.pluginmanager.hasplugin("xdist") and not hasattr(config, "workerinput"):
        from hpy.debug.pytest_xdist import Controller

        controller = Controller(options, summary)
        config.pluginmanager.register(controller, "hpy_debug_xdist")
        state.closers.append(controller)


def pytest_unconfigure(config: pytest.Config) -> None:
    state = config.stash.get(_STATE, None)
    if state is None:
        return
    for closer in state.closers:
        closer.close()
    if state.last_words != -1:
        reporting.set_last_words(state.previous_last_words)
        os.close(state.last_words)
    settings.prepare(**state.settings)
    for name, value in (state.variables or {}).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    del config.stash[_STATE]


def pytest_report_header(config: pytest.Config) -> str | None:
    options = config.stash[_STATE].options
    if options is None or options.modules is None:
        return None
    what = ", ".join(options.modules) or "all HPy modules"
    more = "" if options.report is None else f", report: {options.report}"
    if options.loop > 1:
        more += f", each test {options.loop} times"
    return f"hpy.debug: on for {what}, on violation: {options.on_violation}{more}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The markers work without the flag, where a module is loaded in debug mode."""
    if any(is_marked(item) for item in items):
        _watch(config)


def _switch_on(config: pytest.Config) -> _State:
    state = config.stash.setdefault(_STATE, _State())
    names = options_of_pytest.modules(config)
    if state.variables is None and names is not None:
        state.variables = {name: os.environ.get(name) for name in _VARIABLES}
        options_of_pytest.switch_on(names, os.environ)
    return state


def _standard_error() -> int:
    """What standard error is now: during tests it is captured, and lost if the process dies."""
    try:
        return os.dup(2)
    except OSError:  # it is closed
        return -1


def _watch(config: pytest.Config) -> None:
    from hpy.debug.pytest_watch import WATCHER, Watcher

    state = config.stash[_STATE]
    if WATCHER in config.stash or state.options is None:
        return
    watcher = config.stash[WATCHER] = Watcher(state.options)
    config.pluginmanager.register(watcher, "hpy_debug_watcher")
    summary: Any = config.pluginmanager.get_plugin("hpy_debug_summary")
    summary.watcher = watcher
    state.closers.append(watcher)
