"""Reports of binaries that tell less than others: their exact frames, and never a wrong line.

Without debug information a frame is the library and the offset of the call, with the function
where there is a symbol. What that offset means is asked of addr2line and a copy of the library
that still has its debug information.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyLeakError, LeakDetector
from hpy.debug.violation import NativeFrame, Stack, Violation
from support import peer
from support.extension import Extension, ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

_SOURCE = r"""
#include "hpy.h"

#define NOINLINE __attribute__((noinline))
#define EXPORTED __attribute__((visibility("default")))

/* The one function of these that is in the table of dynamic symbols. */
EXPORTED NOINLINE int exported_maker(HPyContext *ctx, HPy list)
{
    HPy item = HPyLong_FromLong(ctx, 4242);  /* makes */
    return HPyList_Append(ctx, list, item) + 1;
}

static NOINLINE int passes_on(HPyContext *ctx, HPy list)
{
    return exported_maker(ctx, list) + 1;  /* passes on */
}

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy list)
{
    if (passes_on(ctx, list) != 2)  /* leaks */
        return HPy_NULL;
    return HPy_Dup(ctx, ctx->h_None);
}

static NOINLINE void closes(HPyContext *ctx, HPy h, int *count)
{
    HPy_Close(ctx, h);  /* closes */
    *count += 1;
}

HPyDef_METH(use, "use", HPyFunc_O)
static HPy use_impl(HPyContext *ctx, HPy self, HPy arg)
{
    int count = 0;
    HPy result, h = HPy_Repr(ctx, arg);  /* opens */
    closes(ctx, h, &count);  /* calls */
    result = HPy_Add(ctx, h, arg);  /* uses */
    return count ? result : HPy_NULL;
}

/* These end in the call: a compiler may make a jump of it. */
static NOINLINE HPy makes_in_tail(HPyContext *ctx, long x)
{
    return HPyLong_FromLong(ctx, x);  /* makes in tail */
}

HPyDef_METH(leak_in_tail, "leak_in_tail", HPyFunc_O)
static HPy leak_in_tail_impl(HPyContext *ctx, HPy self, HPy arg)
{
    makes_in_tail(ctx, 4343);  /* leaks in tail */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(return_in_tail, "return_in_tail", HPyFunc_O)
static HPy return_in_tail_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    return HPy_Str(ctx, h);  /* uses in tail */
}

