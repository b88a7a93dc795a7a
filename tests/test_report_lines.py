"""Reports name the right line, whatever the compiler made of the source.

A C file with the shapes in which extensions call the API (support/report_shapes.py) is compiled
with gcc and clang at every level of optimization.
"""

# ruff: noqa: SIM117

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyLeakError, LeakDetector
from hpy.debug.violation import Stack, Violation
from hpy.universal import _debug
from support.extension import ModuleFactory, line_of
from support.report_shapes import SOURCE

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check


class Build(NamedTuple):
    """A way to compile."""

    name: str
    compiler: str
    cflags: Sequence[str]
    language: str = "c"


BUILDS = [
    *(
        Build(f"{cc} -O{level}", cc, [f"-O{level}"])
        for cc in ("gcc", "clang")
        for level in range(4)
    ),
    Build("gcc -Os", "gcc", ["-Os"]),
    Build("gcc -g1 -O2", "gcc", ["-g1", "-O2"]),
    Build("gcc DWARF 4 -O2", "gcc", ["-gdwarf-4", "-O2"]),
    Build("clang DWARF 4 -O2", "clang", ["-gdwarf-4", "-O2"]),
    Build("g++ -O2", "g++", ["-O2"], "c++"),
    Build("clang++ -O2", "clang++", ["-O2"], "c++"),
]
# What the compilers say of a source that makes mistakes, and of parameters that it ignores.
QUIET = ["-Wno-unused-function", "-Wno-unused-but-set-variable", "-Wno-missing-field-initializers"]


@pytest.fixture(params=BUILDS, ids=lambda build: build.name)
def build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Build:
    chosen: Build = request.param
    if shutil.which(chosen.compiler) is None:
        pytest.skip(f"{chosen.compiler} is not installed")
    monkeypatch.setenv("CXX" if chosen.language == "c++" else "CC", chosen.compiler)
    return chosen


@pytest.fixture
def mod(hpy_module: ModuleFactory, build: Build) -> Any:
    return hpy_module(SOURCE, cflags=[*build.cflags, *QUIET], language=build.language)


def native_frames(stack: Optional[Stack]) -> list[tuple[Optional[str], int]]:
    """Function and line of the native frames, which must all be of the source."""
    assert stack is not None
    assert stack.native, "a stack without native frames"
    for frame in stack.native:
        assert re.search(r"/mytest\.(c|cpp)$", frame.file or ""), frame
        assert (frame.library or "").endswith("mytest.hpy0.so"), frame
    return [(_plain(frame.function), frame.line or 0) for frame in stack.native]


def _plain(function: Optional[str]) -> Optional[str]:
    """C++ functions have their parameters behind the name."""
    return None if function is None else function.partition("(")[0]


def frames(*marks: tuple[str, str]) -> list[tuple[Optional[str], int]]:
    return [(function, line_of(SOURCE, f"/* {mark} */")) for function, mark in marks]


def check_python(stack: Optional[Stack], function: str, mark: str) -> None:
    """The innermost Python frame is the line of this file that ends in `# mark`."""
    assert stack is not None
    innermost = stack.python[0]
    line = line_of(Path(__file__).read_text("utf-8"), f"  # {mark}")
    assert (innermost.function, innermost.file, innermost.line) == (function, __file__, line)


# Function of the module, its arguments, and the frames of the leak (function, comment of the line).
LEAKS = {
    "leak": ((), [("leak_impl", "leak")]),
    "leak_in_tail": ((), [("make_in_tail", "make_in_tail"), ("leak_in_tail_impl", "leak_in_tail")]),
    "leak_inlined": ((), [("make_inlined", "make_inlined"), ("leak_inlined_impl", "leak_inlined")]),
    "leak_inlined_twice": (
        (),
        [
            ("make_small", "make_small"),
            ("make_inlined_twice", "make_inlined_twice"),
            ("leak_inlined_twice_impl", "leak_inlined_twice"),
        ],
    ),
    "leak_two_levels": (
        (),
        [("inner", "inner"), ("outer", "outer"), ("leak_two_levels_impl", "leak_two_levels")],
    ),
    "leak_pack": ((1,), [("leak_pack_impl", "leak_pack")]),
    "leak_built": ((), [("leak_built_impl", "leak_built")]),
    "leak_in_macro": ((1,), [("leak_in_macro_impl", "leak_in_macro")]),
    "Thing": ((), [("Thing_new_impl", "Thing_new")]),
}


