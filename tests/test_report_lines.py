"""Reports name the right line, whatever the compiler made of the source.

One C file with the shapes in which extensions call the API is compiled with gcc and clang at every
level of optimization. Each function of it makes one mistake, and the comments at the ends of its
lines say what happens there.
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

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

# No two helpers have equal bodies: compilers make one function of such, and then name either.
SOURCE = r"""
#include "hpy.h"

#define NOINLINE __attribute__((noinline))
#define FORCE_INLINE inline __attribute__((always_inline))
#define NONE HPy_Dup(ctx, ctx->h_None)

/* Leaks. */

HPyDef_METH(leak, "leak", HPyFunc_NOARGS)
static HPy leak_impl(HPyContext *ctx, HPy self)
{
    HPy h = HPyLong_FromLong(ctx, 1001);  /* leak */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

static NOINLINE HPy make_in_tail(HPyContext *ctx, long x)
{
    return HPyLong_FromLong(ctx, x);  /* make_in_tail */
}

HPyDef_METH(leak_in_tail, "leak_in_tail", HPyFunc_NOARGS)
static HPy leak_in_tail_impl(HPyContext *ctx, HPy self)
{
    make_in_tail(ctx, 1002);  /* leak_in_tail */
    return NONE;
}

static NOINLINE HPy choose_in_tail(HPyContext *ctx, long x)
{
    switch (x) {
    case 0:
        return HPyLong_FromLong(ctx, 1003);  /* choose 0 */
    case 1:
        return HPyFloat_FromDouble(ctx, 1.5);  /* choose 1 */
    case 2:
        return HPyUnicode_FromString(ctx, "two");  /* choose 2 */
    default:
        return HPyBytes_FromString(ctx, "three");  /* choose 3 */
    }
}

HPyDef_METH(leak_chosen, "leak_chosen", HPyFunc_O)
static HPy leak_chosen_impl(HPyContext *ctx, HPy self, HPy arg)
{
    choose_in_tail(ctx, HPyLong_AsLong(ctx, arg));  /* leak_chosen */
    return NONE;
}

static FORCE_INLINE HPy make_inlined(HPyContext *ctx, long x)
{
    return HPyLong_FromLong(ctx, x + 7);  /* make_inlined */
}

HPyDef_METH(leak_inlined, "leak_inlined", HPyFunc_NOARGS)
static HPy leak_inlined_impl(HPyContext *ctx, HPy self)
{
    HPy h = make_inlined(ctx, 1004);  /* leak_inlined */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

/* Inlined from -O1 on, or -O2. */
static HPy make_small(HPyContext *ctx, long x)
{
    return HPyLong_FromLong(ctx, x * 3);  /* make_small */
}

static FORCE_INLINE HPy make_inlined_twice(HPyContext *ctx, long x)
{
    HPy h = make_small(ctx, x + 1);  /* make_inlined_twice */
    return h;
}

HPyDef_METH(leak_inlined_twice, "leak_inlined_twice", HPyFunc_NOARGS)
static HPy leak_inlined_twice_impl(HPyContext *ctx, HPy self)
{
    HPy h = make_inlined_twice(ctx, 1005);  /* leak_inlined_twice */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

static NOINLINE int inner(HPyContext *ctx, HPy list, long x)
{
    HPy item = HPyLong_FromLong(ctx, x);  /* inner */
    int error = HPyList_Append(ctx, list, item);
    return error;
}

static NOINLINE int outer(HPyContext *ctx, HPy list)
{
    int error = inner(ctx, list, 1006);  /* outer */
    return error + 1;
}

HPyDef_METH(leak_two_levels, "leak_two_levels", HPyFunc_NOARGS)
static HPy leak_two_levels_impl(HPyContext *ctx, HPy self)
{
    HPy list = HPyList_New(ctx, 0);
    int error = outer(ctx, list);  /* leak_two_levels */
    HPy_Close(ctx, list);
    return error == 1 ? NONE : HPy_NULL;
}

/* A function of HPy's headers that calls the API, and one of its library that is linked. */
HPyDef_METH(leak_pack, "leak_pack", HPyFunc_O)
static HPy leak_pack_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPyTuple_Pack(ctx, 2, arg, arg);  /* leak_pack */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

HPyDef_METH(leak_built, "leak_built", HPyFunc_NOARGS)
static HPy leak_built_impl(HPyContext *ctx, HPy self)
{
    HPy h = HPy_BuildValue(ctx, "(ii)", 10, 11);  /* leak_built */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

#define DUPLICATE(object) HPy_Dup(ctx, object)

HPyDef_METH(leak_in_macro, "leak_in_macro", HPyFunc_VARARGS)
static HPy leak_in_macro_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPy h = nargs ? DUPLICATE(args[0]) : HPy_NULL;  /* leak_in_macro */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

HPyDef_METH(leak_in_loop, "leak_in_loop", HPyFunc_O)
static HPy leak_in_loop_impl(HPyContext *ctx, HPy self, HPy arg)
{
    int i;
    for (i = 0; i < 4; i++)
        HPy_Dup(ctx, arg);  /* leak_in_loop */
    return NONE;
}

HPyDef_METH(leak_on_cold_path, "leak_on_cold_path", HPyFunc_O)
static HPy leak_on_cold_path_impl(HPyContext *ctx, HPy self, HPy arg)
{
    if (__builtin_expect(HPy_Is(ctx, arg, ctx->h_None), 0)) {
        HPy text = HPyUnicode_FromString(ctx, "none");  /* leak_on_cold_path */
        HPyErr_SetObject(ctx, ctx->h_ValueError, text);
        return HPy_NULL;
    }
    return NONE;
}

/* The result of a function, which Python closes, so that this opens what is no leak. */
HPyDef_METH(return_long, "return_long", HPyFunc_NOARGS)
static HPy return_long_impl(HPyContext *ctx, HPy self)
{
    return HPyLong_FromLong(ctx, 1007);  /* return_long */
}

/* The function itself makes a tail call, as in a binary that other headers made. */
HPyDef_METH(return_bare, "return_bare", HPyFunc_NOARGS)
static HPy return_bare_impl(HPyContext *ctx, HPy self)  /* return_bare begins */
{
    return ctx->ctx_Float_FromDouble(ctx, 1008.0);  /* return_bare */
}

/* Misuse. */

HPyDef_METH(use, "use", HPyFunc_O)
static HPy use_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);  /* use opens */
    HPy_Close(ctx, h);  /* use closes */
    HPy_Length(ctx, h);  /* use uses */
    return HPy_NULL;
}

HPyDef_METH(use_in_tail, "use_in_tail", HPyFunc_O)
static HPy use_in_tail_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Repr(ctx, arg);  /* use_in_tail opens */
    HPy_Close(ctx, h);  /* use_in_tail closes */
    return HPy_Str(ctx, h);  /* use_in_tail uses */
}

HPyDef_METH(use_in_tail_keywords, "use_in_tail_keywords", HPyFunc_KEYWORDS)
static HPy use_in_tail_keywords_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs,
                                     HPy kwnames)
{
    HPy h = HPy_Type(ctx, args[0]);  /* use_in_tail_keywords opens */
    HPy_Close(ctx, h);  /* use_in_tail_keywords closes */
    return HPy_ASCII(ctx, h);  /* use_in_tail_keywords uses */
}

