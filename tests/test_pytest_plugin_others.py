"""The pytest plugin beside other ways to write tests, other plugins, and --hpy-debug-loop."""

import importlib.util

import pytest

from support.extension import ModuleFactory, line_of
from support.pytest_suite import SOURCE, PytestSuite, section_of, summary_of

HPY_ABIS = ["debug"]
pytest_plugins = ["pytester"]


@pytest.fixture
def suite(pytester: pytest.Pytester, hpy_module: ModuleFactory) -> PytestSuite:
    return PytestSuite(pytester, hpy_module.build(SOURCE, name="suspect"))


def needs(module: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed")


# unittest


def test_unittest(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import unittest, pytest, suspect, hpy.debug

            class TestIt(unittest.TestCase):
                def setUp(self): suspect.keep(1)
                def tearDown(self): suspect.drop()
                def test_fine(self): pass
                def test_leak(self): suspect.leak(1)
                def test_violation(self): suspect.use(1)
                def test_swallowed(self):
                    with self.assertRaises(hpy.debug.HPyDebugError): suspect.use(1)

                @pytest.mark.hpy_allow("use-after-close")
                def test_allowed(self): suspect.use(1)

                @pytest.mark.hpy_leaks(limit=1)
                def test_limit(self): suspect.leak(1)

                @unittest.expectedFailure
                def test_expected(self): assert False

            class TestLeakAtSetUp(unittest.TestCase):
                def setUp(self): suspect.leak(1)
                def test_it(self): pass

            class TestLeakAtSetUpClass(unittest.TestCase):
                @classmethod
                def setUpClass(cls): suspect.leak(1)
                def test_one(self): pass
                def test_two(self): pass
        """,
    )
    # setUp() belongs to the test.
    result.assert_outcomes(passed=5, failed=4, errors=1, xfailed=1)
    for name in ("TestIt.test_leak", "TestLeakAtSetUp.test_it"):
        assert section_of(result, name).startswith("1 handle-leak: the test left open")
    assert "HPyDebugError: error[use-after-close]" in section_of(result, "TestIt.test_violation")
    assert section_of(result, "TestIt.test_swallowed").startswith("1 use-after-close: the test")
    error = section_of(result, "ERROR at teardown of TestLeakAtSetUpClass.test_two")
    assert error.startswith("1 handle-leak: ")
    assert "setUpClass" in error


def test_unittest_subtests(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        others=("subtests",),
        test_it="""
            import unittest, suspect

            class TestIt(unittest.TestCase):
                def test_violation(self):
                    for i in range(3):
                        with self.subTest(i=i):
                            if i == 1: suspect.use(1)

                def test_leak(self):
                    for i in range(3):
                        with self.subTest(i=i):
                            if i == 1: suspect.leak(1)
        """,
    )
    assert result.ret == 1
    assert section_of(result, "TestIt.test_leak").startswith("1 handle-leak: the test left open")
    text = result.stdout.str()
    assert text.count("error[use-after-close]: HPy_Add was given a handle that is already closed\n")
    assert summary_of(result) == "SUMMARY: hpy.debug: 1 use-after-close, 1 handle-leak"


def has_subtests() -> bool:
    return int(pytest.__version__.split(".")[0]) >= 9 or bool(
        importlib.util.find_spec("pytest_subtests")
    )


@pytest.mark.skipif(not has_subtests(), reason="pytest has no subtests")
def test_subtests(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        others=("subtests",),
        test_it="""
            import pytest, suspect, hpy.debug

            def test_violation(subtests):
                for name in ("good", "bad", "worse"):
                    with subtests.test(name):
                        if name == "bad": suspect.use(1)

            def test_swallowed(subtests):
                with subtests.test("one"):
                    with pytest.raises(hpy.debug.HPyDebugError): suspect.use(1)

            def test_leak(subtests):
                with subtests.test("one"): suspect.leak(1)
        """,
    )
    assert result.ret == 1
    report = section_of(result, r"test_violation \[bad\]").partition("-- hpy.debug --")[2]
    assert "error[use-after-close]: " in report
    assert section_of(result, "test_swallowed").startswith("1 use-after-close: the test broke")
    assert section_of(result, "test_leak").startswith("1 handle-leak: the test left open")
    text = "SUMMARY: hpy.debug: 2 use-after-close (2 sites), 1 handle-leak"
    assert summary_of(result) == text


# async


@needs("pytest_asyncio")
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_asyncio(suite: PytestSuite, mode: str) -> None:
    result = suite(
        "--hpy-debug",
        others=("asyncio",),
        files={
            "pytest.ini": f"[pytest]\nasyncio_mode = {mode}\n"
            "asyncio_default_fixture_loop_scope = function\n"
        },
        test_it="""
            import asyncio, pytest, pytest_asyncio, suspect, hpy.debug

            @pytest_asyncio.fixture
            async def keeper():
                await asyncio.sleep(0)
                suspect.keep(1)
                yield
                await asyncio.sleep(0)
                suspect.drop()

            @pytest_asyncio.fixture
            async def leaks():
                yield
                await asyncio.sleep(0)
                suspect.leak(1)

            @pytest.mark.asyncio
            async def test_fine(keeper): await asyncio.sleep(0)

            @pytest.mark.asyncio
            async def test_leak(keeper):
                await asyncio.sleep(0)
                suspect.leak(1)

            @pytest.mark.asyncio
            async def test_violation():
                await asyncio.sleep(0)
                suspect.use(1)

            @pytest.mark.asyncio
            async def test_swallowed():
                with pytest.raises(hpy.debug.HPyDebugError): suspect.use(1)

            @pytest.mark.asyncio
            async def test_fixture(leaks): pass
        """,
    )
    result.assert_outcomes(passed=2, failed=3, errors=1)
    assert section_of(result, "test_leak").startswith("1 handle-leak: the test left open")
    error = section_of(result, "ERROR at teardown of test_fixture")
    assert error.startswith("1 handle-leak: the fixture 'leaks' left open")
    # No frames of the event loop behind those of the test.
    (line,) = [x for x in section_of(result, "test_leak").splitlines() if "= python: " in x]
    assert line.endswith("in test_leak")


@needs("anyio")
def test_anyio(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        others=("anyio",),
        test_it="""
            import anyio, pytest, suspect

            pytestmark = pytest.mark.anyio

            @pytest.fixture
            def anyio_backend(): return "asyncio"

            @pytest.fixture
            async def leaks():
                await anyio.sleep(0)
                suspect.leak(1)

            async def test_fine(): await anyio.sleep(0)
            async def test_leak():
                await anyio.sleep(0)
                suspect.leak(1)
            async def test_fixture(leaks): await anyio.sleep(0)
        """,
    )
    result.assert_outcomes(passed=2, failed=1, errors=1)
    assert section_of(result, "test_leak").startswith("1 handle-leak: the test left open")
    error = section_of(result, "ERROR at teardown of test_fixture")
    assert error.startswith("1 handle-leak: the fixture 'leaks' left open")


def test_async_case_of_unittest(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        test_it="""
            import unittest, suspect
            class TestIt(unittest.IsolatedAsyncioTestCase):
                async def test_fine(self): pass
                async def test_leak(self): suspect.leak(1)
        """,
    )
    result.assert_outcomes(passed=1, failed=1)


# reruns


@needs("pytest_rerunfailures")
def test_reruns(suite: PytestSuite) -> None:
    """A leak is a failure like others: the test runs again, and what leaked once is not charged
    twice."""
    result = suite(
        "--hpy-debug",
        "--reruns=2",
        others=("rerunfailures",),
        test_it="""
            import pytest, suspect
            runs = []

            @pytest.fixture
            def cleaner():
                yield
                suspect.drop()

            def test_leaks_once(cleaner):
                suspect.keep(0)
                runs.append(1)
                if len(runs) == 1: suspect.leak(1)

            def test_always():
                suspect.leak(1)

            def test_violation():
                suspect.use(1)

            def test_fine(): pass
        """,
    )
    result.assert_outcomes(passed=2, failed=2)
    assert result.parseoutcomes()["rerun"] == 5
    assert summary_of(result) == (
        "SUMMARY: hpy.debug: 3 use-after-close (1 site), 4 handle-leak (2 sites)"
    )


@needs("pytest_rerunfailures")
def test_reruns_of_marked_tests_only(suite: PytestSuite) -> None:
    """The plugin has something to say to one test, and leaves the others to us."""
    result = suite(
        "--hpy-debug",
        others=("rerunfailures",),
        test_it="""
            import pytest, suspect

            @pytest.mark.flaky(reruns=1)
            def test_marked(): suspect.leak(1)

            def test_unmarked(): suspect.leak(1)
        """,
    )
    result.assert_outcomes(failed=2)
    assert result.parseoutcomes()["rerun"] == 1


def test_plugin_that_tells_reports_by_itself(suite: PytestSuite) -> None:
    """It told that the body passed before the teardown: then the teardown fails."""
    result = suite(
        "--hpy-debug",
        conftest="""
            import pytest
            from _pytest.runner import runtestprotocol

            @pytest.hookimpl(tryfirst=True)
            def pytest_runtest_protocol(item, nextitem):
                runtestprotocol(item, nextitem=nextitem)
                return True
        """,
        test_it="""
            import suspect
            def test_leak(): suspect.leak(1)
        """,
    )
    result.assert_outcomes(passed=1, errors=1)
    text = section_of(result, "ERROR at teardown of test_leak")
    assert text.startswith("1 handle-leak: the test left open")


# What pytest itself knows.


def test_expected_failures_and_skips(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        "-rxX",
        test_it="""
            import pytest, suspect

            @pytest.mark.xfail(reason="known")
            def test_leak(): suspect.leak(1)

            @pytest.mark.xfail(reason="known", strict=True)
            def test_leak_strict(): suspect.leak(1)

            @pytest.mark.xfail(reason="known")
            def test_violation(): suspect.use(1)

            @pytest.mark.xfail
            def test_fine(): pass

            @pytest.mark.skip
            def test_skipped(): suspect.leak(1)
        """,
    )
    result.assert_outcomes(xfailed=3, xpassed=1, skipped=1)
    assert result.ret == 0
    assert summary_of(result) == "SUMMARY: hpy.debug: 1 use-after-close, 2 handle-leak (2 sites)"


def test_doctests_and_setup_only(suite: PytestSuite) -> None:
    files = {"text.rst": ">>> import suspect\n>>> suspect.leak(1)\n"}
    result = suite("--hpy-debug", "--doctest-glob=*.rst", files=files)
    result.assert_outcomes(failed=1)
    assert section_of(result, r"\[doctest\] text.rst").startswith("1 handle-leak: the test left")
    result = suite(
        "--hpy-debug",
        "--setup-only",
        test_it="""
            import pytest
            @pytest.fixture
            def value(): return 1
            def test_it(value): pass
        """,
    )
    assert "SETUP    F value" in result.stdout.str()
    assert result.ret == 0


def test_junit_file_has_the_failure(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        "--junitxml=out.xml",
        test_it="import suspect\ndef test_leak(): suspect.leak(1)",
    )
    result.assert_outcomes(failed=1)
    text = (suite.path / "out.xml").read_text()
    assert 'errors="0" failures="1"' in text
    assert "1 handle-leak: the test left open what it did not close" in text


# --hpy-debug-loop


LOOP = """
    import pytest, suspect

    rounds = []

    def test_cache(): suspect.fill_cache(1)

    def test_leak():
        suspect.fill_cache(1)
        suspect.leak(1)

    def test_keeps_the_last_one():
        if len(rounds): suspect.drop()
        suspect.keep(1)
        rounds.append(1)

    def test_leaks_twice_only():
        rounds.append(1)
        if len(rounds) % 4 < 2: suspect.leak(1)

    @pytest.mark.parametrize("i", [1])
    def test_runs(i, tmp_path):
        (tmp_path / f"round-{len(list(tmp_path.iterdir()))}").touch()
        print(len(list(tmp_path.iterdir())), "rounds")
        assert len(list(tmp_path.iterdir())) < 5
"""


def test_loop(suite: PytestSuite) -> None:
    result = suite("--hpy-debug", "--hpy-debug-loop=5", test_it=LOOP)
    result.assert_outcomes(passed=3, failed=2)
    text = section_of(result, "test_leak")
    assert text.startswith("5 handle-leak: the test left open what it did not close\n")
    assert f"suspect.c:{line_of(SOURCE, '/* leaks */')} in leak_impl" in text
    assert "fill_cache" not in text.partition("error[")[2].replace("suspect.fill_cache", "")
    assert "5 rounds" in section_of(result, r"test_runs\[1\]")
    on = "hpy.debug: on for all HPy modules, on violation: raise, each test 5 times"
    assert on in result.outlines
    assert summary_of(result) == "SUMMARY: hpy.debug: 5 handle-leak (1 site)"


def test_loop_of_one_is_none(suite: PytestSuite) -> None:
    result = suite("--hpy-debug", "--hpy-debug-loop=1", test_it=LOOP)
    assert result.parseoutcomes()["failed"] == 3
    result = suite("--hpy-debug", files={"pytest.ini": "[pytest]\nhpy_debug_loop = 5\n"})
    result.assert_outcomes(passed=3, failed=2)


def test_loop_of_other_kinds_of_tests(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        "--hpy-debug-loop=3",
        "-s",
        test_it="""
            import unittest, pytest, suspect

            class TestIt(unittest.TestCase):
                def setUp(self): print("set up")
                def test_cache(self): suspect.fill_cache(1)
                def test_leak(self): suspect.leak(1)
                def test_fails_in_the_first_round(self): self.assertEqual(1, 2)

            @pytest.mark.hpy_leaks(limit=3)
            def test_limit(): suspect.leak(1)

            def test_violation(): suspect.use(1)
        """,
    )
    result.assert_outcomes(passed=2, failed=3)
    assert result.stdout.str().count("set up\n") + result.stdout.str().count("set up") >= 7
    assert section_of(result, "TestIt.test_leak").startswith("3 handle-leak: ")
    assert summary_of(result) == "SUMMARY: hpy.debug: 1 use-after-close, 3 handle-leak (1 site)"


@needs("pytest_asyncio")
def test_loop_of_async_tests(suite: PytestSuite) -> None:
    result = suite(
        "--hpy-debug",
        "--hpy-debug-loop=3",
        others=("asyncio",),
        test_it="""
            import pytest, suspect

            @pytest.mark.asyncio
            async def test_cache(): suspect.fill_cache(1)

            @pytest.mark.asyncio
            async def test_leak(): suspect.leak(1)
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    assert section_of(result, "test_leak").startswith("3 handle-leak: ")