static HPyDef *defines[] = {&leak, &use, &leak_in_tail, &return_in_tail, NULL};
static HPyModuleDef module_def = {.doc = "made for a test", .defines = defines};
HPy_MODINIT(@module@, module_def)
"""


def source_of(name: str) -> str:
    """With a definition that the headers of the peer take, too."""
    return _SOURCE.replace("@module@", name)


SOURCE = source_of("mytest")

Place = tuple[Optional[str], str]  # function, and the comment at the end of the line
LEAK: list[Place] = [
    ("exported_maker", "makes"),
    ("passes_on", "passes on"),
    ("leak_impl", "leaks"),
]
USE: dict[str, list[Place]] = {
    "opened": [("use_impl", "opens")],
    "closed": [("closes", "closes"), ("use_impl", "calls")],
    "at": [("use_impl", "uses")],
}


def leak_of(function: Any, argument: object) -> tuple[Stack, str]:
    """The stack of its one leak, and the text of the error."""
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        function(argument)
    (leak,) = caught.value.violations
    assert leak.opened is not None
    return leak.opened, str(caught.value)


def misuse_of(function: Any, argument: object) -> tuple[Violation, str]:
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
        function(argument)
    assert caught.value.violation is not None
    return caught.value.violation, str(caught.value)


def lines(stack: Optional[Stack]) -> list[tuple[Optional[str], Optional[int]]]:
    assert stack is not None
    return [(frame.function, frame.line) for frame in stack.native]


def expected(places: Sequence[Place], source: str = SOURCE) -> list[tuple[Optional[str], int]]:
    return [(function, line_of(source, f"/* {mark} */")) for function, mark in places]


# Without debug information.


class Bare(NamedTuple):
    """A library without debug information, and the same with it."""

    extension: Extension
    whole: Path

    def line(self, frame: NativeFrame) -> int:
        """The innermost line of the source that its offset means."""
        command = ["addr2line", "-ie", str(self.whole), hex(frame.offset or 0)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(r"/mytest\.c:(\d+)", done.stdout)
        assert found is not None, done.stdout
        return int(found[1])


@pytest.fixture(params=["-O0", "-O2", "-O3 -flto"])
def flags(request: pytest.FixtureRequest) -> list[str]:
    chosen: str = request.param
    return chosen.split()


@pytest.fixture(params=["--strip-debug", "--strip-all"])
def bare(request: pytest.FixtureRequest, hpy_module: ModuleFactory, flags: list[str]) -> Bare:
    for program in ("strip", "addr2line"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    extension = hpy_module.build(SOURCE, cflags=flags)
    whole = Path(shutil.copy(extension.path, extension.folder / "whole.so"))
    subprocess.run(["strip", request.param, str(extension.path)], check=True)
    return Bare(extension, whole)


def check_bare(bare: Bare, stack: Optional[Stack], places: Sequence[Place], strip: str) -> None:
    assert stack is not None
    assert [bare.line(frame) for frame in stack.native] == [line for _, line in expected(places)]
    for frame, (function, _) in zip(stack.native, places):
        assert (frame.file, frame.line) == (None, None)
        assert frame["library"] == str(bare.extension.path)
        known = strip == "--strip-debug" or function == "exported_maker"
        # Symbols of clones have more behind the name: `closes.constprop.0`.
        name = frame.function and frame.function.partition(".")[0]
        assert name == (function if known else None)


def hint(extension: Extension) -> str:
    return (
        f"{extension.path.name} has no debug information: compile it with -g, or install its "
        "debug symbols, to see files and lines"
    )


def test_leak_without_lines(
    bare: Bare, hpy_module: ModuleFactory, request: pytest.FixtureRequest
) -> None:
    strip = request.node.callspec.params["bare"]
    mod = hpy_module.load(bare.extension)
    stack, text = leak_of(mod.leak, [])
    check_bare(bare, stack, LEAK, strip)
    for frame in stack.native:
        known = f" in {frame.function}" if frame.function else ""
        offset = f"{frame.offset:#x}"
        assert f"\n{bare.extension.path}(+{offset}) [{offset}]{known}\n" in text
    assert text.count(hint(bare.extension)) == text.count("debug information") == 1


def test_misuse_without_lines(
    bare: Bare, hpy_module: ModuleFactory, request: pytest.FixtureRequest
) -> None:
    strip = request.node.callspec.params["bare"]
    violation, text = misuse_of(hpy_module.load(bare.extension).use, 5)
    for stack, places in USE.items():
        check_bare(bare, violation[stack], places, strip)
    # Three stacks, one hint.
    assert text.count(hint(bare.extension)) == text.count("debug information") == 1
    assert "mytest.c" not in text


def test_hint_for_each_library_once(hpy_module: ModuleFactory) -> None:
    first, second = (
        hpy_module.build(source_of(name), name=name, cflags=["-g0"]) for name in ("one", "two")
    )
    modules = [hpy_module.load(extension) for extension in (first, second)]
    detector = LeakDetector()
    detector.start()
    for mod in modules:
        mod.leak([])
        mod.leak_in_tail(0)
    with pytest.raises(HPyLeakError) as caught:
        detector.stop()
    text = str(caught.value)
    assert text.count("4 unclosed handles") == 1
    assert text.count(hint(first)) == text.count(hint(second)) == 1
    assert text.count("debug information") == 2


# With debug information, and an optimizer that moves everything.


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        ("gcc", ["-O3", "-flto"]),
        ("gcc", ["-O3", "-flto", "-fno-plt", "-fomit-frame-pointer", "-funroll-loops"]),
        ("gcc", ["-O2", "-gsplit-dwarf"]),
        ("gcc", ["-O2", "-gz", "-ffunction-sections", "-Wl,--gc-sections"]),
        ("clang", ["-O3", "-fno-omit-frame-pointer", "-gz"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_lines_of_optimized_code(
    hpy_module: ModuleFactory, monkeypatch: pytest.MonkeyPatch, compiler: str, flags: list[str]
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    monkeypatch.setenv("CC", compiler)
    mod = hpy_module(SOURCE, cflags=flags)
    stack, _ = leak_of(mod.leak, [])
    assert lines(stack) == expected(LEAK)
    stack, _ = leak_of(mod.leak_in_tail, 0)
    assert lines(stack) == expected(
        [("makes_in_tail", "makes in tail"), ("leak_in_tail_impl", "leaks in tail")]
    )
    violation, _ = misuse_of(mod.use, 5)
    for name, places in USE.items():
        assert lines(violation[name]) == expected(places)
    violation, _ = misuse_of(mod.return_in_tail, "x")
    assert lines(violation.at) == expected([("return_in_tail_impl", "uses in tail")])


CXX = r"""
#include "hpy.h"
#include <utility>

