"""What the headers compile to: no call of the API is a jump, and a binary has its entry points."""

import ctypes
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from support import headers
from support.headers import (
    ABIS,
    COMPILERS,
    STRICT,
    Case,
    check_all,
)


@pytest.fixture(scope="session")
def include(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return headers.find(tmp_path_factory.mktemp)


# -- Machine code --

# A switch may be compiled to a jump through a table: not here, where jumps are looked for.
CODE = ("-ffunction-sections", "-fno-jump-tables")

EVERY_CALL = """
    #include "hpy.h"
    #define SKIP_PUBLIC(name, ret, params, args) \\
        ret tail_##name params; \\
        ret tail_##name params { return name args; }
    #define SKIP_HAND(name, ret, params, args)
    #define PROC_PUBLIC(name, params, args) \\
        void tail_##name params; \\
        void tail_##name params { name args; }
    #define PROC_RETNULL(name, params, args) SKIP_PUBLIC(name, HPy, params, args)
    #define PROC_HAND(name, params, args)
    #define HPY_FUNC(index, member, name, ret, params, args, api, ...) \\
        SKIP_##api(name, ret, params, args)
    #define HPY_PROC(index, member, name, params, args, api, ...) PROC_##api(name, params, args)
    #include "hpy/abi/context.inc"

    #define TAIL(name, ret, params, args) SKIP_PUBLIC(name, ret, params, args)
    #define C HPyContext *ctx
    typedef struct { int x; } T;
    HPyType_HELPERS(T)
    TAIL(_HPy_New, HPy, (C, HPy h, void **data), (ctx, h, data))
    TAIL(HPyType_FromSpec, HPy, (C, HPyType_Spec *spec), (ctx, spec, NULL))
    TAIL(HPyModule_Create, HPy, (C, HPyModuleDef *def), (ctx, def))
    TAIL(HPyBytes_AsString, char *, (C, HPy h), (ctx, h))
    TAIL(HPyBytes_AS_STRING, char *, (C, HPy h), (ctx, h))
    TAIL(HPyListBuilder_Build, HPy, (C, HPyListBuilder b), (ctx, b))
    TAIL(HPyTupleBuilder_Build, HPy, (C, HPyTupleBuilder b), (ctx, b))
    PROC_PUBLIC(HPyListBuilder_Cancel, (C, HPyListBuilder b), (ctx, b))
    PROC_PUBLIC(HPyTupleBuilder_Cancel, (C, HPyTupleBuilder b), (ctx, b))
    TAIL(HPyCapsule_GetPointer, void *, (C, HPy h), (ctx, h, "x"))
    TAIL(HPyCapsule_SetDestructor, int, (C, HPy h, HPyCapsule_Destructor *d), (ctx, h, d))
    TAIL(HPy_FromPyObject, HPy, (C, PyObject *o), (ctx, o))
    TAIL(HPy_AsPyObject, PyObject *, (C, HPy h), (ctx, h))
    TAIL(HPyLong_FromLong, HPy, (C, long v), (ctx, v))
    TAIL(HPyLong_FromUnsignedLongLong, HPy, (C, unsigned long long v), (ctx, v))
    TAIL(HPyLong_AsLong, long, (C, HPy h), (ctx, h))
    TAIL(HPyLong_AsUnsignedLongMask, unsigned long, (C, HPy h), (ctx, h))
    TAIL(HPyBool_FromLong, HPy, (C, long v), (ctx, v))
    TAIL(HPyErr_SetFromErrno, HPy, (C, HPy h), (ctx, h))
    TAIL(HPyTuple_Pack, HPy, (C, HPy h), (ctx, 1, h))
    TAIL(HPy_DelAttr_s, int, (C, HPy h), (ctx, h, "x"))
    TAIL(HPy_CallMethodTupleDict_s, HPy, (C, HPy h), (ctx, "x", h, HPy_NULL, HPy_NULL))
    TAIL(T_AsStruct, T *, (C, HPy h), (ctx, h))
    TAIL(HPy_BuildValue, HPy, (C), (ctx, "i", 3))
    TAIL(HPyErr_Format, HPy, (C, HPy h), (ctx, h, "%d", 3))
    TAIL(HPyUnicode_FromFormat, HPy, (C), (ctx, "%d", 3))
    TAIL(HPyHelpers_AddType, int, (C, HPy h, HPyType_Spec *spec), (ctx, h, "x", spec, NULL))
    TAIL(HPyStructSequence_New, HPy, (C, HPy h, HPy *args), (ctx, h, 1, args))
    HPy tail_compare(C, long x, HPy_RichCmpOp op);
    HPy tail_compare(C, long x, HPy_RichCmpOp op) { HPy_RETURN_RICHCOMPARE(ctx, x, 1.5, op); }
"""


def disassemble(file: Path) -> dict[str, list[str]]:
    """The instructions of each function, with the symbols that they refer to."""
    command = ["objdump", "-dr", "--no-show-raw-insn", str(file)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    functions: dict[str, list[str]] = {}
    for block in re.split(r"\n\n", text):
        head = re.match(r"\s*[0-9a-f]+ <([^>]+)>:\n", block)
        if head:
            joined = re.sub(r"\n\s+[0-9a-f]+: (R_\S+\s+\S+)", r" \1", block)
            functions[head[1]] = joined.splitlines()[1:]
    return functions


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="reads x86-64 instructions")
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("level", ["-O1", "-O2", "-O3", "-Os", "-O0"])
def test_no_call_of_the_api_is_a_jump(
    include: Path, tmp_path: Path, compiler: str, level: str
) -> None:
    """Debug mode names the line that called by its frame: the frame has to be there."""
    outside = re.compile(r"\bjmp\s+\*|\bjmp\b.*\bR_X86_64_(PLT|PC)32\b(?!\s+\.text)")
    file = tmp_path / "calls.o"
    # gcc makes one function of two with the same code.
    flags = (level, *CODE, "-fno-ipa-icf") if compiler == "gcc" else (level, *CODE)
    case = Case(compiler, "c11", "hybrid", EVERY_CALL, flags)
    assert case.compile(include, "-c", "-o", str(file)) == (0, "")
    functions = disassemble(file)
    tested = {name: lines for name, lines in functions.items() if name.startswith("tail_")}
    assert len([name for name in tested if "." not in name]) > 190
    for name, lines in tested.items():
        assert "." in name or any("call" in line for line in lines), name
        jumps = [line for line in lines if outside.search(line)]
        # A part that the compiler set apart belongs to its function.
        jumps = [line for line in jumps if not re.search(r"\.text\.|\.cold", line)]
        assert not jumps, f"{name}: {jumps}"


@pytest.mark.promise("ABI-02")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="reads x86-64 instructions")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_cpython_abi_is_the_plain_call(include: Path, tmp_path: Path, compiler: str) -> None:
    file = tmp_path / "calls.o"
    case = Case(compiler, "c11", "cpython", EVERY_CALL, ("-O2", *CODE))
    assert case.compile(include, "-c", "-o", str(file)) == (0, "")
    functions = disassemble(file)
    code = "\n".join(functions["tail_HPyLong_FromLong"])
    assert re.findall(r"\bj\w+|\bcall", code) in (["call"], ["jmp"]), code
    assert "PyLong_FromLong" in code
    indirect = [
        f"{name}: {line}"
        for name, lines in functions.items()
        if name.startswith("tail_") and "Builder" not in name
        for line in lines
        if re.search(r"\b(call|jmp)\s+\*", line)
    ]
    assert not indirect, indirect


