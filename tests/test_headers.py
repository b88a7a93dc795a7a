"""The headers compile in every ABI, language and compiler, and refuse what they have to refuse.

Nothing here runs Python code in an extension; sources too long to stand in a test are in tests/abi.
The headers under test are those of $HPY_INCLUDE, of the staged tree, or include/ and abi/ as they
stand.
"""

import ctypes
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = REPOSITORY / "tests" / "abi"
PYTHON_INCLUDE = sysconfig.get_paths()["include"]

ABIS = ("cpython", "universal", "hybrid")
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
C_STANDARDS = ("c99", "c11", "c17")
CXX_STANDARDS = ("c++11", "c++14", "c++17", "c++20")
STRICT = ("-Wall", "-Wextra", "-Werror")
# Initialisers of an author's own leave members out, and `{0}` ends an array of parameters.
CXX_AUTHOR = ("-Wno-missing-field-initializers",)


@pytest.fixture(scope="session")
def include(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = Path(os.environ.get("HPY_BUILD_DIR", REPOSITORY / "build"))
    staged = build / "python" / "hpy" / "devel" / "include"
    if "HPY_INCLUDE" in os.environ:
        return Path(os.environ["HPY_INCLUDE"])
    if (staged / "hpy.h").exists():
        return staged
    folder = tmp_path_factory.mktemp("include")
    shutil.copytree(REPOSITORY / "include", folder, dirs_exist_ok=True)
    shutil.copytree(REPOSITORY / "abi", folder / "hpy" / "abi")
    return folder


@dataclass(frozen=True)
class Case:
    """One run of a compiler on one source, a file or the text of one."""

    compiler: str
    standard: str
    abi: Optional[str]
    source: Union[Path, str]
    flags: tuple[str, ...] = ()

    @property
    def is_cxx(self) -> bool:
        return "++" in self.standard

    def command(self, include: Path, python: bool = True) -> list[str]:
        driver = {"gcc": "g++", "clang": "clang++"}[self.compiler] if self.is_cxx else self.compiler
        command = [driver, "-x", "c++" if self.is_cxx else "c", f"-std={self.standard}"]
        command += ["-fPIC", f"-I{include}"]
        if self.abi is not None:
            command += ["-DHPY", f"-DHPY_ABI_{self.abi.upper()}"]
        if python and self.abi != "universal":
            command += ["-isystem", PYTHON_INCLUDE]
        return [*command, *self.flags]

    def compile(self, include: Path, *output: str, python: bool = True) -> tuple[int, str]:
        """The exit code, and what the compiler said."""
        text = self.source if isinstance(self.source, str) else None
        file = "-" if isinstance(self.source, str) else str(self.source)
        done = subprocess.run(
            [*self.command(include, python), *(output or ("-fsyntax-only",)), file],
            input=text,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout


def check_all(cases: Iterable[Case], include: Path, *output: str) -> None:
    """All cases compile without a word."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        tried = list(cases)
        results = pool.map(lambda case: case.compile(include, *output), tried)
        wrong = [f"{case}\n{said}" for case, (code, said) in zip(tried, results) if code or said]
    assert not wrong, "\n\n".join(wrong[:3])


def check_refused(source: str, include: Path, *wanted: str, abi: str = "universal") -> None:
    """No compiler accepts the source, neither as C nor as C++; each says one of the texts."""
    for compiler in COMPILERS:
        for standard in ("c11", "c++17"):
            case = Case(compiler, standard, abi, source, ("-Wall", "-Werror", "-O1"))
            code, said = case.compile(include, "-S", "-o", "/dev/null")
            assert code != 0, case
            assert any(text in said for text in wanted), f"{case}\n{said}"


# -- The binary interface --


@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("file", ["context.c", "layout.c"])
def test_layout_is_frozen(include: Path, abi: str, file: str) -> None:
    views = [(), ("-DHPY_ABI_VIEW",)]
    check_all(
        (
            Case(compiler, standard, abi, SOURCES / file, (*STRICT, *view))
            for compiler in COMPILERS
            for standard in ("c99", "c++11")
            for view in views
        ),
        include,
    )


# -- What must compile --

AUTHOR_FILES = ("new_spelling.c", "old_spelling.c", "definitions.c")


@pytest.mark.promise("ABI-01")
@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_language(include: Path, abi: str, compiler: str) -> None:
    cases = [
        Case(compiler, standard, abi, SOURCES / file, (*STRICT, "-pedantic"))
        for standard in C_STANDARDS
        for file in AUTHOR_FILES
    ]
    cases += [
        Case(compiler, standard, abi, SOURCES / file, (*STRICT, *CXX_AUTHOR))
        for standard in CXX_STANDARDS
        for file in AUTHOR_FILES
    ]
    check_all(cases, include)


@pytest.mark.parametrize("abi", ABIS)
def test_flags_of_builds(include: Path, abi: str) -> None:
    """As the tests of HPy compile, and as CPython's own build does, with code generation."""
    interpreter = (sysconfig.get_config_var("CFLAGS") or "").split()
    flags = [
        ("-Wall", "-Werror", "-O0"),
        ("-Wall", "-Werror", "-O0", "-DNDEBUG"),
        ("-Wall", "-Werror", "-O3", "-DNDEBUG"),
        (*interpreter, "-Wall", "-Werror"),
    ]
    cases = [
        Case("gcc", standard, abi, SOURCES / file, some)
        for file in ("new_spelling.c", "old_spelling.c")
        for standard in ("gnu17", "gnu++17")
        for some in flags
        if standard == "gnu17" or some[0] == "-Wall"
    ]
    check_all(cases, include, "-c", "-o", "/dev/null")


@pytest.mark.parametrize("abi", ABIS)
def test_several_modules_in_a_binary(include: Path, abi: str) -> None:
    check_all(
        (
            Case(c, standard, abi, SOURCES / file, ("-DHPY_EMBEDDED_MODULES", *STRICT, *CXX_AUTHOR))
            for c in COMPILERS
            for standard in ("c99", "c++11")
            for file in ("new_spelling.c",)
        ),
        include,
    )


@pytest.mark.promise("API-14")
def test_both_spellings_in_one_file(include: Path) -> None:
    source = """
        #include "hpy.h"
        HPyDef_METH(a, "a", HPyFunc_VARARGS);
        static HPy a_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            return nargs == 0 ? HPy_Dup(ctx, self) : HPy_Dup(ctx, args[0]);
        }
        HPyDef_METH(b, "b", b_impl, HPyFunc_VARARGS, .doc = "old");
        HPy b_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs)
        {
            return nargs == 0 ? HPy_Dup(ctx, self) : HPy_Dup(ctx, args[0]);
        }
        HPyDef_SLOT(c, HPy_tp_repr);
        static HPy c_impl(HPyContext *ctx, HPy self) { return HPy_Str(ctx, self); }
        HPyDef_SLOT(d, d_impl, HPy_tp_str);
        static HPy d_impl(HPyContext *ctx, HPy self) { return HPy_Repr(ctx, self); }
        typedef struct { int x; } T;
        HPyType_HELPERS(T);
        static HPyType_Spec specs[] = {
            {.name = "m.A", .basicsize = sizeof(T), .builtin_shape = SHAPE(T)},
            {.name = "m.B", .basicsize = sizeof(T), .legacy = T_IS_LEGACY},
        };
        HPyDef_METH(make, "make", HPyFunc_NOARGS);
        static HPy make_impl(HPyContext *ctx, HPy self)
        {
            (void)self;
            return HPyType_FromSpec(ctx, &specs[0], NULL);
        }
        static HPyDef *defines[] = {&a, &b, &c, &d, &make, NULL};
        static HPyModuleDef def = {.name = "m", .doc = "doc", .defines = defines};
        HPy_MODINIT(m, def);
    """
    check_all(
        (
            Case(c, s, abi, source, ("-Wall", "-Werror"))
            for c in COMPILERS
            for s in ("gnu99", "gnu++20")
            for abi in ABIS
        ),
        include,
    )


@pytest.mark.promise("ABI-15")
def test_older_choice_of_the_abi(include: Path) -> None:
    """HPY_UNIVERSAL_ABI is the universal ABI, or hybrid behind Python.h; nothing is CPython's."""
    check = '#include "hpy.h"\nchar is[sizeof(HPY_ABI) == sizeof("%s") ? 1 : -1];'
    old = ("-DHPY_UNIVERSAL_ABI",)
    cases = [
        Case("gcc", "c99", None, check % "universal", old),
        Case("gcc", "c99", None, "#include <Python.h>\n" + check % "hybrid" + legacy_call, old),
        Case("gcc", "c99", None, check % "cpython" + legacy_call),
        Case("gcc", "c99", "universal", check % "universal", old),
    ]
    check_all(cases, include)


legacy_call = "\nPyObject *f(HPyContext *ctx, HPy h);"
legacy_call += "\nPyObject *f(HPyContext *ctx, HPy h) { return HPy_AsPyObject(ctx, h); }"


# -- What must not compile --


def test_choice_of_the_abi_is_refused(include: Path) -> None:
    source = '#include "hpy.h"'
    none = Case("gcc", "c99", None, source)
    code, said = none.compile(include, python=False)
    assert code != 0
    assert (
        "Cannot determine the desired HPy ABI: you must set one of HPY_ABI_CPYTHON, "
        "HPY_ABI_UNIVERSAL or HPY_ABI_HYBRID"
    ) in said
    for one, other in (("CPYTHON", "HYBRID"), ("CPYTHON", "UNIVERSAL"), ("HYBRID", "UNIVERSAL")):
        flags = (f"-DHPY_ABI_{one}", f"-DHPY_ABI_{other}")
        code, said = Case("gcc", "c99", None, source, flags).compile(include)
        assert code != 0
        assert f"Conflicting macros are defined: HPY_ABI_{one} and HPY_ABI_{other}" in said


@pytest.mark.promise("API-01")
def test_python_h_is_forbidden(include: Path) -> None:
    flags = (f"-I{include / 'hpy' / 'forbid_python_h'}",)
    case = Case("gcc", "c99", "universal", "#include <Python.h>", flags)
    code, said = case.compile(include)
    assert code != 0
    assert "It is forbidden to #include <Python.h> when targeting the HPy Universal ABI" in said
    case = Case("gcc", "c99", "hybrid", "#include <Python.h>", flags)
    code, said = case.compile(include, python=False)
    assert code != 0
    assert "Internal HPy error, something is wrong with your build system." in said


@pytest.mark.promise("API-02", "API-09")
@pytest.mark.parametrize("operation", ["a == b", "a + 1", "a.ob_refcnt", "a->ob_type", "!a"])
def test_handles_are_opaque(include: Path, operation: str) -> None:
    source = '#include "hpy.h"\nint f(HPy a, HPy b);\nint f(HPy a, HPy b) { return %s; }'
    for abi in ABIS:
        check_refused(source % operation, include, "HPy", "wrong type argument", abi=abi)


def test_handle_types_do_not_mix(include: Path) -> None:
    source = '#include "hpy.h"\nHPy f(HPyField a);\nHPy f(HPyField a) { return a; }'
    check_refused(source, include, "HPyField")


@pytest.mark.parametrize(
    "call", ["HPy_AsPyObject(ctx, h)", "HPy_AsVoidP(HPy_FromPyObject(ctx, NULL))"]
)
def test_legacy_functions_are_refused_in_universal(include: Path, call: str) -> None:
    source = '#include "hpy.h"\nvoid *f(HPyContext *ctx, HPy h);\n'
    source += "void *f(HPyContext *ctx, HPy h) { (void)h; return CALL; }".replace("CALL", call)
    text = "Cannot use legacy functions when targeting the HPy Universal ABI"
    for compiler in COMPILERS:
        code, said = Case(compiler, "c99", "universal", source, ("-O1",)).compile(
            include, "-S", "-o", "/dev/null"
        )
        assert code != 0
        assert text in said


def test_legacy_methods_are_refused_in_universal(include: Path) -> None:
    source = """
        #include "hpy.h"
        static cpy_PyMethodDef methods[] = {{"f", NULL, 0, NULL}};
        HPyModuleDef def = {.legacy_methods = methods};
    """
    check_refused(source, include, "FORBIDDEN_PyMethodDef", "incomplete")


def test_names_that_do_not_exist(include: Path) -> None:
    for line, name in (
        ('HPyDef_METH(f, "f", HPyFunc_BAD) static HPy f_impl(void);', "HPyFunc_BAD"),
        ('HPyDef_METH_IMPL(f, "f", g, HPyFunc_BAD)', "HPyFunc_BAD"),
        ("HPyDef_SLOT(f, HPy_tp_bad)", "HPy_tp_bad"),
        ("HPyDef_SLOT_IMPL(f, g, HPy_tp_bad)", "HPy_tp_bad"),
    ):
        check_refused(f'#include "hpy.h"\n{line}', include, name)


def test_wrong_prototypes(include: Path) -> None:
    for line in (
        'HPyDef_METH(f, "f", HPyFunc_O) static HPy f_impl(HPyContext *c, HPy s) { return s; }',
        "HPyDef_SLOT(f, HPy_tp_repr) static int f_impl(HPyContext *c, HPy s) { return 0; }",
        "HPyDef_SLOT(f, f_impl, HPy_tp_init) "
        "static int f_impl(HPyContext *c, HPy s, HPy *a, size_t *n, HPy k) { return 0; }",
    ):
        check_refused(f'#include "hpy.h"\n{line}', include, "f_impl")


def test_a_forgotten_list_of_keywords(include: Path) -> None:
    source = """
        #include "hpy.h"
        int f(HPyContext *ctx, const HPy *args, size_t nargs, HPy kw);
        int f(HPyContext *ctx, const HPy *args, size_t nargs, HPy kw)
        {
            long a, b;
            return HPyArg_ParseKeywords(ctx, NULL, args, nargs, kw, "l|l", &a, &b);
        }
    """
    check_refused(source, include, "incompatible pointer", "cannot convert", "no matching function")


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
