"""The pytest plugin: its markers, its fixture, and what belongs to the settings."""

import json
from typing import Any

import pytest

from support.extension import ModuleFactory, line_of
from support.pytest_suite import SOURCE, PytestSuite, section_of, summary_of

HPY_ABIS = ["debug"]
pytest_plugins = ["pytester"]


@pytest.fixture
def suite(pytester: pytest.Pytester, hpy_module: ModuleFactory) -> PytestSuite:
    return PytestSuite(pytester, hpy_module.build(SOURCE, name="suspect"))


def place(comment: str) -> str:
    return f"suspect.c:{line_of(SOURCE, f'/* {comment} */')} in "


def test_hpy_leaks(suite: PytestSuite) -> None:
    tests = """
        import pytest, suspect

        @pytest.mark.hpy_leaks(limit=2)
        def test_within():
            suspect.leak(1), suspect.leak(2)

        @pytest.mark.hpy_leaks(2)
        def test_beyond():
            suspect.leak(1), suspect.leak(2), suspect.leak(3)

        @pytest.mark.hpy_leaks(ignore=lambda leak: leak.obj == "fine")
        def test_ignored():
            suspect.leak("fine")

        @pytest.mark.hpy_leaks(ignore=lambda leak: leak.obj == "fine")
        def test_not_ignored():
            suspect.leak("fine"), suspect.leak("bad")

        @pytest.mark.hpy_leaks
        class TestAll:
            def test_leak(self): suspect.leak(1)

            @pytest.mark.hpy_leaks(limit=1)
            def test_the_closest_marker_counts(self): suspect.leak(1)

        def test_unmarked(): suspect.leak(1)
    """
    result = suite("--hpy-debug", test_it=tests)
    result.assert_outcomes(passed=3, failed=4)
    assert section_of(result, "test_beyond").startswith("3 handle-leak: ")
    assert section_of(result, "test_not_ignored").startswith("1 handle-leak: ")
    # The marker alone, where the module is loaded in debug mode, and where it is not.
    result = suite(env={"HPY_DEBUG": "suspect"})
    result.assert_outcomes(passed=4, failed=3)
    assert "hpy.debug: on" not in result.stdout.str()
    assert summary_of(result) == "SUMMARY: hpy.debug: 5 handle-leak (3 sites)"
    result = suite()
    result.assert_outcomes(passed=7)
    assert "SUMMARY" not in result.stdout.str()