namespace odd {

/* A handle that closes itself. */
class Handle {
  public:
    Handle(HPyContext *ctx, HPy h) : ctx_(ctx), h_(h) {}
    Handle(Handle &&other) : ctx_(other.ctx_), h_(other.h_) { other.h_ = HPy_NULL; }
    ~Handle()
    {
        if (!HPy_IsNull(h_))
            HPy_Close(ctx_, h_);  /* closes */
    }
    HPy get() const { return h_; }
    HPy release()
    {
        return std::exchange(h_, HPy_NULL);
    }

  private:
    HPyContext *ctx_;
    HPy h_;
};

template <typename F>
inline Handle with(HPyContext *ctx, F f)
{
    return Handle(ctx, f(40));  /* calls back */
}

struct Maker {
    HPyContext *ctx;
    template <typename T>
    HPy operator()(T value) const
    {
        return HPyLong_FromLong(ctx, value + 2);  /* makes */
    }
};

}  // namespace odd

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    odd::Maker maker{ctx};
    odd::with(ctx, maker).release();  /* leaks */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(use, "use", HPyFunc_O)
static HPy use_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy kept;
    {
        odd::Handle handle(ctx, HPy_Repr(ctx, arg));  /* opens */
        kept = handle.get();
    }  /* ends */
    HPy result = HPy_Add(ctx, kept, arg);  /* uses */
    return result;
}
"""


def plain(function: Optional[str]) -> str:
    """Without parameters, the type of the result and the arguments of templates."""
    name = re.sub(r"<[^()]*>", "", function or "").replace("operator()", "operator")
    return name.partition("(")[0].split(" ")[-1]


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3"])
def test_cxx_with_inlining(
    hpy_module: ModuleFactory, monkeypatch: pytest.MonkeyPatch, compiler: str, level: str
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    monkeypatch.setenv("CXX", compiler)
    mod = hpy_module(CXX, language="c++", cflags=[level])

    def named(stack: Optional[Stack]) -> list[tuple[str, Optional[int]]]:
        return [(plain(function), line) for function, line in lines(stack)]

    stack, _ = leak_of(mod.leak, 0)
    assert named(stack) == expected(
        [
            ("odd::Maker::operator", "makes"),
            ("odd::with", "calls back"),
            ("leak_impl", "leaks"),
        ],
        CXX,
    )
    violation, _ = misuse_of(mod.use, 5)
    assert named(violation.opened) == expected([("use_impl", "opens")], CXX)
    assert named(violation.at) == expected([("use_impl", "uses")], CXX)
    closed = named(violation.closed)
    assert closed[0] == ("odd::Handle::~Handle", line_of(CXX, "/* closes */"))
    # The end of the block; some compilers say that the destructor belongs to the declaration.
    function, line = closed[1]
    ends = [line_of(CXX, f"/* {mark} */") for mark in ("opens", "ends")]
    assert function == "use_impl"
    assert line in ends
    assert len(closed) == 2


# As the peer builds them: no frame is kept in front of a call that ends its function.


@pytest.mark.slow
@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3"])
def test_lines_in_a_binary_of_the_peer(
    hpy_module: ModuleFactory, tmp_path: Path, level: str
) -> None:
    python, why_not = peer.venv()
    if python is None:
        pytest.skip(why_not)
    (tmp_path / "mytest.c").write_text(SOURCE)
    (tmp_path / "setup.py").write_text(
        "from setuptools import setup, Extension\n"
        "setup(name='mytest', hpy_ext_modules=[Extension('mytest', sources=['mytest.c'])])\n"
    )
    subprocess.run(
        [str(python), "setup.py", "-q", "--hpy-abi=universal", "build_ext", "-i"],
        cwd=tmp_path,
        env={**peer.environment(), "CFLAGS": f"{level} -g"},
        check=True,
        capture_output=True,
    )
    library = tmp_path / "mytest.hpy0.so"
    mod = hpy_module.load(Extension("mytest", "debug", library, tmp_path / "mytest.c"))
    stack, _ = leak_of(mod.leak, [])
    assert lines(stack) == expected(LEAK)
    violation, _ = misuse_of(mod.use, 5)
    for name, places in USE.items():
        assert lines(violation[name]) == expected(places)

    stack, _ = leak_of(mod.leak_in_tail, 0)
    caller = expected([("leak_in_tail_impl", "leaks in tail")])
    helper = expected([("makes_in_tail", "makes in tail")])
    # Where the helper jumps to the API its frame is gone: its caller is known, and no wrong line.
    assert lines(stack) == (helper + caller if level == "-O0" else caller)
    violation, _ = misuse_of(mod.return_in_tail, "x")
    assert lines(violation.at) == expected([("return_in_tail_impl", "uses in tail")])


# By another name.


def test_through_a_symbolic_link(hpy_module: ModuleFactory, tmp_path: Path) -> None:
    extension = hpy_module.build(SOURCE, cflags=["-O2"])
    link = tmp_path / "mytest.hpy0.so"
    link.symlink_to(extension.path)
    mod = hpy_module.load(Extension("mytest", "debug", link, extension.source))
    # It leads elsewhere by now: to the same code, some lines further down.
    other = hpy_module.build("\n" * 5 + SOURCE, cflags=["-O2"])
    stack, _ = leak_of(mod.leak, [])
    assert lines(stack) == expected(LEAK)
    assert {frame["library"] for frame in stack.native} == {str(link)}
    assert {frame.file for frame in stack.native} == {str(extension.source)}
    link.unlink()
    link.symlink_to(other.path)
    # What is looked up now for the first time is of a library that cannot be read any more.
    stack, text = leak_of(mod.leak_in_tail, 0)
    for frame in stack.native:
        assert frame.file in (None, str(extension.source))
    assert all(
        found in (known, (None, None))
        for found, known in zip(
            lines(stack),
            expected([("makes_in_tail", "makes in tail"), ("leak_in_tail_impl", "leaks in tail")]),
        )
    ), text


def test_library_that_was_built_anew(hpy_module: ModuleFactory) -> None:
    """The file of that name is another one when the report is written."""
    extension = hpy_module.build(SOURCE, cflags=["-O2"])
    mod = hpy_module.load(extension)
    other = hpy_module.build("\n" * 5 + SOURCE, cflags=["-O2"])
    other.path.rename(extension.path)
    stack, text = leak_of(mod.leak, [])
    assert [(frame.file, frame.line) for frame in stack.native] == [(None, None)] * 3
    assert {frame["library"] for frame in stack.native} == {str(extension.path)}
    assert text.count("debug information") == 1
