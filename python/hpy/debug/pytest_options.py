"""The flags of the pytest plugin and their twins in the configuration file.

    pytest --hpy-debug=matrix --hpy-debug-report=out.jsonl

    [pytest]
    hpy_debug = matrix
    hpy_debug_report = out.jsonl

What is said twice counts in this order: flag, environment variable, configuration file. The flags
for settings of debug mode are made from settings.SETTINGS, with its help and its checks.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import pytest

from hpy.debug import settings

_SETTINGS = ("on_violation", "report", "top", "suppressions")
_ON = ("1", "true", "yes", "on")
_OFF = ("", "0", "false", "no", "off")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_FLAG = "--hpy-debug"
# Where the controller of pytest-xdist tells a worker the path of its own report file.
WORKER_REPORT = "hpy_debug_report"


@dataclass(frozen=True)
class Options:
    """What was asked for. `modules` is None when debug mode was not, and empty for all modules."""

    modules: tuple[str, ...] | None
    on_violation: str
    report: str | None
    top: int
    suppressions: str | None
    loop: int

    @property
    def on(self) -> bool:
        return self.modules is not None


def add(parser: pytest.Parser) -> None:
    """Declares the flags and the settings of the configuration file."""
    group = parser.getgroup("hpy_debug", "debug mode of HPy")
    help = (
        "load HPy modules, or only MODULES (a list with commas), in debug mode; a test fails that "
        "leaves handles open or makes an extension break the rules of HPy"
    )
    group.addoption(
        _FLAG, dest="hpy_debug", nargs="?", const="1", default=None, metavar="MODULES", help=help
    )
    parser.addini("hpy_debug", help, type="args", default=None)
    for name in _SETTINGS:
        setting = settings.SETTINGS[name]
        default = "raise" if name == "on_violation" else setting.default
        text = f"{setting.help} (default: {default})"
        group.addoption(f"{_FLAG}-{name.replace('_', '-')}", default=None, help=text)
        parser.addini(f"hpy_debug_{name}", text, type="string", default=None)
    help = "run the body of each test N times, and report only leaks that grow with the count"
    group.addoption(f"{_FLAG}-loop", default=None, metavar="N", help=help)
    parser.addini("hpy_debug_loop", help, type="string", default=None)


def mend_arguments(config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Takes back what argparse took for MODULES: in `--hpy-debug tests`, tests is a path.

    Must be called before the conftest files of the paths are loaded.
    """
    if _FLAG not in args:
        return
    args[:] = [f"{_FLAG}=1" if arg == _FLAG else arg for arg in args]
    parsed = parser.parse_known_args(args, namespace=copy.copy(config.option))
    known = config.known_args_namespace
    known.hpy_debug, known.file_or_dir = parsed.hpy_debug, parsed.file_or_dir


def modules(config: pytest.Config) -> tuple[str, ...] | None:
    """Which modules to load in debug mode: () all, None that nobody asked."""
    flag = getattr(config.known_args_namespace, "hpy_debug", None)
    if flag is None:
        flag = config.getoption("hpy_debug", None)  # in a worker of pytest-xdist
    if flag is not None:
        return _parse_modules(_FLAG, flag)
    ini = _ini(config, "hpy_debug")
    return None if ini is None else _parse_modules("hpy_debug", ini)


def read(config: pytest.Config) -> Options:
    """All of it, checked; pytest.UsageError says what is wrong."""
    values = {name: _setting(config, name) for name in _SETTINGS}
    workerinput: Mapping[str, Any] = getattr(config, "workerinput", {})
    if WORKER_REPORT in workerinput:
        values["report"] = workerinput[WORKER_REPORT]
    elif values["report"] is not None:
        _check_writable(values["report"])
    return Options(modules=modules(config), loop=_loop(config), **values)


def switch_on(names: tuple[str, ...], environment: MutableMapping[str, str]) -> None:
    """Makes the loader of extensions use debug mode for these modules, or for all."""
    text = ",".join(names) or "1"
    older = environment.get("HPY", "")
    if not older:
        environment["HPY_DEBUG"] = text
    elif not names:
        environment["HPY"] = "debug"
    else:
        # HPY overrules HPY_DEBUG, and its first entry for a module counts.
        mine = ",".join(f"{name}:debug" for name in names)
        environment["HPY"] = f"{mine},{older}" if ":" in older else mine


def _setting(config: pytest.Config, name: str) -> Any:
    flag = f"{_FLAG}-{name.replace('_', '-')}"
    text = config.getoption(f"hpy_debug_{name}", None)
    if text is not None:
        return _parse(flag, name, text)
    variable = os.environ.get(settings.SETTINGS[name].variable)
    if variable is not None:
        try:
            return settings.parse(name, variable)
        except ValueError:
            pass  # `import hpy.debug` has told it
    text = _ini(config, f"hpy_debug_{name}")
    if text is not None:
        return _parse(f"hpy_debug_{name}", name, text)
    return "raise" if name == "on_violation" else settings.SETTINGS[name].default


def _parse(shown: str, name: str, text: str) -> Any:
    try:
        return settings.parse(name, text)
    except ValueError as error:
        raise pytest.UsageError(f"{shown}{str(error)[len(name) :]}") from None


def _loop(config: pytest.Config) -> int:
    text = config.getoption("hpy_debug_loop", None)
    shown = f"{_FLAG}-loop"
    if text is None:
        shown, text = "hpy_debug_loop", _ini(config, "hpy_debug_loop")
    if text is None:
        return 1
    if not re.fullmatch(r"\d{1,9}", text.strip()) or int(text) == 0:
        raise pytest.UsageError(
            f"{shown} must be how often to run each test, a whole number from 1; it is {text!r}. "
            "5 is a good number"
        )
    return int(text)


def _ini(config: pytest.Config, name: str) -> str | None:
    """As text, whatever it is in the file: TOML has true, 5 and lists."""
    try:
        value = config.getini(name)
    except (TypeError, pytest.UsageError):
        # pytest 9 is strict about the types of TOML, and wants one for each name.
        raw = getattr(config, "_inicfg", {}).get(name)
        value = getattr(raw, "value", raw)
    if value is None or value == "" or value == []:  # pytest 7 says so of what is not there
        return None
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _parse_modules(shown: str, text: str) -> tuple[str, ...] | None:
    if text.strip().lower() in _OFF:
        return None
    if text.strip().lower() in _ON:
        return ()
    names = tuple(name for name in re.split(r"[,\s]+", text) if name)
    wrong = [name for name in names if not _MODULE.fullmatch(name)]
    if wrong or not names:
        raise pytest.UsageError(
            f"{shown} must be true, false or the names of modules, such as matrix,pkg.other; "
            f"it is {text!r}" + (f", and {wrong[0]!r} is no name of a module" if wrong else "")
        )
    return names


def _check_writable(path: str) -> None:
    if "{pid}" in path:
        return
    new = not os.path.exists(path)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666))
        if new:
            os.unlink(path)
    except OSError as error:
        raise pytest.UsageError(
            f"{_FLAG}-report must be a file that can be written; {path!r} cannot: "
            f"{error.strerror}. Name another, or make it writable"
        ) from None
