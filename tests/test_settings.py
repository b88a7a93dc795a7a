"""Settings of debug mode: configure(), the variables, and what is refused."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import settings
from hpy.universal import _debug
from support.child import PythonRunner

DEFAULTS = {
    "on_violation": "abort",
    "report": None,
    "stack_depth": 16,
    "python_stacks": True,
    "guard": "strict",
    "closed_handles": 1024,
    "closed_buffers": 10 * 1024 * 1024,
    "long_lived": False,
    "suppressions": None,
    "top": 20,
    "debuginfod": False,
}


@pytest.fixture(autouse=True)
def _settings_are_brought_back() -> Iterator[None]:
    with hpy.debug.configure(**settings.current()):
        yield


def test_defaults(run_python: PythonRunner) -> None:
    done = run_python("import hpy.debug; print(dict(hpy.debug.configure()))")
    assert done.stdout == f"{DEFAULTS}\n"
    assert done.stderr == ""


def test_every_setting_is_declared_with_what_tools_need() -> None:
    assert list(settings.SETTINGS) == list(DEFAULTS)
    for name, setting in settings.SETTINGS.items():
        assert setting.name == name
        assert setting.default == DEFAULTS[name]
        assert setting.variable == "HPY_DEBUG_" + name.upper()
        assert setting.help
        assert setting.help[0].islower()
        assert setting.check(setting.default) == setting.default


def test_configure_returns_the_previous_settings() -> None:
    before = settings.current()
    previous = hpy.debug.configure(on_violation="raise", stack_depth=3)
    assert previous == before
    assert settings.current() == {**before, "on_violation": "raise", "stack_depth": 3}
    hpy.debug.configure(**previous)
    assert settings.current() == before


def test_configure_is_a_context_manager() -> None:
    hpy.debug.configure(top=7)
    with hpy.debug.configure(on_violation="warn", guard="heap") as previous:
        assert previous["on_violation"] == settings.SETTINGS["on_violation"].default
        assert settings.get("on_violation") == "warn"
        # What the block itself changed besides stays.
        hpy.debug.configure(top=8)
    assert settings.get("on_violation") == "abort"
    assert settings.get("guard") == "strict"
    assert settings.get("top") == 8


def test_context_manager_brings_back_after_an_exception() -> None:
    with pytest.raises(KeyError), hpy.debug.configure(stack_depth=1):
        raise KeyError
    assert settings.get("stack_depth") == 16


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("on_violation", "explode", "on_violation must be one of abort, raise, warn; it is 'explo"),
        ("stack_depth", 65, "stack_depth must be a whole number from 0 to 64; it is 65"),
        ("stack_depth", -1, "stack_depth must be a whole number from 0 to 64; it is -1"),
        ("guard", "", "guard must be one of strict, adaptive, heap; it is ''"),
        ("closed_handles", -1, "closed_handles must be a whole number from 0 to"),
        ("closed_buffers", -1, "closed_buffers must be a number of bytes from 0 to"),
        ("top", -1, "top must be a whole number from 0 to"),
        ("report", "", "report must be the path of a file in a folder that exists, or None; it"),
        ("report", "/no/such/folder/out", "report must be the path of a file in a folder that exi"),
        ("report", "/", "report must be the path of a file"),
        ("report", "a\0b", "report must be the path of a file"),
    ],
)
def test_value_out_of_range(name: str, value: Any, told: str) -> None:
    before = settings.current()
    with pytest.raises(ValueError, match="must be") as caught:
        hpy.debug.configure(**{"python_stacks": False, name: value})
    assert str(caught.value).startswith(told)
    assert settings.current() == before, "the valid ones of the same call are not applied"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("on_violation", 1),
        ("on_violation", None),
        ("stack_depth", "16"),
        ("stack_depth", True),
        ("stack_depth", 1.0),
        ("python_stacks", 1),
        ("long_lived", "yes"),
        ("report", 3),
        ("report", b"bytes"),
        ("top", None),
    ],
)
def test_value_of_another_type(name: str, value: Any) -> None:
    with pytest.raises(TypeError) as caught:
        hpy.debug.configure(**{name: value})
    found = f"{name} must be {settings.SETTINGS[name].expected}; it is {value!r}, of type"
    assert str(caught.value) == f"{found} {type(value).__name__}"


def test_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(TypeError) as caught:
        hpy.debug.configure(stack_dept=3)
    listed = ", ".join(DEFAULTS)
    assert str(caught.value) == (
        f"there is no setting 'stack_dept' of debug mode; there is {listed}"
    )


def test_report_takes_path_objects_and_stays_when_the_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hpy.debug.configure(report=Path("out-{pid}.jsonl"))
    assert settings.get("report") == str(tmp_path / "out-{pid}.jsonl")
    hpy.debug.configure(report=None)
    assert settings.get("report") is None


def test_the_older_functions_set_the_same_things() -> None:
    _debug.set_closed_handles_queue_max_size(77)
    _debug.set_protected_raw_data_max_size(88)
    hpy.debug.set_handle_stack_trace_limit(5)
    now = settings.current()
    assert (now["closed_handles"], now["closed_buffers"], now["stack_depth"]) == (77, 88, 5)
    hpy.debug.configure(closed_handles=1024, closed_buffers=1 << 20)
    assert _debug.get_closed_handles_queue_max_size() == 1024
    assert _debug.get_protected_raw_data_max_size() == 1 << 20
    hpy.debug.disable_handle_stack_traces()
    assert settings.get("stack_depth") == 0
    hpy.debug.set_handle_stack_trace_limit(-4)
    assert settings.get("stack_depth") == 0
    hpy.debug.set_handle_stack_trace_limit(1000)
    assert settings.get("stack_depth") == 64


# The environment.


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("on_violation", "raise", "raise"),
        ("stack_depth", "0", 0),
        ("python_stacks", "0", False),
        ("python_stacks", "off", False),
        ("long_lived", "True", True),
        ("long_lived", "1", True),
        ("guard", "adaptive", "adaptive"),
        ("closed_handles", "5", 5),
        ("closed_buffers", "64K", 64 * 1024),
        ("closed_buffers", "1 GiB", 1 << 30),
        ("closed_buffers", "10mb", 10 << 20),
        ("closed_buffers", "4096", 4096),
        ("top", "3", 3),
        ("report", "", None),
        ("suppressions", "", None),
    ],
)
def test_variable(run_python: PythonRunner, name: str, text: str, value: Any) -> None:
    done = run_python(
        f"import hpy.debug; print(repr(hpy.debug.configure()[{name!r}]))",
        env={settings.SETTINGS[name].variable: text},
    )
    assert (done.stdout, done.stderr) == (f"{value!r}\n", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("on_violation", "explode"),
        ("stack_depth", "many"),
        ("stack_depth", "65"),
        ("python_stacks", "maybe"),
        ("closed_buffers", "10X"),
        ("closed_buffers", "M"),
        ("top", ""),
        ("report", "/no/such/folder/out"),
    ],
)
def test_wrong_variable_is_told_once(run_python: PythonRunner, name: str, text: str) -> None:
    setting = settings.SETTINGS[name]
    done = run_python(
        f"""
        import hpy.debug, hpy.debug.pytest_plugin
        print(repr(hpy.debug.configure()[{name!r}]))
        hpy.debug.configure(top=4)
        """,
        env={setting.variable: text},
    )
    assert done.stdout == f"{setting.default!r}\n"
    assert done.stderr == (
        f"hpy.debug: the variable {setting.variable} must be {setting.expected}; it is {text!r}. "
        f"The default, {setting.default}, is used\n"
    )


def test_variable_with_a_slip_is_told(run_python: PythonRunner) -> None:
    env = {"HPY_DEBUG_ONVIOLATION": "raise", "HPY_DEBUG_BUILD": "1", "HPY_DEBUG": "0"}
    done = run_python("import hpy.debug", env=env)
    assert done.stderr == (
        "hpy.debug: the variable HPY_DEBUG_ONVIOLATION is ignored; did you mean "
        "HPY_DEBUG_ON_VIOLATION?\n"
    )


def test_importing_is_silent_and_imports_no_pytest(run_python: PythonRunner) -> None:
    done = run_python("import hpy.debug, sys; assert 'pytest' not in sys.modules")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_kinds() -> None:
    from hpy.debug import kinds

    known = {kind.name: kind for kind in kinds.all_kinds()}
    assert known["use-after-close"].severity == "error"
    assert known["long-lived-handle"].severity == "note"
    assert kinds.find("handle-leak") is known["handle-leak"]
    with pytest.raises(LookupError, match="no kind of violation 'leak'; there is handle-leak, "):
        kinds.find("leak")


def test_importable_without_the_native_module(run_python: PythonRunner) -> None:
    """The pytest plugin is imported everywhere, also by a Python that hpy was not built for."""
    done = run_python(
        """
        import sys
        sys.modules["hpy.debug._native"] = None
        import hpy.debug
        try:
            with hpy.debug.LeakDetector():
                pass
        except ImportError as error:
            print(error)
        """
    )
    assert done.stdout.startswith("the debug mode of hpy needs the native module hpy.debug._native")
    assert "pip install --force-reinstall hpy" in done.stdout
    assert done.stderr == ""
    assert os.environ.get("HPY_DEBUG") is None
