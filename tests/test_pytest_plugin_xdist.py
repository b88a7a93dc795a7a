"""The pytest plugin under pytest-xdist: one summary, and workers that died are explained."""

import json
from pathlib import Path

import pytest

from support.extension import ModuleFactory, line_of
from support.pytest_suite import SOURCE, PytestSuite, section_of, summary_of

HPY_ABIS = ["debug"]
pytest_plugins = ["pytester"]


@pytest.fixture
def suite(pytester: pytest.Pytester, hpy_module: ModuleFactory) -> PytestSuite:
    return PytestSuite(pytester, hpy_module.build(SOURCE, name="suspect"))


def test_two_hundred_tests_and_a_worker_that_dies(
    suite: PytestSuite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    result = suite(
        "--hpy-debug",
        "--hpy-debug-report=out.jsonl",
        "-n2",
        others=("xdist",),
        test_it="""
            import pytest, suspect

            @pytest.mark.parametrize("i", range(200))
            def test_many(i):
                if i % 20 == 7:
                    suspect.leak(f"number {i}")
                if i == 100:
                    suspect.read_after_close("secret")
        """,
    )
    result.assert_outcomes(passed=189, failed=11)
    for i in range(7, 200, 20):
        text = section_of(result, rf"test_many\[{i}\]")
        assert "1 handle-leak: the test left open what it did not close" in text
        report = text.partition("-- hpy.debug --")[2]
        assert "HPy_Dup(ctx, arg);  /* leaks */" in report
        assert f"handle: 'number {i}' (str)" in report
    crash = section_of(result, "test_it.py")
    assert "crashed while running 'test_it.py::test_many[100]'" in crash
    assert "hpy.debug had found: 1 buffer-after-close\n" in crash
    report = crash.partition("-- hpy.debug --")[2]
    assert "error[buffer-after-close]: " in report
    assert "return HPyLong_FromLong(ctx, letters[0]);  /* reads */" in report
    assert "in test_many" in report
    report_file = suite.path / "out.jsonl"
    expected = f"1 buffer-after-close, 10 handle-leak (1 site), report: {report_file}"
    assert summary_of(result) == f"SUMMARY: hpy.debug: {expected}"
    lines = section_of(result, "HPy debug mode").splitlines()
    assert lines[0].startswith("10 handle-leak at ")
    assert lines[0].endswith(" and 7 more")
    assert lines[1].endswith("in read_after_close_impl, by test_it.py::test_many[100]")
    # Everything is in the one report file, and nothing is left beside it.
    kinds = [json.loads(line)["kind"] for line in report_file.read_text().splitlines()]
    assert sorted(kinds) == ["buffer-after-close"] + ["handle-leak"] * 10
    assert list(suite.path.glob("out.jsonl.*")) == []
    assert list(tmp_path.glob("hpy-debug-*")) == []


def test_policy_abort(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        "--hpy-debug-on-violation=abort",
        "-n1",
        others=("xdist",),
        test_it="""
            import suspect
            def test_dies(): suspect.use(1)
            def test_after(): pass
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    crash = section_of(result, "test_it.py")
    assert "hpy.debug had found: 1 use-after-close\n" in crash
    assert "return HPy_Add(ctx, arg, h);  /* uses */" in crash
    assert summary_of(result) == "SUMMARY: hpy.debug: 1 use-after-close"


def test_death_by_another_cause(suite: PytestSuite) -> None:
    """What was found in that test is told, and nothing of tests before it."""
    result = suite(
        "--hpy-debug",
        "-n1",
        others=("xdist",),
        test_it="""
            import os, signal, pytest, suspect, hpy.debug

            def test_before(): suspect.use(1)

            @pytest.mark.hpy_allow("double-close")
            def test_allowed(): suspect.close_twice(1)

            def test_dies(): os.kill(os.getpid(), signal.SIGKILL)

            def test_breaks_and_dies():
                with pytest.raises(hpy.debug.HPyDebugError): suspect.close_twice(1)
                os.kill(os.getpid(), signal.SIGKILL)

            def test_after(): pass
        """,
    )
    result.assert_outcomes(passed=2, failed=3)
    text = result.stdout.str()
    dead, broken = text.split("crashed while running '")[1:3]
    assert dead.startswith("test_it.py::test_dies'\n")
    assert "hpy.debug" not in dead.partition("\n___")[0]
    assert broken.startswith("test_it.py::test_breaks_and_dies'\nhpy.debug had found: 1 double-c")
    line = line_of(SOURCE, "/* closes twice */")
    assert f"suspect.c:{line} in close_twice_impl" in broken
    assert summary_of(result) == "SUMMARY: hpy.debug: 1 use-after-close, 1 double-close"


def test_fixtures_suppressions_and_what_is_missing(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug=suspect,other",
        "--hpy-debug-suppressions=known.txt",
        "-n2",
        others=("xdist",),
        files={"known.txt": "handle-leak function=leak_elsewhere\ntracker-leak\n"},
        test_it="""
            import pytest, suspect

            @pytest.fixture(scope="session")
            def shared():
                suspect.leak(1)

            @pytest.mark.parametrize("i", range(6))
            def test_it(i, shared): suspect.leak_elsewhere(1)
        """,
    )
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == 6
    assert 1 <= outcomes["errors"] <= 2  # once in each worker
    lines = section_of(result, "HPy debug mode").splitlines()
    assert "suppressed: 6 by handle-leak function=leak_elsewhere (known.txt:1)" in lines
    assert "never used: tracker-leak (known.txt:2)" in lines
    assert "the module other was never loaded" in lines
    assert not any("module suspect" in line for line in lines)
    summary_of(result)


def test_nothing_is_asked_for(suite: PytestSuite) -> None:
    tests = """
        import pytest, suspect
        @pytest.mark.parametrize("i", range(4))
        def test_it(i): pass
    """
    result = suite("-n2", others=("xdist",), test_it=tests)
    result.assert_outcomes(passed=4)
    assert "SUMMARY" not in result.stdout.str()


def test_marker_without_the_flag(suite: PytestSuite) -> None:
    result = suite(
        "-n2",
        others=("xdist",),
        env={"HPY_DEBUG": "1"},
        test_it="""
            import pytest, suspect

            @pytest.mark.hpy_leaks
            def test_marked(): suspect.leak(1)
            def test_unmarked(): suspect.leak(1)
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    assert summary_of(result) == "SUMMARY: hpy.debug: 1 handle-leak"


def test_violation_outside_of_tests_in_a_worker(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        "-n1",
        others=("xdist",),
        test_it="""
            import suspect
            try:
                suspect.use(1)
            except Exception:
                pass
            def test_it(): pass
        """,
    )
    result.assert_outcomes(passed=1)
    assert result.ret == 1
    assert "by what is outside of tests" in section_of(result, "HPy debug mode")