def test_hpy_leaks_of_a_module_is_for_its_fixtures_too(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import pytest, suspect
            pytestmark = pytest.mark.hpy_leaks(limit=1)

            @pytest.fixture(scope="module")
            def shared():
                suspect.leak(1)

            @pytest.fixture(scope="session")
            def global_():
                suspect.leak(1)

            def test_it(shared): pass
            def test_other(global_): pass
        """,
    )
    result.assert_outcomes(passed=2, errors=1)
    assert "the fixture 'global_' (session scope) left open" in result.stdout.str()


def test_hpy_allow(suite: PytestSuite) -> None:
    tests = """
        import pytest, suspect, hpy.debug

        @pytest.mark.hpy_allow("use-after-close", reason="issue 12")
        def test_swallowed():
            with pytest.raises(hpy.debug.HPyDebugError):
                suspect.use(1)

        @pytest.mark.hpy_allow("use-after-close", reason="issue 12")
        def test_raised():
            suspect.use(1)

        @pytest.mark.hpy_allow("use-after-close")
        def test_another_kind():
            suspect.close_twice(1)

        @pytest.mark.hpy_allow("use-after-close")
        def test_another_error():
            try:
                suspect.use(1)
            except hpy.debug.HPyDebugError:
                assert 1 == 2

        @pytest.mark.hpy_allow("handle-leak", reason="a cache")
        @pytest.mark.hpy_allow("use-after-close", reason="issue 13")
        def test_both():
            suspect.leak(1)
            suspect.use(1)

        @pytest.mark.hpy_allow("handle-leak")
        def test_detector():
            with hpy.debug.LeakDetector():
                suspect.leak(1)

        @pytest.mark.hpy_allow("use-after-close")
        def test_leak():
            suspect.leak(1)
    """
    result = suite("--hpy-debug", test_it=tests)
    result.assert_outcomes(passed=4, failed=3)
    text = section_of(result, "HPy debug mode")
    assert "allowed: 2 use-after-close (issue 12), by test_it.py::test_swallowed, test_i" in text
    assert "allowed: 1 handle-leak (a cache), by test_it.py::test_both\n" in text
    assert summary_of(result) == "SUMMARY: hpy.debug: 1 double-close, 1 handle-leak"
    # Without the flag, where the module is loaded in debug mode.
    result = suite(env={"HPY_DEBUG": "1"})
    result.assert_outcomes(passed=5, failed=2)


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("hpy_leaks(limit=-1)", "a whole number from 0; it is -1"),
        ("hpy_leaks(limit='2')", "a whole number from 0; it is '2'"),
        ("hpy_leaks(limit=True)", "a whole number from 0; it is True"),
        ("hpy_leaks(ignore='x')", "must be a function of a leak"),
        ("hpy_leaks(limits=1)", "hpy_leaks(limit=0, ignore=None); found the unknown 'limits'"),
        ("hpy_leaks(1, limit=1)", "found 'limit' twice"),
        ("hpy_leaks(1, None, 3)", "found 3 arguments"),
        ("hpy_allow('use-after-clos')", "Did you mean 'use-after-close'?"),
        ("hpy_allow('bogus')", "it is 'bogus'. There is handle-leak, "),
        ("hpy_allow()", "must be a kind of violation; it is None"),
        ("hpy_allow('handle-leak', reason=3)", "must be a text; it is 3"),
        ("hpy_allow('handle-leak', why='x')", "found the unknown 'why'"),
    ],
)
def test_wrong_marker(suite: PytestSuite, marker: str, expected: str) -> None:
    result = suite(
        "--strict-markers",
        test_it=f"""
            import pytest
            @pytest.mark.{marker}
            def test_it(): pass
            def test_other(): pass
        """,
    )
    result.assert_outcomes(errors=1, passed=1)
    text = section_of(result, "ERROR at setup of test_it")
    assert text.startswith("test_it.py::test_it: ")
    assert expected in text


# The fixture.


@pytest.mark.promise("DBG-30")
def test_fixture_with_the_flag_fails_the_test(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import suspect
            from hpy.debug.pytest import LeakDetector, hpy_debug

            def test_it(hpy_debug):
                assert isinstance(hpy_debug, LeakDetector)
                suspect.leak(1)

            def test_fine(hpy_debug): pass
        """,
    )
    result.assert_outcomes(failed=1, passed=1)
    assert section_of(result, "test_it").startswith("1 handle-leak: the test left open")


# What belongs to the settings.


def test_report_and_suppressions(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        "--hpy-debug-report=out.jsonl",
        "--hpy-debug-suppressions=known.txt",
        files={"known.txt": "handle-leak function=leak_elsewhere\nuse-after-close\ntracker-leak\n"},
        test_it="""
            import suspect
            def test_leak(): suspect.leak(1)
            def test_suppressed_leak(): suspect.leak_elsewhere(1)
            def test_suppressed_violation(): suspect.use(1)
        """,
    )
    result.assert_outcomes(failed=1, passed=2)
    kinds = [json.loads(x)["kind"] for x in (suite.path / "out.jsonl").read_text().splitlines()]
    assert kinds == ["handle-leak", "handle-leak", "use-after-close"]
    lines = section_of(result, "HPy debug mode").splitlines()
    assert "suppressed: 1 by handle-leak function=leak_elsewhere (known.txt:1)" in lines
    assert "suppressed: 1 by use-after-close (known.txt:2)" in lines
    assert "never used: tracker-leak (known.txt:3)" in lines
    report = suite.path / "out.jsonl"
    assert summary_of(result) == f"SUMMARY: hpy.debug: 1 handle-leak, report: {report}"


def test_settings_are_those_of_before_when_pytest_is_done(suite: PytestSuite) -> None:
    """Also for a pytest in this process, as pytester runs it."""
    result = suite(
        files={"inner.py": "import suspect\ndef test_it(): suspect.leak(1)\n"},
        test_it="""
            import os, pytest, hpy.debug
            from hpy.debug import settings

            def test_it():
                before = dict(os.environ), settings.current()
                code = pytest.main(["--hpy-debug", "--hpy-debug-top=3", "-pno:terminal",
                                    "--hpy-debug-report=out.jsonl", "-pno:asyncio", "inner.py"])
                assert code == 1
                os.environ["PYTEST_CURRENT_TEST"] = before[0]["PYTEST_CURRENT_TEST"]
                for values in (before[0], os.environ):
                    values.pop("PYTEST_VERSION", None)
                assert (dict(os.environ), settings.current()) == before
        """,
    )
    outcome: Any = result.parseoutcomes()
    assert outcome == {"passed": 1}, result.stdout.str()
