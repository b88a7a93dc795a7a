"""The pytest plugin: what fails, and who is charged.

tests/test_pytest_plugin_options.py has the flags, test_pytest_plugin_others.py other people's
plugins and test_pytest_plugin_xdist.py workers.
"""

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


# Fixtures.


def test_what_a_fixture_leaks_is_charged_to_it(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import pytest, suspect

            @pytest.fixture
            def leaks_at_setup():
                suspect.leak(1)

            @pytest.fixture
            def leaks_at_teardown():
                yield
                suspect.leak(1)

            @pytest.fixture(scope="module")
            def shared():
                suspect.leak_elsewhere(1)
                yield
                suspect.leak_elsewhere(2)

            def test_one(shared): pass
            def test_two(leaks_at_setup): pass
            def test_three(leaks_at_teardown, shared): pass
            def test_four(shared): pass
        """,
    )
    result.assert_outcomes(passed=4, errors=3)
    for test, fixture in (("two", "leaks_at_setup"), ("three", "leaks_at_teardown")):
        text = section_of(result, f"ERROR at teardown of test_{test}")
        assert text.startswith(
            f"1 handle-leak: the fixture '{fixture}' left open what it did not close"
        )
        assert f"in {fixture}" in text.partition("-- hpy.debug --")[2]
    text = section_of(result, "ERROR at teardown of test_four")
    assert text.startswith("2 handle-leak: the fixture 'shared' (module scope) left open")
    assert f"{place('leaks elsewhere')}leak_elsewhere_impl" in text
    lines = section_of(result, "HPy debug mode").splitlines()
    assert lines[0].startswith("2 handle-leak at ")
    assert lines[0].endswith(
        f"{place('leaks')}leak_impl, by the fixture 'leaks_at_setup' in test_it.py::test_two, the "
        "fixture 'leaks_at_teardown' in test_it.py::test_three"
    )


def test_what_a_fixture_closes_is_no_leak(suite: PytestSuite) -> None:
    """Its own handles, of any scope, and those that the test left for it to close."""
    result = suite(
        "--hpy-debug",
        test_it="""
            import pytest, suspect

            @pytest.fixture(params=["function", "module"][:1])
            def keeper():
                suspect.keep(1)
                yield
                suspect.drop()

            def test_keeper(keeper): pass

            @pytest.fixture
            def cleaner():
                yield
                suspect.drop()

            def test_cleaner(cleaner): suspect.keep(2)

            def test_cleaner_of_more(cleaner):
                suspect.keep(2)
                suspect.leak(3)

            def test_finalizer(request):
                suspect.keep(4)
                request.addfinalizer(suspect.drop)

            @pytest.fixture(scope="module")
            def last():
                suspect.keep(1)
                yield
                suspect.drop()

            def test_last(last): pass
        """,
    )
    result.assert_outcomes(passed=4, failed=1)
    assert section_of(result, "test_cleaner_of_more").startswith("1 handle-leak: the test")


def test_fixtures_that_are_asked_for_late_or_by_others(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import pytest, suspect

            @pytest.fixture
            def inner():
                suspect.leak(1)

            @pytest.fixture
            def outer(inner):
                yield

            @pytest.fixture
            def asks(request):
                request.getfixturevalue("inner")

            def test_outer(outer): pass
            def test_asks(asks): pass
            def test_late(request):
                request.getfixturevalue("inner")
        """,
    )
    result.assert_outcomes(passed=3, errors=3)
    for name in ("outer", "asks", "late"):
        text = section_of(result, f"ERROR at teardown of test_{name}")
        assert text.startswith("1 handle-leak: the fixture 'inner' left open")


def test_parametrized_fixtures_of_a_module(suite: PytestSuite) -> None:
    """The end of the first instance is in the setup of the next test, or in the teardown before."""
    result = suite(
        "--hpy-debug",
        test_it="""
            import pytest, suspect

            @pytest.fixture(scope="module", params=[1, 2])
            def shared(request):
                if request.param == 1:
                    suspect.leak(1)
                else:
                    suspect.keep(1)
                yield
                if request.param == 2:
                    suspect.drop()

            def test_it(shared): pass
            def test_other(shared): pass
        """,
    )
    result.assert_outcomes(passed=4, errors=1)
    assert "1 handle-leak: the fixture 'shared' (module scope) left open" in result.stdout.str()


def test_violations_of_fixtures(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import pytest, suspect, hpy.debug

            @pytest.fixture
            def breaks_setup():
                suspect.use(1)

            @pytest.fixture
            def swallows_at_setup():
                with pytest.raises(hpy.debug.HPyDebugError):
                    suspect.use(1)

            @pytest.fixture
            def swallows_at_teardown():
                yield
                with pytest.raises(hpy.debug.HPyDebugError):
                    suspect.use(1)

            def test_one(breaks_setup): pass
            def test_two(swallows_at_setup): pass
            def test_three(swallows_at_teardown): pass
        """,
    )
    result.assert_outcomes(errors=3, passed=1)
    assert "HPyDebugError: error[use-after-close]" in section_of(
        result, "ERROR at setup of test_one"
    )
    for when, test in (("setup", "two"), ("teardown", "three")):
        text = section_of(result, f"ERROR at {when} of test_{test}")
        expected = f"1 use-after-close: the fixture 'swallows_at_{when}' broke the rules of HPy"
        assert text.startswith(expected)


def test_functions_that_set_up(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import suspect

            def setup_module(): suspect.keep(1)
            def teardown_module(): suspect.drop()

            class TestIt:
                def setup_method(self): suspect.leak(1)
                def test_it(self): pass
        """,
    )
    result.assert_outcomes(passed=1, errors=1)
    assert "setup_method" in section_of(result, "ERROR at teardown of TestIt.test_it")


@pytest.mark.parametrize("stop", ["-x", "--maxfail=1"])
def test_run_that_is_stopped(suite: PytestSuite, stop: str) -> None:
    """The fixtures that are still alive end with the first failure, a leak or not."""
    for body in ("suspect.leak(1)", "assert False"):
        result = suite(
            "--hpy-debug",
            stop,
            test_it=f"""
                import pytest, suspect

                @pytest.fixture(scope="session")
                def session():
                    suspect.leak_elsewhere(1)

                def test_it(session): {body}
                def test_not_reached(): pass
            """,
        )
        outcomes = result.parseoutcomes()
        assert outcomes["failed"] == 1
        assert "passed" not in outcomes
        assert result.ret == 1 or result.ret == 2
        assert f"{place('leaks elsewhere')}leak_elsewhere_impl" in section_of(
            result, "HPy debug mode"
        )


def test_violation_outside_of_tests(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
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
    lines = section_of(result, "HPy debug mode").splitlines()
    assert lines[0].startswith("1 use-after-close at ")
    assert lines[0].endswith(", by what is outside of tests")


# Markers.


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
