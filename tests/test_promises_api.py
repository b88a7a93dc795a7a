"""What the seeds promise of the API as a whole, by the ids of docs/promises.md."""

import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from support import tree
from support.child import PythonRunner
from support.compiler import CompileError
from support.extension import ModuleFactory
from support.type_source import add_types

HPY_ABIS = ["cpython", "universal", "debug", "hybrid"]

# Each entry is an expression with a new handle, made of the arguments a and b; the test calls each
# with arguments that do not fail.
CALLS = {
    "HPy_Dup(ctx, a)": (object(), None),
    "HPy_Add(ctx, a, b)": (2.5, 4),
    "HPy_Subtract(ctx, a, b)": (2**70, 4),
    "HPy_Positive(ctx, a)": (2**70, None),
    "HPy_InPlaceAdd(ctx, a, b)": ([1], [2]),
    "HPy_Float(ctx, a)": ("1.5", None),
    "HPy_GetAttr(ctx, a, b)": (sys, "maxsize"),
    'HPy_GetAttr_s(ctx, a, "platform")': (sys, None),
    "HPy_GetItem(ctx, a, b)": ({"k": [1]}, "k"),
    "HPy_GetItem_i(ctx, a, 1)": (range(2**40, 2**41), None),
    'HPy_GetItem_s(ctx, a, "k")': ({"k": [1]}, None),
    "HPy_GetSlice(ctx, a, 0, 2)": ([object(), 2, 3], None),
    "HPy_Repr(ctx, a)": ([1], None),
    "HPy_Str(ctx, a)": (2**70, None),
    "HPy_Bytes(ctx, a)": (bytearray(b"x"), None),
    "HPy_Type(ctx, a)": (object(), None),
    "HPy_RichCompare(ctx, a, b, HPy_LT)": (1, 2),
    "HPy_GetIter(ctx, a)": ([1], None),
    "HPyIter_Next(ctx, a)": (iter(lambda: object(), None), None),
    "HPyTuple_Pack(ctx, 2, a, b)": (object(), object()),
    "HPyList_New(ctx, 3)": (None, None),
    "HPyDict_New(ctx)": (None, None),
    "HPyDict_Keys(ctx, a)": ({object(): 1}, None),
    "HPyDict_Copy(ctx, a)": ({object(): 1}, None),
    "HPyLong_FromInt64_t(ctx, INT64_MAX)": (None, None),
    "HPyFloat_FromDouble(ctx, 0.5)": (None, None),
    'HPyUnicode_FromString(ctx, "abc")': (None, None),
    "HPyUnicode_AsUTF8String(ctx, a)": ("abc", None),
    'HPyBytes_FromString(ctx, "abc")': (None, None),
    "HPySlice_New(ctx, a, b, a)": (1, 2),
    "HPy_CallTupleDict(ctx, a, b, HPy_NULL)": (dict, ()),
    'HPyImport_ImportModule(ctx, "sys")': (None, None),
    'HPy_BuildValue(ctx, "(OO)", a, b)': (object(), object()),
}

SWEEP = '#include "hpy.h"\n' + "\n".join(
    f"""
HPyDef_METH(f{number}, "f{number}", HPyFunc_VARARGS)
static HPy f{number}_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{{
    HPy a = args[0], b = args[1], one = {call}, two;
    if (HPy_IsNull(one))
        return HPy_NULL;
    two = {call};
    HPy_Close(ctx, one);
    /* Not borrowed: closing one does not touch the other. Not stolen: the arguments are open. */
    if (HPy_IsNull(two) || HPy_Is(ctx, a, ctx->h_Ellipsis) || HPy_Is(ctx, b, ctx->h_Ellipsis))
        return HPy_NULL;
    return two;
}}"""
    for number, call in enumerate(CALLS)
)


@pytest.mark.promise("API-04", "API-05", "API-03")
def test_returned_handles_are_new_and_arguments_are_kept(hpy_module: ModuleFactory) -> None:
    """In debug mode a handle too many is a leak, one too few a use after close."""
    mod = hpy_module(SWEEP)
    for number, (call, (a, b)) in enumerate(CALLS.items()):
        function = getattr(mod, f"f{number}")
        assert function(a, b) is not None, call
        before = sys.getrefcount(a), sys.getrefcount(b)
        for _ in range(1000):
            function(a, b)
        after = sys.getrefcount(a), sys.getrefcount(b)
        # Other things of the interpreter may hold None or an int for a while.
        assert max(abs(x - y) for x, y in zip(before, after)) < 100, call