def leak_of(function: Any, *arguments: Any) -> Violation:
    """Calls it; its one leak."""
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        function(*arguments)  # the call that leaks
    (leak,) = caught.value.violations
    assert leak.kind == "handle-leak"
    assert leak.module == "mytest"
    check_python(leak.opened, "leak_of", "the call that leaks")
    return leak


@pytest.mark.promise("DBG-06", "DBG-11")
@pytest.mark.parametrize("function", LEAKS)
def test_leak(mod: Any, function: str) -> None:
    arguments, expected = LEAKS[function]
    leak = leak_of(getattr(mod, function), *arguments)
    assert native_frames(leak.opened) == frames(*expected)
    assert leak.function == ("Thing.HPy_tp_new" if function == "Thing" else function)


@pytest.mark.parametrize("case", range(4))
def test_tail_calls_of_one_function_are_told_apart(mod: Any, case: int) -> None:
    leak = leak_of(mod.leak_chosen, case)
    assert native_frames(leak.opened) == frames(
        ("choose_in_tail", f"choose {case}"), ("leak_chosen_impl", "leak_chosen")
    )


def test_leak_in_an_unrolled_loop_is_one_place(mod: Any) -> None:
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        mod.leak_in_loop("item")
    (leak,) = caught.value.violations
    assert leak.count == 4
    assert native_frames(leak.opened) == frames(("leak_in_loop_impl", "leak_in_loop"))
    assert str(caught.value).count("Allocation stacktrace:") == 1


def test_leak_on_a_path_that_the_compiler_moved_away(mod: Any) -> None:
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        with pytest.raises(ValueError, match="none"):
            mod.leak_on_cold_path(None)
    (leak,) = caught.value.violations
    assert native_frames(leak.opened) == frames(("leak_on_cold_path_impl", "leak_on_cold_path"))


def test_leak_in_a_slot(mod: Any) -> None:
    thing = mod.Thing()
    leak = leak_of(thing.__add__, 1013)
    assert native_frames(leak.opened) == frames(("Thing_add_impl", "Thing_add"))
    assert leak.function == "Thing.HPy_nb_add"


def opened_in(generation: int) -> list[str]:
    """Where the closed handles with a native trace were opened: `FUNCTION at FILE:LINE` each."""
    texts = [repr(handle) for handle in _debug.get_closed_handles(generation)]
    traces = [re.search(r"Allocation stacktrace:\n\S+ \[0x\w+\] in (.*)", text) for text in texts]
    return [trace[1] for trace in traces if trace]


def test_function_that_ends_in_the_call(mod: Any) -> None:
    """`return HPyLong_FromLong(ctx, x);`: the frame of the function itself must still be there."""
    generation = _debug.new_generation()
    assert mod.return_long() == 1007
    wanted = f"return_long_impl.*:{line_of(SOURCE, '/* return_long */')}"
    found = [where for where in opened_in(generation) if "return_long_impl" in where]
    assert len(found) == 1
    assert re.fullmatch(wanted, found[0])


def test_binary_whose_tail_calls_are_jumps(mod: Any, build: Build) -> None:
    """Where the frame is gone, the function is known still; the line is of it, never of another."""
    generation = _debug.new_generation()
    assert mod.return_bare() == 1008.0
    found = [where for where in opened_in(generation) if "return_bare_impl" in where]
    assert len(found) == 1
    line = int(found[0].rpartition(":")[2])
    begin, end = (
        line_of(SOURCE, f"/* {mark} */") for mark in ("return_bare begins", "return_bare")
    )
    if "-O0" in build.cflags:
        assert line == end
    else:
        assert begin <= line <= end


# Function, its arguments, kind, API function, and frames of opened, closed and at.
Frames = list[tuple[str, str]]


def _own(function: str, again: str = "uses") -> tuple[Frames, Frames, Frames]:
    return (
        [(f"{function}_impl", f"{function} opens")],
        [(f"{function}_impl", f"{function} closes")],
        [(f"{function}_impl", f"{function} {again}")],
    )


