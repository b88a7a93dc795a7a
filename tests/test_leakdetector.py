"""hpy.debug.LeakDetector, its errors, and what else looks at leaks."""

# The blocks of several statements are what the detectors watch.
# ruff: noqa: PT012, SIM117

import asyncio
import json
import pickle
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyLeakError, LeakDetector
from hpy.debug.leakdetector import error_class
from hpy.debug.violation import Violation
from support.child import PythonRunner

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = """
#include "hpy.h"

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);  /* leaks */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(leak_elsewhere, "leak_elsewhere", HPyFunc_O)
static HPy leak_elsewhere_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);  /* leaks elsewhere */
    return HPy_Dup(ctx, ctx->h_None);
}

static HPy kept;

HPyDef_METH(keep, "keep", HPyFunc_O)
static HPy keep_impl(HPyContext *ctx, HPy self, HPy arg)
{
    kept = HPy_Dup(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(drop, "drop", HPyFunc_NOARGS)
static HPy drop_impl(HPyContext *ctx, HPy self)
{
    HPy_Close(ctx, kept);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(fail, "fail", HPyFunc_NOARGS)
static HPy fail_impl(HPyContext *ctx, HPy self)
{
    HPyErr_SetString(ctx, ctx->h_ValueError, "no");
    return HPy_NULL;
}

HPyDef_METH(misuse, "misuse", HPyFunc_O)
static HPy misuse_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);  /* opens */
    HPy_Close(ctx, h);  /* closes */
    return HPy_Dup(ctx, h);  /* uses */
}

HPyDef_METH(misuse_in_a_call_that_can_fail, "misuse_in_a_call_that_can_fail", HPyFunc_O)
static HPy misuse_in_a_call_that_can_fail_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    return HPy_Repr(ctx, h);
}
"""


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("cannot be shown")


@pytest.fixture
def mod(hpy_module: Any) -> Any:
    return hpy_module(SOURCE)


@pytest.mark.promise("DBG-28")
def test_nothing_leaked(mod: Any) -> None:
    with LeakDetector() as detector:
        pass
    assert detector.leaks == []
    assert detector.violations == []


@pytest.mark.promise("DBG-06", "DBG-11", "DBG-14")
def test_one_leak(mod: Any, line_of: Any) -> None:
    detector = LeakDetector()
    with pytest.raises(HPyLeakError) as caught, detector:
        mod.leak("hello")
    error = caught.value
    lines = str(error).split("\n")
    assert lines[0] == "1 unclosed handle:"
    assert re.fullmatch(r"    <DebugHandle 0x[\da-f]+ for 'hello'>", lines[1])
    assert lines[2] == "Allocation stacktrace:"
    assert re.fullmatch(
        r"\S+mytest\.hpy0\.so\(\+0x[\da-f]+\) \[0x[\da-f]+\] in leak_impl at \S+mytest\.c:"
        + str(line_of(SOURCE, "/* leaks */")),
        lines[3],
    )
    assert "Python stack:" in lines
    assert any("test_leakdetector.py:" in line and "test_one_leak" in line for line in lines)
    assert error.args == ()
    assert [leak.obj for leak in error.leaks] == ["hello"]
    assert error.leaks == detector.leaks
    assert error.violations == detector.violations
    (violation,) = error.violations
    assert error.violation == violation
    assert violation.kind == "handle-leak"
    assert violation.severity == "error"
    assert (violation.module, violation.function) == ("mytest", "leak")
    assert violation.opened is not None
    assert violation.opened.native[0].function == "leak_impl"
    assert violation.opened.native[0]["line"] == line_of(SOURCE, "/* leaks */")
    assert violation.handle is not None
    assert violation.handle["repr"] == "'hello'"
    assert violation.handle.type == "str"


