"""The headers compile in every ABI, language and compiler, and refuse what they have to refuse.

Nothing here runs Python code in an extension; sources too long to stand in a test are in tests/abi.
The headers under test are those that support/headers.py finds.
"""

import sysconfig
from pathlib import Path

import pytest

from support import headers
from support.headers import (
    ABIS,
    C_STANDARDS,
    COMPILERS,
    CXX_AUTHOR,
    CXX_STANDARDS,
    SOURCES,
    STRICT,
    Case,
    check_all,
    check_refused,
)


@pytest.fixture(scope="session")
def include(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return headers.find(tmp_path_factory.mktemp)


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


@pytest.mark.parametrize(
    ("definition", "use"),
    [
        ('PyMethodDef legacy[] = {{"f", NULL, 0, NULL}};', "HPyModuleDef def = {.legacy_methods ="),
        ('cpy_PyMethodDef legacy[] = {{"f", NULL}};', "HPyModuleDef def = {.legacy_methods ="),
        ("PyType_Slot legacy[] = {{0, NULL}};", "HPyType_Spec spec = {.legacy_slots ="),
        ('PyMemberDef legacy[] = {{"x", 1, 16}};', "HPyType_Spec spec = {.legacy_slots ="),
        ('PyGetSetDef legacy[] = {{"x", NULL}};', "HPyType_Spec spec = {.legacy_slots ="),
    ],
)
def test_legacy_definitions_are_refused_in_universal(
    include: Path, definition: str, use: str
) -> None:
    source = f'#include "hpy.h"\nstatic {definition}\n{use} legacy}};'
    name = definition.split()[0].replace("cpy_", "")
    check_refused(source, include, f"FORBIDDEN_{name}", "incomplete")


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