def _in(function: str, *helpers: Optional[str], again: str = "uses") -> tuple[Frames, ...]:
    return tuple(
        ([(helper, helper)] if helper else []) + own
        for helper, own in zip(helpers, _own(function, again))
    )


MISTAKES: dict[str, tuple[tuple[Any, ...], str, str, tuple[Frames, ...]]] = {
    "use": (("x",), "use-after-close", "HPy_Length", _own("use")),
    "use_in_tail": ((5,), "use-after-close", "HPy_Str", _own("use_in_tail")),
    "use_in_tail_keywords": (
        (5,),
        "use-after-close",
        "HPy_ASCII",
        _own("use_in_tail_keywords"),
    ),
    "use_in_helpers": (
        (5,),
        "use-after-close",
        "HPy_Add",
        _in("use_in_helpers", "make_in_tail", "close_in_tail", "add_in_tail"),
    ),
    "use_inlined": (
        (),
        "use-after-close",
        "HPyLong_AsInt64_t",  # which the inline HPyLong_AsLong calls
        _in("use_inlined", "make_inlined", "release", "value_of"),
    ),
    "close_twice": (("x",), "double-close", "HPy_Close", _own("close_twice", "again")),
    "close_twice_in_helpers": (
        ("x",),
        "double-close",
        "HPy_Close",
        _in("close_twice_in_helpers", None, "release", "close_in_tail", again="again"),
    ),
}


def mistake_of(function: Any, *arguments: Any) -> HPyDebugError:
    """Calls it; the error that is raised for its one mistake."""
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
        function(*arguments)  # the call that is wrong
    return caught.value


@pytest.mark.promise("DBG-12", "DBG-13")
@pytest.mark.parametrize("function", MISTAKES)
def test_misuse(mod: Any, function: str) -> None:
    arguments, kind, api, (opened, closed, at) = MISTAKES[function]
    error = mistake_of(getattr(mod, function), *arguments)
    violation = error.violation
    assert violation is not None
    assert (violation.kind, violation.api) == (kind, api)
    assert (violation.module, violation.function) == ("mytest", function)
    assert native_frames(violation.opened) == frames(*opened)
    assert native_frames(violation.closed) == frames(*closed)
    assert native_frames(violation.at) == frames(*at)
    for stack in (violation.at, violation.opened, violation.closed):
        check_python(stack, "mistake_of", "the call that is wrong")
    # The text says the same, with the lines themselves.
    text = str(error)
    place = re.search(r"^ *--> \S*mytest\.(?:c|cpp):(\d+) in (\w+)", text, re.M)
    assert place is not None, text
    name, mark = at[0]
    assert (int(place[1]), place[2]) == (line_of(SOURCE, f"/* {mark} */"), name)
    for word, (_, mark) in (("opened here", opened[0]), ("closed here", closed[0])):
        line = line_of(SOURCE, f"/* {mark} */")
        assert re.search(rf"^ *{line} \| .*\n *\|.* {word}", text, re.M), text


def test_misuse_in_a_getter(mod: Any) -> None:
    thing = mod.Thing()
    violation = mistake_of(getattr, thing, "x").violation
    assert violation is not None
    assert (violation.module, violation.function) == ("mytest", "Thing.x")
    for stack, mark in (("opened", "opens"), ("closed", "closes"), ("at", "uses")):
        assert native_frames(violation[stack]) == frames(("Thing_x_get", f"Thing_x {mark}"))


@pytest.mark.hpy_abis("debug")
def test_debug_information_in_a_file_of_its_own(hpy_module: ModuleFactory, tmp_path: Path) -> None:
    """As distributions ship it: found by the link in the library."""
    objcopy = shutil.which("objcopy")
    if objcopy is None:
        pytest.skip("objcopy is not installed")
    extension = hpy_module.build(SOURCE, cflags=["-O2", *QUIET])
    library, debug = str(extension.path), str(extension.path) + ".debug"
    for arguments in (
        ["--only-keep-debug", library, debug],
        ["--strip-all", library],
        [f"--add-gnu-debuglink={debug}", library],
    ):
        subprocess.run([objcopy, *arguments], check=True)
    mod = hpy_module.load(extension)
    arguments, expected = LEAKS["leak_inlined_twice"]
    leak = leak_of(mod.leak_inlined_twice, *arguments)
    assert native_frames(leak.opened) == frames(*expected)