@pytest.mark.promise("API-06")
def test_item_made_on_demand_outlives_its_container(hpy_module: ModuleFactory) -> None:
    mod = hpy_module("""
        #include "hpy.h"
        HPyDef_METH(item, "item", HPyFunc_O)
        static HPy item_impl(HPyContext *ctx, HPy self, HPy make)
        {
            HPy container = HPy_CallTupleDict(ctx, make, HPy_NULL, HPy_NULL);
            HPy item = HPy_GetItem_i(ctx, container, 3);
            HPy_Close(ctx, container);
            return item;
        }
    """)

    class Squares:
        def __getitem__(self, index: int) -> list[int]:
            return [index * index]

    assert mod.item(Squares) == [9]
    assert mod.item(lambda: range(2**70, 2**71)) == 2**70 + 3


def rows() -> Iterator[tuple[str, str, str]]:
    """(member, name, parameters) of each function of the table."""
    text = (tree.INCLUDE / "hpy" / "abi" / "context.inc").read_text()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    pattern = r"HPY_(FUNC|PROC)\(\d+,\s*(\w+),\s*(\w+),\s*(.*?)\((HPyContext \*ctx[^()]*)\)"
    for found in re.finditer(pattern, text, re.S):
        yield found[2], found[3], found[5]


@pytest.mark.promise("API-10", "API-37")
def test_every_function_takes_the_context_first() -> None:
    text = (tree.INCLUDE / "hpy" / "abi" / "context.inc").read_text()
    number = len(re.findall(r"^HPY_(?:FUNC|PROC)\(\d", text, re.M))
    found = list(rows())
    assert len(found) == number == 190  # those of 0.9, and HPyModule_Create
    assert not [name for _, name, _ in found if re.search(r"refc?nt|incref|decref", name, re.I)]


@pytest.mark.promise("API-39")
def test_the_api_is_a_fraction_of_that_of_cpython() -> None:
    ours = {name for _, name, _ in rows()}
    theirs: set[str] = set()
    for header in tree.PYTHON_INCLUDE.rglob("*.h"):
        if "internal" not in header.parts:
            text = header.read_text(errors="replace")
            theirs |= set(re.findall(r"PyAPI_FUNC\([^)]*\)\s*(Py\w+)", text))
    assert len(ours) * 3 < len(theirs), (len(ours), len(theirs))


# What is called otherwise on purpose: functions of several names, or of no name, in Python/C.
IRREGULAR = {
    "HPy_FromPyObject",
    "HPy_AsPyObject",
    "HPy_Close",  # Py_DECREF
    "HPy_Dup",  # Py_INCREF
    "HPyErr_NoMemory",
}


@pytest.mark.promise("API-40")
def test_names_follow_those_of_cpython() -> None:
    """HPyX_Y calls PyX_Y; HPy_Y calls PyObject_Y, PyNumber_Y, PySequence_Y or Py_Y."""
    text = (tree.INCLUDE / "hpy" / "abi" / "context.inc").read_text()
    wrong = []
    regular = 0
    for row in re.split(r"\n(?=HPY_)", text):
        head = re.match(r"HPY_(?:FUNC|PROC)\(\d+,\s*\w+,\s*(\w+),", row)
        body = re.search(r"\bC\((.*)\)\)\s*$", row.strip(), re.S)
        if head is None or body is None or head[1] in IRREGULAR:
            continue
        names = set(re.findall(r"\b_?(?:HPyCPy_)?(Py[A-Z]?\w*_\w+)", body[1]))
        kind, _, verb = head[1][1:].partition("_")
        verb = {"GetAttr_s": "GetAttrString", "HasAttr_s": "HasAttrString"}.get(verb, verb)
        wanted = {f"{kind}_{verb}"}
        if kind == "Py":
            wanted = {f"Py{part}_{verb}" for part in ("Object", "Number", "Sequence", "")}
        if wanted & names:
            regular += 1
        else:
            wrong.append((head[1], sorted(names)))
    assert regular > 60, (regular, wrong)
    # Different in one regular way: the width of the integer, the suffix of the key's type.
    others = [name for name, _ in wrong if not re.search(r"_t(Mask)?$|_[is]$|_s_|Check$", name)]
    assert len(others) < regular / 4, wrong


