"""The settings of debug mode, each declared once; configure() and the variables HPY_DEBUG_<NAME>.

Everything that shows or takes a setting (configure(), the environment, the flags of pytest and of
`python -m hpy.debug`, the documentation) reads SETTINGS. To add one: an entry there, and what the
native code does with it in configure_native().
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Callable

from hpy.debug.native import loaded, native

_MIB = 1024 * 1024
_UNITS = {"": 1, "K": 1024, "M": _MIB, "G": 1024 * _MIB}
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


@dataclass(frozen=True)
class Setting:
    """A setting: `check` takes a value of Python, `parse` the text of a variable or a flag.

    Both return the value to use, or raise TypeError or ValueError with the text `expected`.
    """

    name: str
    default: Any
    help: str
    expected: str
    check: Callable[[Any], Any]
    parse: Callable[[str], Any]
    native: bool = True  # whether the native code is told of it
    metavar: str = ""  # what stands for the value in help; a setting without one is yes or no
    is_path: bool = False

    @property
    def variable(self) -> str:
        return f"HPY_DEBUG_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """That of `python -m hpy.debug run`."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        """The name in the ini file of pytest; its flag is the same with dashes."""
        return f"hpy_debug_{self.name}"

    @property
    def is_flag(self) -> bool:
        return not self.metavar

    @property
    def shown_default(self) -> str:
        """The default as a person writes it."""
        if self.default is None:
            return "none"
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if isinstance(self.default, int) and self.default >= _MIB and self.default % _MIB == 0:
            return f"{self.default // _MIB} MiB"
        return str(self.default)


class _NotAllowedError(Exception):
    """A value of the right type that is none of those allowed. Its text, if any, says more."""


def _choice(name: str, default: str, help: str, *choices: str) -> Setting:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError
        if value not in choices:
            raise _NotAllowedError
        return value

    expected = f"one of {', '.join(choices)}"
    return Setting(name, default, help, expected, check, check, metavar=f"{{{','.join(choices)}}}")


def _flag(name: str, default: bool, help: str) -> Setting:
    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise TypeError
        return value

    def parse(text: str) -> bool:
        if text.lower() not in (*_TRUE, *_FALSE):
            raise _NotAllowedError
        return text.lower() in _TRUE

    return Setting(name, default, help, "True or False (1 or 0)", check, parse)


def _number(name: str, default: int, help: str, low: int, high: int) -> Setting:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError
        if not low <= value <= high:
            raise _NotAllowedError
        return value

    expected = f"a whole number from {low} to {high}"
    return Setting(name, default, help, expected, check, lambda t: check(_int(t)), metavar="N")


def _size(name: str, default: int, help: str, high: int) -> Setting:
    number = _number(name, default, help, 0, high)

    def parse(text: str) -> int:
        digits = text.strip().upper()
        for ending in ("IB", "B"):
            if digits.endswith(ending):
                digits = digits[: -len(ending)]
                break
        unit = digits[-1:] if digits[-1:] in ("K", "M", "G") else ""
        value: int = number.check(_int(digits[: len(digits) - len(unit)].strip()) * _UNITS[unit])
        return value

    expected = f"a number of bytes from 0 to {high} (in a variable also 512K, 10M, 1G)"
    return Setting(name, default, help, expected, number.check, parse, metavar="BYTES")


def _path(name: str, help: str, *, native: bool, writes: bool) -> Setting:
    def check(value: Any) -> str | None:
        if value is None:
            return None
        text = os.fspath(value)  # TypeError when it is no path
        if not isinstance(text, str):
            raise TypeError
        if not text or "\0" in text:
            raise _NotAllowedError
        # Absolute, for the program may change its directory. A folder that does not exist is
        # refused now, and not when the first line gets lost.
        path = os.path.abspath(text)
        folder = os.path.dirname(path)
        if writes and ("{pid}" not in folder and not os.path.isdir(folder)):
            raise _NotAllowedError
        if os.path.isdir(path):
            raise _NotAllowedError
        if not writes:
            _read_suppressions(path)
        return path

    def parse(text: str) -> str | None:
        return check(text) if text else None

    expected = (
        "the path of a file in a folder that exists, or None"
        if writes
        else "the path of a file of suppressions, or None"
    )
    return Setting(name, None, help, expected, check, parse, native, metavar="F", is_path=True)


def _read_suppressions(path: str) -> None:
    """Now, and not when the first violation is to be looked up in them."""
    from hpy.debug import suppressions

    try:
        suppressions.read_file(path)
    except suppressions.SuppressionError as error:
        raise _NotAllowedError(str(error)) from None


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _NotAllowedError from None


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        _choice(
            "on_violation",
            "abort",
            "what happens when an extension makes a mistake: abort the process with a report, "
            "raise HPyDebugError, or issue an HPyDebugWarning",
            *("abort", "raise", "warn"),
        ),
        _path(
            "report",
            "file to which every violation and leak is appended as a line of JSON; {pid} in it is "
            "replaced by the id of the process",
            native=True,
            writes=True,
        ),
        _number(
            "stack_depth",
            16,
            "native frames that are kept of the place where a handle is opened or closed; 0 "
            "switches these traces off",
            *(0, 64),
        ),
        _flag("python_stacks", True, "read the Python frames of violations and leaks"),
        _choice(
            "guard",
            "strict",
            "how memory behind pointers is guarded: strict makes every wrong access fault, "
            "adaptive revokes in batches where it was always right, heap uses canaries and "
            "poison only",
            *("strict", "adaptive", "heap"),
        ),
        _number(
            "closed_handles",
            1024,
            "how many closed handles keep the story of where they were opened and closed, at least",
            *(0, 2**28 - 1),
        ),
        _size(
            "closed_buffers",
            10 * _MIB,
            "bytes of address space that buffers of closed handles may hold",
            2**46,
        ),
        _flag("long_lived", False, "note handles that stay open beyond the call that opened them"),
        _path("suppressions", "file with violations not to report", native=False, writes=False),
        _number("top", 20, "sites that a report as text shows, the rest is counted", 0, 2**31 - 1),
        _flag(
            "debuginfod",
            False,
            "let the symbolizer ask the servers of DEBUGINFOD_URLS for debug information",
        ),
    )
}

# What is in force. Belongs to the interpreter, as all of Python does.
_values: dict[str, Any] = {name: setting.default for name, setting in SETTINGS.items()}


class PreviousSettings(dict[str, Any]):
    """What configure() returns: the settings before it.

    `configure(**previous)` brings them all back; leaving a `with` block brings back those that this
    configure() changed.
    """

    def __init__(self, values: Mapping[str, Any], changed: tuple[str, ...]) -> None:
        super().__init__(values)
        self._changed = changed

    def __enter__(self) -> PreviousSettings:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name in self._changed:
            _set(name, self[name])


def configure(**settings: Any) -> PreviousSettings:
    """Changes settings of debug mode and returns those before; see SETTINGS for what there is.

        previous = hpy.debug.configure(on_violation="raise")
        with hpy.debug.configure(stack_depth=0):
            ...

    TypeError for an unknown name or a value of the wrong type, ValueError for a value that is not
    allowed; nothing is changed then. Without arguments it changes nothing.
    """
    native()  # ImportError says why there is no debug mode to configure
    checked = {name: check(name, value) for name, value in settings.items()}
    previous = PreviousSettings(current(), tuple(checked))
    for name, value in checked.items():
        _set(name, value)
    return previous


def prepare(**values: Any) -> dict[str, Any]:
    """As configure(), but imports nothing native: the values count from when that is needed.

    Returns the previous values of these settings. The values are not checked: parse() does that.
    """
    previous = {name: _values[name] for name in values}
    for name, value in values.items():
        _set(name, value)
    return previous


def connect() -> None:
    """Tells the native module, which was just imported, the settings that it has not heard of."""
    for name, setting in SETTINGS.items():
        if _values[name] != setting.default:
            _set(name, _values[name])


def current() -> dict[str, Any]:
    """The settings in force."""
    if loaded():  # the two that the functions of _debug set too
        debug = native()._debug
        _values["closed_handles"] = debug.get_closed_handles_queue_max_size()
        _values["closed_buffers"] = debug.get_protected_raw_data_max_size()
    return dict(_values)


def get(name: str) -> Any:
    """One setting that is in force."""
    return _values[name]


def note(name: str, value: Any) -> None:
    """Takes note of what an older function of _debug has set already."""
    _values[name] = value


def check(name: str, value: Any) -> Any:
    """The value to use for the setting `name`; TypeError or ValueError as configure() says."""
    setting = _find(name)
    try:
        return setting.check(value)
    except TypeError:
        found = f"{value!r}, of type {type(value).__name__}"
        raise TypeError(f"{name} must be {setting.expected}; it is {found}") from None
    except _NotAllowedError as error:
        raise ValueError(_refusal(name, setting, value, error)) from None


def parse(name: str, text: str) -> Any:
    """The value of the setting `name` written as `text`; ValueError as configure() says."""
    setting = _find(name)
    try:
        return setting.parse(text)
    except (TypeError, _NotAllowedError) as error:
        raise ValueError(_refusal(name, setting, text, error)) from None


def _refusal(name: str, setting: Setting, value: object, error: Exception) -> str:
    more = f" ({error})" if isinstance(error, _NotAllowedError) and str(error) else ""
    return f"{name} must be {setting.expected}; it is {value!r}{more}"


def apply_environment(environment: Mapping[str, str] = os.environ) -> None:
    """Sets what the variables say. What is wrong in them is told on standard error."""
    for name, setting in SETTINGS.items():
        text = environment.get(setting.variable)
        if text is None:
            continue
        try:
            _set(name, parse(name, text))
        except ValueError as error:
            told = str(error)[len(name) :]
            _tell(f"the variable {setting.variable}{told}. The default, {setting.default}, is used")
    known = {setting.variable: setting for setting in SETTINGS.values()}
    for variable in environment:
        if variable.startswith("HPY_DEBUG_") and variable not in known:
            _tell_of_slip(variable, list(known))


def _find(name: str) -> Setting:
    try:
        return SETTINGS[name]
    except KeyError:
        raise TypeError(
            f"there is no setting {name!r} of debug mode; there is {', '.join(SETTINGS)}"
        ) from None


def _set(name: str, value: Any) -> None:
    if SETTINGS[name].native and loaded():
        native().configure_native(name, value)
    _values[name] = value


def _tell_of_slip(variable: str, known: list[str]) -> None:
    # Others may have variables of that beginning too; only what looks like one of ours is told.
    import difflib

    for close in difflib.get_close_matches(variable, known, 1, 0.9):
        _tell(f"the variable {variable} is ignored; did you mean {close}?")


def _tell(message: str) -> None:
    if sys.stderr is not None:
        print(f"hpy.debug: {message}", file=sys.stderr)
