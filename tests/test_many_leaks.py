"""More than 10 000 leaks of one place, of which not every handle is listed, are counted exactly."""

import json
from pathlib import Path

import pytest

from support.child import PythonRunner
from support.extension import Extension, ModuleFactory
from support.pytest_suite import SOURCE, PytestSuite, section_of, summary_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check
pytest_plugins = ["pytester"]


@pytest.fixture
def extension(hpy_module: ModuleFactory) -> Extension:
    built = hpy_module.build(SOURCE, name="suspect")
    built.env.clear()
    return built


@pytest.fixture
def suite(pytester: pytest.Pytester, extension: Extension) -> PytestSuite:
    return PytestSuite(pytester, extension)


def counts_in(path: Path) -> dict[str, list[int]]:
    """The counts of the lines of a report file, of each kind."""
    found: dict[str, list[int]] = {}
    for line in path.read_text().splitlines():
        violation = json.loads(line)
        found.setdefault(violation["kind"], []).append(violation["count"])
    return found


def test_limit_of_the_marker(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        "--hpy-debug-report=out.jsonl",
        test_it="""
            import pytest, suspect

            def leak(times):
                for _ in range(times): suspect.leak(1)

            @pytest.fixture
            def leaky():
                leak(10_070)

            @pytest.mark.hpy_leaks(limit=10_050)
            def test_within(): leak(10_050)

            @pytest.mark.hpy_leaks(limit=10_050)
            def test_beyond(): leak(10_051)

            @pytest.mark.hpy_leaks(limit=30_000)
            def test_two_places_and_a_tracker():
                leak(15_000)
                for _ in range(15_000): suspect.leak_elsewhere(1)
                suspect.leak_tracker(1)

            def test_with_a_fixture(leaky): leak(3)

            @pytest.mark.hpy_allow("handle-leak", reason="many")
            def test_allowed(): leak(10_060)

            @pytest.mark.hpy_leaks(limit=1, ignore=lambda leak: leak.obj == "fine")
            def test_ignored():
                for i in range(10_080): suspect.leak("fine" if i % 5040 else "bad")
        """,
    )
    result.assert_outcomes(passed=2, failed=4, errors=1)
    assert section_of(result, "test_beyond").startswith("10051 handle-leak: the test left open")
    text = section_of(result, "test_two_places_and_a_tracker")
    assert text.startswith("30000 handle-leak, 1 tracker-leak: ")
    assert section_of(result, "test_with_a_fixture").startswith("3 handle-leak: ")
    text = section_of(result, "ERROR at teardown of test_with_a_fixture")
    assert text.startswith("10070 handle-leak: the fixture 'leaky' left open")
    assert section_of(result, "test_ignored").startswith("2 handle-leak: the test left open")
    total = 10051 + 30000 + 3 + 10070 + 2
    assert f"{total} handle-leak (6 sites)" in summary_of(result)
    assert "allowed: 10060 handle-leak (many), by test_it.py::test_allowed" in result.outlines
    counts = counts_in(suite.path / "out.jsonl")
    # Not what is allowed, nor what the limit lets pass.
    assert sum(counts["handle-leak"]) == total
    assert counts["tracker-leak"] == [1]


def test_run(extension: Extension, run_python: PythonRunner, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import suspect, hpy.debug\n"
        "for _ in range(10_050): suspect.leak(1)\n"
        "for _ in range(7): suspect.leak_elsewhere(1)\n"
        "try:\n"
        "    with hpy.debug.LeakDetector():\n"
        "        for _ in range(10_060): suspect.leak(1)\n"
        "except hpy.debug.HPyLeakError: pass\n"
    )
    flags = ["-m", "hpy.debug", "run", "--report", "out.jsonl", "script.py"]
    done = run_python.run(flags, module=extension, cwd=tmp_path)
    assert done.returncode == 70
    assert "= count: 10 050 times with the same stacks" in done.stderr
    assert "= count: 10 060 times with the same stacks" in done.stderr
    assert "20117 handle-leak (3 sites), report: " in done.stderr.splitlines()[-1]
    assert counts_in(tmp_path / "out.jsonl") == {"handle-leak": [10060, 10050, 7]}