@pytest.mark.promise("DBG-37")
def test_leaks_before_the_detector_started_are_not_its_own(mod: Any) -> None:
    mod.leak("older")
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        for text in ("first", "second", "third"):
            mod.leak(text)
    text = str(caught.value)
    assert text.startswith("3 unclosed handles:\n")
    for name in ("first", "second", "third"):
        assert f" for '{name}'>" in text
    assert "older" not in text
    assert [leak.obj for leak in caught.value.leaks] == ["first", "second", "third"]


def test_equal_stacks_are_folded(mod: Any) -> None:
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        mod.leak_elsewhere("lonely")
        for i in range(25):
            mod.leak(i)
    text = str(caught.value)
    assert text.startswith("26 unclosed handles:\n    <DebugHandle ")
    assert text.count("Allocation stacktrace:") == 2
    assert " for 19>" in text
    assert " for 20>" not in text
    assert "\n    and 5 more, opened at the same place\n" in text
    assert text.index(" for 19>") < text.index("lonely"), "the most frequent first"
    assert len(caught.value.leaks) == 26
    assert [violation.count for violation in caught.value.violations] == [1, 25]


def test_sites_beyond_the_setting_top_are_counted(mod: Any) -> None:
    with hpy.debug.configure(top=1), pytest.raises(HPyLeakError) as caught, LeakDetector():
        mod.leak(1)
        mod.leak(2) or mod.leak_elsewhere(3)
    text = str(caught.value)
    assert text.startswith("3 unclosed handles:\n")
    assert text.count("Allocation stacktrace:") == 1
    assert "more, opened at " in text


def test_text_without_traces(mod: Any) -> None:
    with hpy.debug.configure(stack_depth=0), pytest.raises(HPyLeakError) as caught, LeakDetector():
        mod.leak(42)
    lines = str(caught.value).split("\n")
    assert re.fullmatch(r"    <DebugHandle 0x[\da-f]+ for 42>", lines[1])
    assert lines[2:4] == [
        "To get the stack trace of where it was allocated use:",
        "hpy.debug.set_handle_stack_trace_limit",
    ]


def test_object_that_cannot_be_shown(mod: Any) -> None:
    with pytest.raises(HPyLeakError, match="1 unclosed handle") as caught, LeakDetector():
        mod.leak(Unprintable())
    assert "an object whose repr raises RuntimeError" in str(caught.value)


def test_kept_and_closed_in_a_later_call(mod: Any) -> None:
    with LeakDetector():
        mod.keep("x")
        mod.drop()


def test_misuse_of_the_detector() -> None:
    detector: Any = LeakDetector()
    assert detector.generation is None
    with pytest.raises(ValueError, match=r"^LeakDetector not started yet$"):
        detector.stop()
    detector.start()
    assert isinstance(detector.generation, int)
    with pytest.raises(ValueError, match=r"^LeakDetector already started$"):
        detector.start()
    assert detector.stop() is None
    assert detector.stop() is None
    with pytest.raises(TypeError, match="ignore must be a function"):
        LeakDetector(ignore="all")


def test_stop_may_be_called_again(mod: Any) -> None:
    detector = LeakDetector()
    detector.start()
    mod.keep("again")
    for _ in range(2):
        with pytest.raises(HPyLeakError, match="1 unclosed handle"):
            detector.stop()
    mod.drop()
    detector.stop()
    assert detector.leaks == []


def test_exception_of_the_block_is_the_context(mod: Any) -> None:
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        mod.leak(1)
        raise KeyError("in the block")
    assert isinstance(caught.value.__context__, KeyError)


def test_exception_of_an_extension_is_no_leak(mod: Any) -> None:
    with pytest.raises(ValueError, match="no"), LeakDetector():
        mod.fail()


def test_nested(mod: Any) -> None:
    with pytest.raises(HPyLeakError) as caught, LeakDetector() as outer:
        mod.leak("outside")
        with pytest.raises(HPyLeakError) as inner_caught, LeakDetector():
            mod.leak("inside")
        with LeakDetector():
            pass
    assert [leak.obj for leak in inner_caught.value.leaks] == ["inside"]
    assert [leak.obj for leak in caught.value.leaks] == ["outside", "inside"]
    assert caught.value.leaks == outer.leaks