CONVENTIONS = """
#include "hpy.h"
HPyDef_METH(none, "none", HPyFunc_NOARGS)
static HPy none_impl(HPyContext *ctx, HPy self) { return HPyLong_FromLong(ctx, 0); }
HPyDef_METH(one, "one", HPyFunc_O)
static HPy one_impl(HPyContext *ctx, HPy self, HPy arg) { return HPy_Dup(ctx, arg); }
HPyDef_METH(many, "many", HPyFunc_VARARGS)
static HPy many_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return HPyTuple_FromArray(ctx, (HPy *)args, (HPy_ssize_t)nargs);
}
HPyDef_METH(keywords, "keywords", HPyFunc_KEYWORDS)
static HPy keywords_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{
    HPy names = HPy_IsNull(kwnames) ? ctx->h_None : kwnames;
    HPy_ssize_t nkw = HPy_IsNull(kwnames) ? 0 : HPy_Length(ctx, kwnames);
    HPy values = HPyTuple_FromArray(ctx, (HPy *)args, (HPy_ssize_t)nargs + nkw);
    HPy result = HPy_BuildValue(ctx, "lOO", (long)nargs, values, names);
    HPy_Close(ctx, values);
    return result;
}
"""


@pytest.mark.promise("API-13")
def test_calling_conventions(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CONVENTIONS)
    assert mod.none() == 0
    assert mod.one("x") == "x"
    assert (mod.many(), mod.many(1), mod.many(1, 2, 3)) == ((), (1,), (1, 2, 3))
    assert mod.keywords() == (0, (), None)
    assert mod.keywords(1, 2, c=3, d=4) == (2, (1, 2, 3, 4), ("c", "d"))
    no_name: dict[Any, int] = {3: 4}
    wrong: list[tuple[Callable[..., object], tuple[int, ...], dict[Any, int]]] = [
        (mod.none, (1,), {}),
        (mod.none, (), {"a": 1}),
        (mod.one, (), {}),
        (mod.one, (1, 2), {}),
        (mod.one, (), {"arg": 1}),
        (mod.many, (), {"a": 1}),
        (mod.keywords, (), no_name),
    ]
    for function, args, kwargs in wrong:
        with pytest.raises(TypeError):
            function(*args, **kwargs)


NAMED = """
#include "hpy.h"

HPyDef_METH(f, "f", HPyFunc_NOARGS, .doc = "of the function")
static HPy f_impl(HPyContext *ctx, HPy self)
{
    return HPy_Dup(ctx, ctx->h_None);
}

typedef struct { int unused; } T;
HPyType_HELPERS(T)
HPyDef_METH(m, "m", HPyFunc_NOARGS, .doc = "of the method")
static HPy m_impl(HPyContext *ctx, HPy self)
{
    return HPy_Dup(ctx, ctx->h_None);
}
HPyDef_MEMBER(member, "member", HPyMember_INT, offsetof(T, unused), .doc = "of the member")
HPyDef_GET(getset, "getset", .doc = "of the getset")
static HPy getset_get(HPyContext *ctx, HPy self, void *closure)
{
    return HPy_Dup(ctx, ctx->h_None);
}
static HPyDef *T_defines[] = {&m, &member, &getset, NULL};
static HPyType_Spec T_spec = {
    .name = "mytest.T", .basicsize = sizeof(T), .defines = T_defines, .doc = "of the type",
};

HPyDef_SLOT(set_attributes, HPy_mod_exec)
static int set_attributes_impl(HPyContext *ctx, HPy module)
{
    HPy value = HPyUnicode_FromString(ctx, "an attribute");
    int failed = HPy_SetAttr_s(ctx, module, "attribute", value);
    HPy_Close(ctx, value);  /* not stolen */
    return failed;
}
""" + add_types("T")


