"""The pytest plugin: what fails, and who is charged.

test_pytest_plugin_fixtures.py is about fixtures, test_pytest_plugin_markers.py about markers,
test_pytest_plugin_options.py about flags, test_pytest_plugin_others.py about other people's plugins
and test_pytest_plugin_xdist.py about workers.
"""

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


# Nothing is asked for.


@pytest.mark.parametrize("debug", ["", "1"])
def test_it_prints_nothing_and_imports_nothing_native(suite: PytestSuite, debug: str) -> None:
    result = suite(
        env={"HPY_DEBUG": debug},
        test_it="""
            import sys

            def test_it():
                assert "hpy.debug.pytest_plugin" in sys.modules
                assert "hpy.debug._native" not in sys.modules
                assert "hpy.debug.pytest_watch" not in sys.modules
        """,
    )
    result.assert_outcomes(passed=1)
    assert "debug mode" not in result.stdout.str()
    assert "hpy.debug" not in result.stdout.str()
    assert result.stderr.str() == ""


def test_the_policy_is_raise(suite: PytestSuite) -> None:
    """Without the flag too: the default, abort, would end the run."""
    result = suite(
        env={"HPY_DEBUG": "1"},
        test_it="""
            import suspect

            def test_it():
                suspect.use(1)

            def test_leak():
                suspect.leak(1)
        """,
    )
    result.assert_outcomes(failed=1, passed=1)
    assert "HPyDebugError: error[use-after-close]" in result.stdout.str()
    assert "SUMMARY" not in result.stdout.str()


def test_switched_off(suite: PytestSuite) -> None:
    result = suite("-pno:hpy_debug", test_it="def test_it(hpy_debug): pass")
    result.assert_outcomes(errors=1)
    assert "fixture 'hpy_debug' not found" in result.stdout.str()


def test_module_is_not_loaded_in_debug_mode(suite: PytestSuite) -> None:
    """Nor is there any with the flag: the summary says so."""
    result = suite("--hpy-debug", test_it="def test_it(): pass")
    result.assert_outcomes(passed=1)
    assert section_of(result, "HPy debug mode").splitlines() == [
        "no HPy module was loaded in debug mode",
        "SUMMARY: hpy.debug: no violations",
    ]


# Leaks and violations of tests.


def test_leak_fails_the_test_that_made_it(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import suspect

            def test_before(): pass

            def test_leak():
                for i in range(3):
                    suspect.leak(i)  # the call

            def test_after(): pass
        """,
    )
    result.assert_outcomes(failed=1, passed=2)
    assert result.ret == 1
    text = section_of(result, "test_leak")
    assert text.startswith(
        "3 handle-leak: the test left open what it did not close\n    3 handle-l"
    )
    assert f"{place('leaks')}leak_impl" in text
    assert "-- hpy.debug --" in text
    report = text.partition("-- hpy.debug --")[2]
    assert "error[handle-leak]: " in report
    assert "HPy_Dup(ctx, arg);  /* leaks */" in report
    assert "= count: 3 times with the same stacks" in report
    assert "test_it.py:7 in test_leak\n" in report, "no frames of pytest behind it"
    assert summary_of(result) == "SUMMARY: hpy.debug: 3 handle-leak (1 site)"
    assert "hpy.debug: on for all HPy modules, on violation: raise" in result.outlines


@pytest.mark.promise("DBG-30")
def test_violation_fails_the_test_that_made_it(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import pytest, suspect, hpy.debug

            def test_raised():
                suspect.use(1)

            def test_raised_at_the_return():
                suspect.close_twice(1)

            def test_swallowed():
                with pytest.raises(hpy.debug.HPyDebugError):
                    suspect.use(1)

            def test_swallowed_and_skipped():
                try:
                    suspect.use(1)
                except hpy.debug.HPyDebugError:
                    pytest.skip("why not")

            def test_another_failure():
                try:
                    suspect.use(1)
                except hpy.debug.HPyDebugError:
                    pass
                assert 1 == 2

            def test_after(): pass
        """,
    )
    result.assert_outcomes(failed=5, passed=1)
    assert "HPyDebugError: error[use-after-close]" in section_of(result, "test_raised")
    for name in ("test_swallowed", "test_swallowed_and_skipped"):
        text = section_of(result, name)
        assert text.startswith("1 use-after-close: the test broke the rules of HPy\n")
    assert "assert 1 == 2" in section_of(result, "test_another_failure")
    for name in ("raised", "swallowed", "swallowed_and_skipped", "another_failure"):
        report = section_of(result, f"test_{name}").partition("-- hpy.debug --")[2]
        assert "return HPy_Add(ctx, arg, h);  /* uses */" in report
        assert "opened here" in report
    report = section_of(result, "test_raised_at_the_return").partition("-- hpy.debug --")[2]
    assert "error[double-close]: " in report
    assert summary_of(result) == "SUMMARY: hpy.debug: 4 use-after-close (4 sites), 1 double-close"