static NOINLINE void close_in_tail(HPyContext *ctx, HPy h)
{
    HPy_Close(ctx, h);  /* close_in_tail */
}

static NOINLINE HPy add_in_tail(HPyContext *ctx, HPy a, HPy b)
{
    return HPy_Add(ctx, a, b);  /* add_in_tail */
}

HPyDef_METH(use_in_helpers, "use_in_helpers", HPyFunc_O)
static HPy use_in_helpers_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = make_in_tail(ctx, 1009);  /* use_in_helpers opens */
    close_in_tail(ctx, h);  /* use_in_helpers closes */
    HPy sum = add_in_tail(ctx, arg, h);  /* use_in_helpers uses */
    HPy_Close(ctx, sum);
    return HPy_NULL;
}

static FORCE_INLINE void release(HPyContext *ctx, HPy *h)
{
    HPy_Close(ctx, *h);  /* release */
}

static FORCE_INLINE long value_of(HPyContext *ctx, HPy h)
{
    return HPyLong_AsLong(ctx, h);  /* value_of */
}

HPyDef_METH(use_inlined, "use_inlined", HPyFunc_NOARGS)
static HPy use_inlined_impl(HPyContext *ctx, HPy self)
{
    HPy h = make_inlined(ctx, 1010);  /* use_inlined opens */
    release(ctx, &h);  /* use_inlined closes */
    long value = value_of(ctx, h);  /* use_inlined uses */
    return value == -1 ? HPy_NULL : NONE;
}

HPyDef_METH(close_twice, "close_twice", HPyFunc_O)
static HPy close_twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);  /* close_twice opens */
    HPy_Close(ctx, h);  /* close_twice closes */
    HPy_Close(ctx, h);  /* close_twice again */
    return NONE;
}

HPyDef_METH(close_twice_in_helpers, "close_twice_in_helpers", HPyFunc_O)
static HPy close_twice_in_helpers_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);  /* close_twice_in_helpers opens */
    release(ctx, &h);  /* close_twice_in_helpers closes */
    close_in_tail(ctx, h);  /* close_twice_in_helpers again */
    return NONE;
}

/* Methods and slots of a type. */

typedef struct { long x; } Thing;
HPyType_HELPERS(Thing)

HPyDef_SLOT(Thing_new, HPy_tp_new)
static HPy Thing_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Thing *thing;
    HPyLong_FromLong(ctx, 1011);  /* Thing_new */
    return HPy_New(ctx, cls, &thing);
}

HPyDef_SLOT(Thing_add, HPy_nb_add)
static HPy Thing_add_impl(HPyContext *ctx, HPy a, HPy b)
{
    HPy_Dup(ctx, b);  /* Thing_add */
    return HPy_Dup(ctx, a);
}

HPyDef_GET(Thing_x, "x")
static HPy Thing_x_get(HPyContext *ctx, HPy self, void *closure)
{
    HPy h = HPyLong_FromLong(ctx, 1012);  /* Thing_x opens */
    HPy_Close(ctx, h);  /* Thing_x closes */
    return HPy_Negative(ctx, h);  /* Thing_x uses */
}

static HPyDef *Thing_defines[] = {&Thing_new, &Thing_add, &Thing_x, NULL};
static HPyType_Spec Thing_spec = {
    "mytest.Thing", sizeof(Thing), 0, HPy_TPFLAGS_DEFAULT, {HPyType_BuiltinShape_Object},
    NULL, Thing_defines, NULL,
};

HPyDef_SLOT(add_types, HPy_mod_exec)
static int add_types_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Thing", &Thing_spec, NULL) ? 0 : -1;
}
"""


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
    assert len(caught.value.violations) == 4
    for leak in caught.value.violations:
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
    # The text says the same, one place a line.
    for verb, (name, mark) in (("at", at[0]), ("opened at", opened[0]), ("closed at", closed[0])):
        place = re.search(rf"^  {verb} \S*mytest\.(?:c|cpp):(\d+) in (\w+)", str(error), re.M)
        assert place is not None, str(error)
        assert (int(place[1]), place[2]) == (line_of(SOURCE, f"/* {mark} */"), name)


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