@pytest.mark.promise("API-22", "API-34", "API-44")
def test_attributes_and_docstrings(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(NAMED)
    assert mod.attribute == "an attribute"
    assert mod.__doc__ == "made for a test"
    assert mod.f.__doc__ == "of the function"
    assert mod.T.__doc__ == "of the type"
    for name, doc in (("m", "method"), ("member", "member"), ("getset", "getset")):
        assert getattr(mod.T, name).__doc__ == f"of the {doc}"


LISTED_FOR_0_0_3 = """
#include "hpy.h"
#include <string.h>

typedef struct { long value; } Legacy;

#define CHECK(condition) if (!(condition)) return HPyErr_SetString(ctx, ctx->h_AssertionError, \\
    #condition)

HPyDef_METH(check, "check", HPyFunc_NOARGS)
static HPy check_impl(HPyContext *ctx, HPy self)
{
    HPy text, bytes, error, other, sys;
    HPy_ssize_t size;
    const char *utf8;

    bytes = HPyBytes_FromStringAndSize(ctx, "a\\0b", 3);
    CHECK(HPyBytes_Size(ctx, bytes) == 3);
    CHECK(HPy_Is(ctx, bytes, bytes) && !HPy_Is(ctx, bytes, self));
    text = HPyUnicode_DecodeFSDefault(ctx, "text");
    utf8 = HPyUnicode_AsUTF8AndSize(ctx, text, &size);
    CHECK(utf8 != NULL && size == 4 && strcmp(utf8, "text") == 0);
    error = HPyErr_NewException(ctx, "mytest.Error", HPy_NULL, HPy_NULL);
    other = HPyErr_NewExceptionWithDoc(ctx, "mytest.Other", "its doc", error, HPy_NULL);
    CHECK(!HPy_IsNull(error) && !HPy_IsNull(other));
    sys = HPyImport_ImportModule(ctx, "sys");
    CHECK(HPy_HasAttr_s(ctx, sys, "path"));
    HPy_Close(ctx, bytes);
    HPy_Close(ctx, text);
    HPy_Close(ctx, error);
    HPy_Close(ctx, sys);
    return other;
}

/* The name of 0.0.4 for the accessor of a legacy type. */
long value_of(HPyContext *ctx, HPy h);
long value_of(HPyContext *ctx, HPy h) { return ((Legacy *)HPy_AsStructLegacy(ctx, h))->value; }
"""


@pytest.mark.promise("API-35")
def test_functions_listed_for_0_0_3(hpy_module: ModuleFactory) -> None:
    other = hpy_module(LISTED_FOR_0_0_3).check()
    assert (other.__name__, other.__doc__, other.__base__.__name__) == ("Other", "its doc", "Error")
    assert issubclass(other, Exception)


@pytest.mark.promise("API-37", "API-38")
@pytest.mark.hpy_abis("universal")
@pytest.mark.parametrize(
    "line", ["Py_INCREF(h);", "HPy_REFCNT(h);", "(void)h.ob_refcnt;", "(void)((PyObject *)0);"]
)
def test_nothing_tells_the_reference_count(hpy_module: ModuleFactory, line: str) -> None:
    with pytest.raises(CompileError):
        hpy_module(f"""
            #include "hpy.h"
            HPyDef_METH(f, "f", HPyFunc_O)
            static HPy f_impl(HPyContext *ctx, HPy self, HPy h)
            {{
                {line}
                return HPy_Dup(ctx, h);
            }}
        """)


@pytest.mark.promise("ARG-04", "BV-11")
def test_parsing_and_building_are_no_part_of_the_context() -> None:
    members = [member for member, _, _ in rows()]
    assert not [m for m in members if re.search(r"Arg|BuildValue|FromFormat|ErrFormat", m)]
    names = {path.name for path in Path(tree.RUNTIME).glob("*.c")}
    assert {"argparse.c", "buildvalue.c"} <= names


@pytest.mark.promise("GLB-04")
def test_globals_and_threads(hpy_module: ModuleFactory) -> None:
    mod = hpy_module("""
        #include "hpy.h"
        static HPyGlobal kept;
        HPyDef_METH(swap, "swap", HPyFunc_O)
        static HPy swap_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            HPy old = HPyGlobal_Load(ctx, kept);
            HPyGlobal_Store(ctx, &kept, arg);
            return old;
        }
        HPyDef_SLOT(init, HPy_mod_exec)
        static int init_impl(HPyContext *ctx, HPy module)
        {
            HPyGlobal_Store(ctx, &kept, ctx->h_None);
            return 0;
        }
        static HPyDef *defines[] = {&swap, &init, NULL};
        static HPyGlobal *globals[] = {&kept, NULL};
        static HPyModuleDef def = {.defines = defines, .globals = globals};
        HPy_MODINIT(mytest, def)
    """)
    seen: list[list[object]] = [[] for _ in range(4)]

    def swap(number: int) -> None:
        for i in range(2000):
            seen[number].append(mod.swap((number, i)))

    threads = [threading.Thread(target=swap, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each value that was stored came back once.
    values = [value for part in seen for value in part] + [mod.swap(None)]
    assert set(values) == {None, *((n, i) for n in range(4) for i in range(2000))}
    assert len(values) == 8001


@pytest.mark.promise("API-27")
def test_exceptions_are_raised_and_caught(hpy_module: ModuleFactory) -> None:
    mod = hpy_module("""
        #include "hpy.h"
        HPyDef_METH(attempt, "attempt", HPyFunc_O)
        static HPy attempt_impl(HPyContext *ctx, HPy self, HPy function)
        {
            HPy result = HPy_CallTupleDict(ctx, function, HPy_NULL, HPy_NULL);
            if (!HPy_IsNull(result))
                return result;
            if (!HPyErr_Occurred(ctx) || !HPyErr_ExceptionMatches(ctx, ctx->h_LookupError))
                return HPy_NULL;
            HPyErr_Clear(ctx);
            if (HPyErr_Occurred(ctx))
                return HPy_NULL;
            return HPyErr_SetString(ctx, ctx->h_ValueError, "nothing found");
        }
    """)
    assert mod.attempt(dict) == {}
    with pytest.raises(ZeroDivisionError):
        mod.attempt(lambda: 1 // 0)
    empty: dict[str, str] = {}
    with pytest.raises(ValueError, match=r"^nothing found$") as caught:
        mod.attempt(lambda: empty["key"])
    assert caught.value.__context__ is None


@pytest.mark.promise("DBG-01", "DBG-05")
@pytest.mark.hpy_abis("universal")
def test_debug_mode_is_another_context(hpy_module: ModuleFactory) -> None:
    """The same file, loaded in both modes: what the plain one sees does not change."""
    source = """
        #include "hpy.h"
        HPyDef_METH(name, "name", HPyFunc_NOARGS)
        static HPy name_impl(HPyContext *ctx, HPy self)
        {
            return HPyUnicode_FromString(ctx, ctx->name);
        }
        HPyDef_METH(function, "function", HPyFunc_NOARGS)
        static HPy function_impl(HPyContext *ctx, HPy self)
        {
            return HPyLong_FromSize_t(ctx, (size_t)ctx->ctx_Dup);
        }
    """
    plain = hpy_module(source)
    before = plain.name(), plain.function()
    debug = hpy_module.load(hpy_module.build(source, abi="debug"))
    assert "debug" in debug.name().lower()
    assert "debug" not in plain.name().lower()
    assert debug.function() != plain.function()
    assert (plain.name(), plain.function()) == before


@pytest.mark.promise("BLD-04", "BLD-05")
@pytest.mark.parametrize(("name", "abi"), [("cpython", "cpython"), ("pypy", "universal")])
def test_default_abi_of_an_implementation(run_python: PythonRunner, name: str, abi: str) -> None:
    done = run_python(
        """
        import sys, types
        import hpy.devel
        sys.implementation = types.SimpleNamespace(
            **{**vars(sys.implementation), "name": sys.argv[1]}
        )
        import importlib
        print(importlib.reload(hpy.devel).DEFAULT_HPY_ABI)
        """,
        name,
    )
    assert (done.stdout, done.stderr) == (abi + "\n", "")