def test_ignore(mod: Any) -> None:
    with LeakDetector(ignore=lambda leak: leak.obj == "fine"):
        mod.leak("fine")
    detector = LeakDetector(ignore=lambda leak: leak.obj == "fine")
    with pytest.raises(HPyLeakError, match=r"^1 unclosed handle:") as caught, detector:
        mod.leak("fine")
        mod.leak("bad")
        mod.leak("fine")
    assert [leak.obj for leak in caught.value.leaks] == ["bad"]
    (violation,) = caught.value.violations
    assert violation.handle is not None
    assert violation.handle.repr == "'bad'"


# As a decorator.


def test_decorated_function(mod: Any) -> None:
    @LeakDetector()
    def function(value: Any, leak: bool) -> Any:
        "Its documentation."
        if leak:
            mod.leak(value)
        return value

    assert (function.__name__, function.__doc__) == ("function", "Its documentation.")
    for _ in range(2):
        assert function(3, leak=False) == 3
        with pytest.raises(HPyLeakError, match=" for 4>"):
            function(4, leak=True)


def test_decorated_function_that_calls_itself(mod: Any) -> None:
    @LeakDetector()
    def count(n: int) -> int:
        return 0 if n == 0 else 1 + count(n - 1)

    assert count(5) == 5


def test_decorated_generator(mod: Any) -> None:
    @LeakDetector()
    def generate(leak: bool) -> Iterator[int]:
        yield 1
        if leak:
            mod.leak("x")
        yield 2

    assert list(generate(False)) == [1, 2]
    with pytest.raises(HPyLeakError):
        list(generate(True))


def test_decorated_coroutine_and_async_generator(mod: Any) -> None:
    @LeakDetector()
    async def wait(leak: bool) -> str:
        await asyncio.sleep(0)
        if leak:
            mod.leak("x")
        return "done"

    @LeakDetector()
    async def generate() -> AsyncIterator[int]:
        yield 1
        mod.leak("x")

    async def consume() -> None:
        async for _ in generate():
            pass

    assert asyncio.run(wait(False)) == "done"
    for coroutine in (wait(True), consume()):
        with pytest.raises(HPyLeakError):
            asyncio.run(coroutine)


def test_what_cannot_be_decorated() -> None:
    with pytest.raises(TypeError, match="LeakDetector decorates functions"):
        LeakDetector()(int)


# Others who look.


def test_leaks_looks_without_raising(mod: Any) -> None:
    detector = LeakDetector()
    detector.start()
    assert detector.generation is not None
    mod.keep("kept")
    found = hpy.debug.leaks(detector.generation)
    assert [(leak.kind, leak.function) for leak in found] == [("handle-leak", "keep")]
    assert found[0] in hpy.debug.leaks()
    mod.drop()
    assert hpy.debug.leaks(detector.generation) == []


