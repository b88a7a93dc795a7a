"""The pytest plugin: what fixtures leak and break is charged to them, what they close is none."""

import pytest

from support.extension import ModuleFactory, line_of
from support.pytest_suite import SOURCE, PytestSuite, section_of

HPY_ABIS = ["debug"]
pytest_plugins = ["pytester"]


@pytest.fixture
def suite(pytester: pytest.Pytester, hpy_module: ModuleFactory) -> PytestSuite:
    return PytestSuite(pytester, hpy_module.build(SOURCE, name="suspect"))


def place(comment: str) -> str:
    return f"suspect.c:{line_of(SOURCE, f'/* {comment} */')} in "


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