# -- Binaries --


def build(include: Path, folder: Path, source: str, *flags: str) -> Path:
    file = folder / "simple.hpy0.so"
    case = Case("gcc", "gnu99", "universal", source, flags)
    code, said = case.compile(include, "-shared", "-Wl,-z,defs", "-o", str(file))
    assert (code, said) == (0, "")
    return file


def exported(file: Path) -> set[str]:
    command = ["nm", "-D", "--defined-only", str(file)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in text.splitlines()}


ENTRY_POINTS = {
    "get_required_hpy_major_version_simple",
    "get_required_hpy_minor_version_simple",
    "HPyInitGlobalContext_simple",
    "HPyInit_simple",
}

NEW_MODULE = """
    #include "hpy.h"
    %s
    HPyDef_METH(f, "f", HPyFunc_NOARGS)
    static HPy f_impl(HPyContext *ctx, HPy self)
    {
        (void)self;
        return HPyLong_FromLong(ctx, 42);
    }
    static HPyDef *defines[] = {&f, NULL};
    static HPyModuleDef simple = {.doc = "the doc", .size = 3, .defines = defines};
    HPy_MODINIT(simple, simple)
"""

OLD_MODULE = """
    #include "hpy.h"
    static HPyModuleDef simple = {.name = "simple", .doc = "the doc", .size = -1};
    HPy_MODINIT(simple)
    HPy init_simple_impl(HPyContext *ctx) { return HPyModule_Create(ctx, &simple); }
"""


class Definition(ctypes.Structure):
    """HPyModuleDef of the binary interface."""

    _fields_ = [
        ("doc", ctypes.c_char_p),
        ("size", ctypes.c_ssize_t),
        ("legacy_methods", ctypes.c_void_p),
        ("defines", ctypes.POINTER(ctypes.c_void_p)),
        ("globals", ctypes.c_void_p),
    ]