def test_report_file_and_subscribers(mod: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    seen: list[Violation] = []
    with hpy.debug.configure(report=report), hpy.debug.on_violation(seen.append):
        for _ in range(2):
            with pytest.raises(HPyLeakError), LeakDetector() as detector:
                mod.leak("reported")
            with pytest.raises(HPyLeakError):
                detector.stop()  # the same leak, told once
    with pytest.raises(HPyLeakError), LeakDetector():
        mod.leak("not any more")
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["handle-leak"] * 2
    assert [violation.to_dict() for violation in seen] == [
        {**line, **{key: _as_tuples(line[key]) for key in ("at", "opened", "closed")}}
        for line in lines
    ]
    assert list(lines[0]) == [
        *("kind", "message", "api", "module", "function", "handle"),
        *("at", "opened", "closed", "severity", "count"),
    ]


def _as_tuples(stack: Any) -> Any:
    return stack and {key: tuple(frames) for key, frames in stack.items()}


@pytest.mark.promise("DBG-12", "DBG-13")
def test_violation_that_raises(mod: Any, line_of: Any) -> None:
    seen: list[Violation] = []
    with hpy.debug.configure(on_violation="raise"), hpy.debug.on_violation(seen.append):
        with pytest.raises(HPyDebugError) as caught:
            mod.misuse(5)
    violation = caught.value.violation
    assert violation is not None
    assert seen == [violation]
    assert (violation.kind, violation.api) == ("use-after-close", "HPy_Dup")
    for stack, text in (("at", "uses"), ("opened", "opens"), ("closed", "closes")):
        assert violation[stack].native[0].line == line_of(SOURCE, f"/* {text} */"), stack
    text = str(caught.value)
    assert text.startswith("error[use-after-close]: HPy_Dup ")
    assert f"mytest.c:{line_of(SOURCE, '/* uses */')} in misuse_impl" in text


@pytest.mark.parametrize("function", ["misuse_in_a_call_that_can_fail", "misuse"])
def test_violation_that_warns(mod: Any, function: str) -> None:
    with hpy.debug.configure(on_violation="warn"):
        with pytest.warns(hpy.debug.HPyDebugWarning, match=r"^error\[use-after-close\]") as caught:
            with pytest.raises(HPyDebugError):
                getattr(mod, function)(5)
    (warning,) = caught
    assert warning.filename == __file__
    assert warning.message.violation.kind == "use-after-close"  # type: ignore[union-attr]
    assert "SUMMARY" not in str(warning.message)


def test_subscriber_that_fails_changes_nothing(
    mod: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(violation: Violation) -> None:
        raise RuntimeError("in the callback")

    with hpy.debug.on_violation(fail), hpy.debug.configure(on_violation="raise"):
        with pytest.raises(HPyDebugError):
            mod.misuse(5)
    error = capsys.readouterr().err
    assert "Exception ignored in a callback of hpy.debug.on_violation" in error
    assert "RuntimeError: in the callback" in error
    with pytest.raises(TypeError, match="must be a function"):
        hpy.debug.on_violation(3)  # type: ignore[arg-type]


# The errors.


def test_classes_are_where_they_were() -> None:
    for cls in (HPyDebugError, HPyLeakError, LeakDetector):
        assert cls.__module__ == "hpy.debug.leakdetector"
    assert issubclass(HPyLeakError, HPyDebugError)
    assert str(HPyLeakError([])) == "0 unclosed handles:"
    assert HPyDebugError().violation is None


@pytest.mark.parametrize("also", [SystemError, KeyError, TypeError, OSError, StopIteration])
def test_error_of_two_classes(also: type[Exception]) -> None:
    violation = Violation("null-argument", "a message")
    cls = error_class(also)
    error = cls("text\nof two lines", violation)
    assert isinstance(error, also)
    assert isinstance(error, HPyDebugError)
    assert str(error) == "text\nof two lines"
    assert error.violation is violation
    assert error_class(also) is cls
    assert (cls.__module__, cls.__qualname__) == ("hpy.debug.leakdetector", "HPyDebugError")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert (str(copy), copy.violation) == (str(error), violation)


def test_error_classes_that_say_it_already() -> None:
    for also in (None, HPyDebugError, Exception):
        assert error_class(also) is HPyDebugError
    assert error_class(HPyLeakError) is HPyLeakError


def test_leak_error_goes_to_another_process(mod: Any) -> None:
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        mod.leak(1)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert copy.violations == caught.value.violations


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": 3}', '{"kind": "x"}', "nonsense"])
def test_what_is_no_violation(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Violation.from_json(text)


# Whole programs.


@pytest.mark.promise("DBG-33")
def test_script_of_the_documentation(hpy_module: Any, run_python: PythonRunner) -> None:
    source = """
        #include "hpy.h"
        HPyDef_METH(test_leak_stacktrace, "test_leak_stacktrace", HPyFunc_NOARGS)
        static HPy test_leak_stacktrace_impl(HPyContext *ctx, HPy self)
        {
            HPy num = HPyLong_FromLong(ctx, 42);
            if (HPy_IsNull(num)) {
                return HPy_NULL;
            }
            return HPy_Dup(ctx, ctx->h_None);
        }
    """
    snippets = hpy_module.build(source, name="snippets")
    done = run_python(
        """
        import hpy.debug
        import snippets

        hpy.debug.set_handle_stack_trace_limit(16)
        from hpy.debug.pytest import LeakDetector
        with LeakDetector() as ld:
            snippets.test_leak_stacktrace()
        """,
        module=snippets,
        env={"HPY": "debug", "HPY_LOG": "1"},
    )
    assert done.returncode == 1
    assert done.stdout == "Loading 'snippets' in HPy universal mode with a debug context\n"
    lines = done.stderr.split("\n")
    at = lines.index("hpy.debug.leakdetector.HPyLeakError: 1 unclosed handle:")
    assert re.fullmatch(r"    <DebugHandle 0x[\da-f]+ for 42>", lines[at + 1])
    assert lines[at + 2] == "Allocation stacktrace:"
    assert "snippets.hpy0.so(+0x" in lines[at + 3]
    assert "script.py:8 in <module>" in done.stderr


@pytest.mark.promise("DBG-31")
@pytest.mark.hpy_abis("universal")
def test_harmless_without_debug_mode(hpy_module: Any) -> None:
    mod = hpy_module(SOURCE)
    with LeakDetector():
        mod.leak("x")


@pytest.mark.promise("DBG-29")
@pytest.mark.parametrize("leak", [False, True])
def test_fixture(hpy_module: Any, run_python: PythonRunner, tmp_path: Path, leak: bool) -> None:
    mixed = hpy_module.build(SOURCE, name="mixed")
    (tmp_path / "test_it.py").write_text(
        f"""\
from hpy.debug.pytest import hpy_debug, LeakDetector
import mixed

def test_it(hpy_debug):
    assert isinstance(hpy_debug, LeakDetector)
    if {leak}:
        mixed.leak(42)
"""
    )
    done = run_python.run(
        ["-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", "test_it.py"],
        module=mixed,
        cwd=tmp_path,
    )
    if leak:
        assert "1 passed, 1 error" in done.stdout
        assert "HPyLeakError: 1 unclosed handle:" in done.stdout
    else:
        assert "1 passed in" in done.stdout


def test_plugin_needs_no_import(run_python: PythonRunner, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        """\
import pytest

@pytest.mark.hpy_leaks(limit=1)
@pytest.mark.hpy_allow("use-after-close", reason="known")
def test_it(hpy_debug):
    assert hpy_debug.generation > 0
"""
    )
    command = ["-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", "test_it.py"]
    done = run_python.run(command, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    without = run_python.run([*command, "-p", "no:hpy_debug"], cwd=tmp_path)
    assert without.returncode != 0


@pytest.mark.parametrize("detector", [False, True])
def test_what_is_open_at_the_end(
    hpy_module: Any, run_python: PythonRunner, tmp_path: Path, detector: bool
) -> None:
    """violations.md, section 4: reported at exit where a report is set and no detector ran."""
    report = tmp_path / "report.jsonl"
    code = """
        import mytest, sys, hpy.debug
        mytest.leak(42)
        if sys.argv[1] == "True":
            with hpy.debug.LeakDetector():
                pass
        """
    done = run_python(
        code,
        str(detector),
        module=hpy_module.build(SOURCE),
        env={"HPY": "debug", "HPY_DEBUG_REPORT": str(report)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = report.read_text().splitlines() if report.exists() else []
    if detector:
        assert lines == []
    else:
        (line,) = map(json.loads, lines)
        assert (line["kind"], line["function"], line["handle"]["repr"]) == (
            "handle-leak",
            "leak",
            "42",
        )