def test_builders_and_trackers_are_charged_too(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import pytest, suspect

            @pytest.fixture
            def leaks(): suspect.leak_tracker(1)

            def test_builder():
                suspect.leak_builder(1)
                suspect.leak_builder(2)

            def test_fixture(leaks): pass

            @pytest.mark.hpy_allow("builder-leak")
            def test_allowed(): suspect.leak_builder(1)

            @pytest.mark.hpy_leaks(limit=1)
            def test_limit(): suspect.leak_tracker(1)
        """,
    )
    result.assert_outcomes(passed=3, failed=1, errors=1)
    text = section_of(result, "test_builder")
    assert text.startswith("2 builder-leak: the test left open what it did not close\n")
    assert f"{place('leaks a builder')}leak_builder_impl" in text
    text = section_of(result, "ERROR at teardown of test_fixture")
    assert text.startswith("1 tracker-leak: the fixture 'leaks' left open what it did not close\n")
    assert summary_of(result) == ("SUMMARY: hpy.debug: 2 builder-leak (2 sites), 1 tracker-leak")


def test_leak_beside_another_failure_is_told(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import suspect
            def test_it():
                suspect.leak(1)
                assert 1 == 2
        """,
    )
    result.assert_outcomes(failed=1)
    text = section_of(result, "test_it")
    assert "assert 1 == 2" in text
    assert "error[handle-leak]" in text
    assert summary_of(result) == "SUMMARY: hpy.debug: 1 handle-leak"


def test_warn(suite: PytestSuite) -> None:
    """The test goes on, is warned, and fails in the end."""
    result = suite(
        "--hpy-debug",
        "--hpy-debug-on-violation=warn",
        test_it="""
            import suspect
            def test_it():
                suspect.close_twice(1)
                print("went on")
        """,
    )
    result.assert_outcomes(failed=1, warnings=1)
    text = section_of(result, "test_it")
    assert text.startswith("1 double-close: the test broke the rules of HPy\n")
    assert "went on" in text
    assert "HPyDebugWarning: error[double-close]" in section_of(result, "warnings summary")


def test_abort_shows_its_report_although_output_is_captured(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        "--hpy-debug-on-violation=abort",
        test_it="""
            import suspect
            def test_it():
                suspect.use(1)
        """,
    )
    assert result.ret == -6
    assert "error[use-after-close]: HPy_Add was given a handle" in result.stderr.str()
    assert "Invalid usage of already closed handle" in result.stderr.str()


def test_fault_shows_its_report_although_output_is_captured(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import suspect
            def test_it(capfd):
                suspect.read_after_close("text")
        """,
    )
    assert result.ret == -11
    assert "error[buffer-after-close]: " in result.stderr.str()
    assert "return HPyLong_FromLong(ctx, letters[0]);  /* reads */" in result.stderr.str()


def test_objects_that_close_their_handles_leak_nothing(suite: PytestSuite) -> None:
    """Neither in cycles, nor held by fixtures until the end."""
    result = suite(
        "--hpy-debug",
        test_it="""
            import pytest, suspect

            class Node(suspect.Holder): pass

            def test_cycle():
                import gc; gc.disable()
                node = Node()
                node.me = node

            @pytest.fixture
            def node():
                return Node()

            def test_fixture(node):
                node.other = Node()

            @pytest.fixture(scope="module")
            def shared():
                yield Node()

            def test_shared(shared): pass
            def test_shared_and_changed(shared):
                shared.me = shared
        """,
    )
    result.assert_outcomes(passed=4)
    assert summary_of(result) == "SUMMARY: hpy.debug: no violations"