def enter(library: ctypes.CDLL) -> Definition:
    """What a loader does: hands the context over, and asks for the definition."""
    context = ctypes.create_string_buffer(4096)
    library.HPyInitGlobalContext_simple.argtypes = [ctypes.c_void_p]
    library.HPyInitGlobalContext_simple(context)
    library.HPyInit_simple.restype = ctypes.POINTER(Definition)
    library.HPyInit_simple.argtypes = []
    definition: Definition = library.HPyInit_simple().contents
    return definition


@pytest.mark.promise("ABI-11")
def test_entry_points(include: Path, tmp_path: Path) -> None:
    file = build(include, tmp_path, NEW_MODULE % "")
    assert exported(file) == ENTRY_POINTS | {"f"}
    library = ctypes.CDLL(str(file))
    assert library.get_required_hpy_major_version_simple() == 0
    assert library.get_required_hpy_minor_version_simple() == 0
    definition = enter(library)
    assert (definition.doc, definition.size) == (b"the doc", 3)
    assert definition.defines[0] == ctypes.addressof(ctypes.c_char.in_dll(library, "f"))
    assert not definition.defines[1]


def test_version_is_read_where_it_is_used(include: Path, tmp_path: Path) -> None:
    redefined = "#undef HPY_ABI_VERSION\n#define HPY_ABI_VERSION 999"
    library = ctypes.CDLL(str(build(include, tmp_path, NEW_MODULE % redefined)))
    assert library.get_required_hpy_major_version_simple() == 999


def test_entry_points_of_the_older_spelling(include: Path, tmp_path: Path) -> None:
    file = build(include, tmp_path, OLD_MODULE)
    assert exported(file) == ENTRY_POINTS
    library = ctypes.CDLL(str(file))
    assert library.get_required_hpy_minor_version_simple() == 1
    definition = enter(library)
    assert (definition.doc, definition.size) == (None, 0)
    address = definition.defines[0]
    assert address
    assert not definition.defines[1]
    kind, slot = (ctypes.c_int.from_address(address + offset).value for offset in (0, 8))
    assert (kind, slot) == (1, 2000)  # HPyDef_Kind_Slot, HPy_mod_create


@pytest.mark.parametrize("source", [NEW_MODULE % "", OLD_MODULE], ids=["new", "old"])
def test_a_host_of_0_0_4_gets_an_import_error(include: Path, tmp_path: Path, source: str) -> None:
    """It calls HPyInit with its context as the argument, and nothing before it."""
    library = ctypes.CDLL(str(build(include, tmp_path, source)))
    raised: list[tuple[int, int, bytes]] = []
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_char_p)
    set_string = prototype(lambda ctx, handle, message: raised.append((ctx, handle, message)))
    old_context = (ctypes.c_ssize_t * (1856 // 8))()
    old_context[168 // 8] = 1234  # h_ImportError
    old_context[1128 // 8] = ctypes.cast(set_string, ctypes.c_void_p).value or 0
    library.HPyInit_simple.argtypes = [ctypes.c_void_p]
    library.HPyInit_simple.restype = ctypes.c_ssize_t
    assert library.HPyInit_simple(old_context) == 0
    [(ctx, handle, message)] = raised
    assert (ctx, handle) == (ctypes.addressof(old_context), 1234)
    assert message.startswith(b"HPy extension module 'simple' needs the HPy ABI hpy0")


def test_a_binary_needs_the_runtime_only_for_what_it_uses(include: Path, tmp_path: Path) -> None:
    """The linker gets no helper here; `-z defs` refuses what is missing."""
    source = NEW_MODULE.replace(
        "return HPyLong_FromLong(ctx, 42);",
        "HPyListBuilder b = HPyListBuilder_New(ctx, 0); return HPyListBuilder_Build(ctx, b);",
    )
    assert exported(build(include, tmp_path, source % "")) == ENTRY_POINTS | {"f"}


def unused_definitions() -> Sequence[str]:
    return (
        'HPyDef_METH(a, "a", HPyFunc_NOARGS)',
        "static HPy a_impl(HPyContext *ctx, HPy self) { return HPy_Dup(ctx, self); }",
        'HPyDef_MEMBER(b, "b", HPyMember_INT, 0)',
        "HPyDef_SLOT(c, HPy_tp_repr)",
        "static HPy c_impl(HPyContext *ctx, HPy self) { return HPy_Dup(ctx, self); }",
        "typedef struct { int x; } T;",
        "HPyType_HELPERS(T)",
    )


def test_unused_definitions_do_not_warn(include: Path) -> None:
    source = '#include "hpy.h"\n' + "\n".join(unused_definitions())
    cases = (
        Case(c, s, abi, source, STRICT) for c in COMPILERS for s in ("c99", "c++20") for abi in ABIS
    )
    check_all(cases, include)
