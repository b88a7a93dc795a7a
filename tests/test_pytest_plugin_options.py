"""The flags of the pytest plugin, their twins in the configuration file, and the environment."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support.extension import ModuleFactory
from support.pytest_suite import SOURCE, PytestSuite, section_of, summary_of

HPY_ABIS = ["debug"]
pytest_plugins = ["pytester"]


@pytest.fixture
def suite(pytester: pytest.Pytester, hpy_module: ModuleFactory) -> PytestSuite:
    return PytestSuite(pytester, hpy_module.build(SOURCE, name="suspect"))


LEAKS = """
    import suspect
    def test_leak(): suspect.leak(1)
"""


def ini(**values: str) -> dict[str, str]:
    lines = [f"{name} = {value}" for name, value in values.items()]
    return {"pytest.ini": "\n".join(["[pytest]", *lines, ""])}


def native_toml(**values: object) -> dict[str, str]:
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return {"pytest.toml": "\n".join(["[pytest]", *lines, ""])}


def older_toml(**values: object) -> dict[str, str]:
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return {"pyproject.toml": "\n".join(["[tool.pytest.ini_options]", *lines, ""])}


# Which modules.


@pytest.mark.parametrize(
    ("arguments", "on"),
    [
        (["--hpy-debug"], "all HPy modules"),
        (["--hpy-debug=1"], "all HPy modules"),
        (["--hpy-debug=suspect"], "suspect"),
        (["--hpy-debug=other,suspect"], "other, suspect"),
        (["--hpy-debug=pkg.suspect"], None),  # that is another module
        (["--hpy-debug=other"], None),
        (["--hpy-debug=off"], None),
    ],
)
def test_modules(suite: PytestSuite, arguments: list[str], on: str) -> None:
    result = suite(*arguments, test_it=LEAKS)
    result.assert_outcomes(failed=1) if on else result.assert_outcomes(passed=1)
    if on:
        assert f"hpy.debug: on for {on}, on violation: raise" in result.outlines
    assert ("the module other was never loaded" in result.outlines) == (
        arguments[0] in ("--hpy-debug=other,suspect",)
    )
    if arguments == ["--hpy-debug=other"]:
        assert "no HPy module was loaded in debug mode" in result.outlines


def test_path_behind_the_flag_is_a_path(suite: PytestSuite) -> None:
    """With its conftest file, which has options of its own."""
    folder = suite.path / "tests"
    folder.mkdir()
    (folder / "test_it.py").write_text("import suspect\ndef test_leak(): suspect.leak(1)\n")
    (folder / "conftest.py").write_text(
        "import suspect\ndef pytest_addoption(parser): parser.addoption('--mine')\n"
    )
    (suite.path / "test_other.py").write_text("def test_other(): pass\n")
    for arguments in (["--hpy-debug", "tests"], ["--hpy-debug", "tests/test_it.py::test_leak"]):
        result = suite(*arguments, "--mine=1")
        result.assert_outcomes(failed=1)
        assert "hpy.debug: on for all HPy modules, on violation: raise" in result.outlines


@pytest.mark.parametrize(
    ("variables", "arguments", "fails"),
    [
        ({"HPY": "universal"}, ["--hpy-debug"], True),
        ({"HPY": "universal"}, ["--hpy-debug=suspect"], True),
        ({"HPY": "suspect:universal,other:debug"}, ["--hpy-debug=suspect"], True),
        ({"HPY_DEBUG": "0"}, ["--hpy-debug"], True),
        ({"HPY_DEBUG": "suspect"}, ["--hpy-debug=other"], False),
    ],
)
def test_flag_overrules_the_environment(
    suite: PytestSuite, variables: dict[str, str], arguments: list[str], fails: bool
) -> None:
    result = suite(*arguments, env=variables, test_it=LEAKS)
    result.assert_outcomes(failed=1) if fails else result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "files",
    [
        ini(hpy_debug="true"),
        ini(hpy_debug="suspect"),
        ini(hpy_debug="other, suspect"),
        ini(hpy_debug="other suspect"),
        older_toml(hpy_debug=True),
        older_toml(hpy_debug=["other", "suspect"]),
    ],
    ids=str,
)
def test_configuration_file(suite: PytestSuite, files: dict[str, str]) -> None:
    suite("--strict-config", files=files, test_it=LEAKS).assert_outcomes(failed=1)
    suite("--hpy-debug=off").assert_outcomes(passed=1)  # the flag counts more


@pytest.mark.skipif(int(pytest.__version__.split(".")[0]) < 9, reason="pytest 9 has them")
@pytest.mark.parametrize("value", [True, "suspect", ["other", "suspect"]])
def test_native_toml(suite: PytestSuite, value: Any) -> None:
    files = native_toml(hpy_debug=value, hpy_debug_top=3)
    suite("--strict-config", files=files, test_it=LEAKS).assert_outcomes(failed=1)


def test_conftest_that_imports_the_module(suite: PytestSuite) -> None:
    result = suite("--hpy-debug", conftest="import suspect", test_it=LEAKS)
    result.assert_outcomes(failed=1)


# The settings.


@pytest.mark.parametrize("how", ["ini", "variable", "flag"])
def test_order_of_policies(suite: PytestSuite, how: str) -> None:
    """Flag, then variable, then file."""
    files = ini(hpy_debug="true", hpy_debug_on_violation="warn")
    env = {"HPY_DEBUG_ON_VIOLATION": "abort"} if how != "ini" else {}
    arguments = ["--hpy-debug-on-violation=raise"] if how == "flag" else []
    result = suite(
        *arguments,
        files=files,
        env=env,
        test_it="""
            from hpy.debug import settings
            import suspect
            def test_policy():
                suspect.leak(1)
                print("the policy is", settings.current()["on_violation"])
        """,
    )
    policy = {"ini": "warn", "variable": "abort", "flag": "raise"}[how]
    assert f"hpy.debug: on for all HPy modules, on violation: {policy}" in result.outlines
    assert f"the policy is {policy}" in section_of(result, "test_policy")


@pytest.mark.parametrize("how", ["flag", "ini", "variable"])
@pytest.mark.parametrize("path", ["out.jsonl", "out-{pid}.jsonl"])
def test_report(suite: PytestSuite, how: str, path: str) -> None:
    result = suite(
        *(["--hpy-debug", f"--hpy-debug-report={path}"] if how == "flag" else ["--hpy-debug"]),
        files=ini(hpy_debug_report=path) if how == "ini" else {},
        env={"HPY_DEBUG_REPORT": path} if how == "variable" else {},
        test_it="""
            import os, suspect
            def test_leak(tmp_path, monkeypatch):
                monkeypatch.chdir(tmp_path)
                suspect.leak(1)
        """,
    )
    result.assert_outcomes(failed=1)
    (report,) = suite.path.glob("out*.jsonl")
    assert re.fullmatch(path.replace("{pid}", r"\d+"), report.name)
    (line,) = report.read_text().splitlines()
    assert json.loads(line)["kind"] == "handle-leak"
    assert summary_of(result).startswith("SUMMARY: hpy.debug: 1 handle-leak, report: ")


@pytest.mark.parametrize("how", ["flag", "ini", "variable"])
def test_top(suite: PytestSuite, how: str) -> None:
    result = suite(
        *(["--hpy-debug", "--hpy-debug-top=1"] if how == "flag" else ["--hpy-debug"]),
        files=ini(hpy_debug_top="1") if how == "ini" else {},
        env={"HPY_DEBUG_TOP": "1"} if how == "variable" else {},
        test_it="""
            import suspect
            def test_leak():
                suspect.leak_elsewhere(1)
                for i in range(2): suspect.leak(i)
        """,
    )
    result.assert_outcomes(failed=1)
    text = section_of(result, "test_leak")
    assert "\n    2 handle-leak at " in text
    assert "\n    and 1 more place (--hpy-debug-top shows more)\n" in text
    assert "and 1 more site with 1 violation not shown" in text
    lines = section_of(result, "HPy debug mode").splitlines()
    assert lines[0].startswith("2 handle-leak at ")
    assert lines[1] == "and 1 more place: --hpy-debug-top sets how many are shown"
    assert lines[2] == "SUMMARY: hpy.debug: 3 handle-leak (2 sites)"


def test_other_settings_are_those_of_the_environment(suite: PytestSuite) -> None:
    result = suite("--hpy-debug", env={"HPY_DEBUG_STACK_DEPTH": "0"}, test_it=LEAKS)
    result.assert_outcomes(failed=1)
    assert "1 handle-leak at the function leak of suspect" in section_of(result, "test_leak")


# What is refused.


WRONG = [
    (["--hpy-debug=a/b"], "--hpy-debug must be true, false or the names of modules", "'a/b'"),
    (["--hpy-debug=a,,b-c"], "--hpy-debug must be true, false or the names", "'b-c' is no name"),
    (["--hpy-debug=,"], "--hpy-debug must be true, false or the names of modules", "','"),
    (
        ["--hpy-debug-on-violation=explode"],
        "--hpy-debug-on-violation must be one of abort, raise, warn; it is 'explode'",
        "",
    ),
    (["--hpy-debug-top=many"], "--hpy-debug-top must be a whole number from 0", "'many'"),
    (["--hpy-debug-top=-1"], "--hpy-debug-top must be a whole number from 0", "'-1'"),
    (
        ["--hpy-debug-report=no/such/out"],
        "--hpy-debug-report must be the path of a file in a folder that exists",
        "'no/such/out'",
    ),
    (["--hpy-debug-report=."], "--hpy-debug-report must be the path of a file", "'.'"),
    (["--hpy-debug-report=/proc/out"], "--hpy-debug-report must be a file that can", "'/proc/out'"),
    (
        ["--hpy-debug-suppressions=no-such-file"],
        "--hpy-debug-suppressions must be the path of a file of suppressions",
        "No such file",
    ),
    (["--hpy-debug-loop=0"], "--hpy-debug-loop must be how often to run each test", "'0'"),
    (["--hpy-debug-loop=often"], "a whole number from 1; it is 'often'", "5 is a good number"),
]


@pytest.mark.parametrize(("arguments", "wanted", "found"), WRONG, ids=str)
def test_wrong_flag(suite: PytestSuite, arguments: list[str], wanted: str, found: str) -> None:
    """What was wanted, and what was found; a usage error, and no test is run."""
    result = suite(*arguments, test_it="def test_it(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = " ".join(line for line in result.errlines if line.startswith("ERROR: "))
    assert wanted in message, result.stderr.str()
    assert found in message
    assert "Traceback" not in result.stderr.str()
    assert "passed" not in result.stdout.str()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"hpy_debug": "a/b"}, "hpy_debug must be true, false or the names of modules"),
        ({"hpy_debug_on_violation": "x"}, "hpy_debug_on_violation must be one of abort, raise, w"),
        ({"hpy_debug_top": "x"}, "hpy_debug_top must be a whole number from 0"),
        ({"hpy_debug_loop": "x"}, "hpy_debug_loop must be how often to run each test"),
        ({"hpy_debug_report": "no/such/out"}, "hpy_debug_report must be the path of a file"),
    ],
)
def test_wrong_configuration_file(
    suite: PytestSuite, values: dict[str, str], expected: str
) -> None:
    result = suite(files=ini(**values), test_it="def test_it(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {expected}" in result.stderr.str()


def test_wrong_variable_is_told_once_and_the_default_is_taken(suite: PytestSuite) -> None:
    env = {"HPY_DEBUG_ON_VIOLATION": "explode"}
    result = suite("--hpy-debug", env=env, test_it=LEAKS)
    result.assert_outcomes(failed=1)
    assert result.stderr.str().count("HPY_DEBUG_ON_VIOLATION") == 1
    assert "hpy.debug: on for all HPy modules, on violation: raise" in result.outlines


def test_help(suite: PytestSuite) -> None:
    result = suite("--help")
    text = " ".join(result.stdout.str().split())
    for flag in ("[=MODULES]", "", "-on-violation", "-report", "-top", "-suppressions", "-loop"):
        if flag != "[=MODULES]":
            assert f"--hpy-debug{flag}" in text
    for name in ("", "_on_violation", "_report", "_top", "_suppressions", "_loop"):
        assert f"hpy_debug{name} (" in text
    assert "(default: raise)" in text


def test_markers_are_listed(suite: PytestSuite) -> None:
    text = suite("--markers").stdout.str()
    assert "@pytest.mark.hpy_leaks(limit=0, ignore=None): " in text
    assert "@pytest.mark.hpy_allow(kind, reason=...): " in text


def test_plugin_costs_little(suite: PytestSuite) -> None:
    """What it imports where nobody asked for anything: none of the plugin's larger half."""
    (Path(suite.path) / "test_it.py").write_text(
        "import sys\ndef test_it():\n"
        "    ours = {name for name in sys.modules if name.startswith('hpy.debug.pytest')}\n"
        "    assert ours <= {'hpy.debug.pytest', 'hpy.debug.pytest_plugin',\n"
        "        'hpy.debug.pytest_options', 'hpy.debug.pytest_rules', 'hpy.debug.pytest_found',\n"
        "        'hpy.debug.pytest_summary'}, ours\n"
    )
    suite().assert_outcomes(passed=1)
