"""The functions that look into an argument without a check of their own: debug mode checks it."""

# The blocks of several statements are what is looked at.
# ruff: noqa: SIM117

from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, LeakDetector
from support.child import PythonRunner
from support.extension import Extension, ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = """
#include "hpy.h"

HPyDef_METH(type_check, "type_check", HPyFunc_VARARGS)
static HPy type_check_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return HPyBool_FromBool(ctx, HPy_TypeCheck(ctx, args[0], args[1]));  /* type_check uses */
}

HPyDef_METH(is_subtype, "is_subtype", HPyFunc_VARARGS)
static HPy is_subtype_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return HPyBool_FromBool(ctx, HPyType_IsSubtype(ctx, args[0], args[1]));  /* is_subtype uses */
}

HPyDef_METH(get_name, "get_name", HPyFunc_VARARGS)
static HPy get_name_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    const char *name = HPyType_GetName(ctx, args[0]);  /* get_name uses */
    return name == NULL ? HPy_NULL : HPyUnicode_FromString(ctx, name);
}

HPyDef_METH(substring, "substring", HPyFunc_VARARGS)
static HPy substring_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return HPyUnicode_Substring(ctx, args[0], 1, 3);  /* substring uses */
}

HPyDef_METH(call, "call", HPyFunc_VARARGS)
static HPy call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return HPy_Call(ctx, args[0], args + 1, 1, args[3]);  /* call uses */
}

HPyDef_METH(call_method, "call_method", HPyFunc_VARARGS)
static HPy call_method_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return HPy_CallMethod(ctx, args[0], args + 1, 1, args[3]);  /* call_method uses */
}
"""

KWNAMES = "arg 'kwnames' must be a tuple object or HPy_NULL"
MISTAKES = [
    ("type_check", "1, 2", "HPy_TypeCheck", "HPy_TypeCheck arg 2 must be a type"),
    ("is_subtype", "1, int", "HPyType_IsSubtype", "HPyType_IsSubtype arg 1 must be a type"),
    ("is_subtype", "int, 'x'", "HPyType_IsSubtype", "HPyType_IsSubtype arg 2 must be a type"),
    ("get_name", "'x'", "HPyType_GetName", "HPyType_GetName arg must be a type"),
    (
        *("substring", "b'bytes'", "HPyUnicode_Substring"),
        "HPyUnicode_Substring arg 1 must be a Unicode object",
    ),
    ("call", "dict, [], 2, ['a']", "HPy_Call", f"HPy_Call {KWNAMES}"),
    ("call_method", "'get', {}, 2, 'a'", "HPy_CallMethod", f"HPy_CallMethod {KWNAMES}"),
]


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


@pytest.fixture
def extension(hpy_module: ModuleFactory) -> Extension:
    return hpy_module.build(SOURCE)


@pytest.mark.parametrize(("function", "arguments", "api", "fatal"), MISTAKES)
def test_raise(mod: Any, function: str, arguments: str, api: str, fatal: str) -> None:
    with hpy.debug.configure(on_violation="raise"), LeakDetector():
        with pytest.raises(HPyDebugError) as caught:
            getattr(mod, function)(*eval(f"({arguments},)"))
    violation = caught.value.violation
    assert violation is not None
    assert (violation.kind, violation.api) == ("wrong-argument-type", api)
    assert violation.function == function
    assert violation.at is not None
    assert violation.at.native[0].line == line_of(SOURCE, f"/* {function} uses */")
    assert violation.at.python[0].function == "test_raise"
    assert (violation.opened, violation.closed) == (None, None)
    assert violation.handle is not None
    assert f"of type '{violation.handle.type}' where it needs a" in violation.message


@pytest.mark.parametrize(("function", "arguments", "api", "fatal"), MISTAKES)
def test_abort(
    extension: Extension,
    run_python: PythonRunner,
    function: str,
    arguments: str,
    api: str,
    fatal: str,
) -> None:
    done = run_python(f"import mytest\nmytest.{function}({arguments})", module=extension)
    assert done.returncode == -6
    assert f"error[wrong-argument-type]: {api} was given" in done.stderr
    assert fatal in done.stderr[done.stderr.index("Fatal Python error: ") :]


def test_warn(mod: Any) -> None:
    """No error value: the answer is no. An error value: it is returned."""
    with hpy.debug.configure(on_violation="warn"):
        with pytest.warns(hpy.debug.HPyDebugWarning, match="HPy_TypeCheck was given"):
            assert mod.type_check(1, 2) is False
        with pytest.warns(hpy.debug.HPyDebugWarning, match="HPyUnicode_Substring was given"):
            with pytest.raises(HPyDebugError):
                mod.substring(17)


def test_right(mod: Any) -> None:
    class Meta(type):
        pass

    class Class(metaclass=Meta):
        pass

    class Text(str):
        __slots__ = ()

    with LeakDetector():
        assert mod.type_check(Class(), Class) is True
        assert mod.is_subtype(Class, object) is True
        assert mod.is_subtype(bool, int) is True
        assert mod.get_name(Class) == "Class"
        assert mod.substring(Text("abcd")) == "bc"
        assert mod.call(dict, [], 2, ("a",)) == {"a": 2}
        assert mod.call_method("format", "{a}", 2, ("a",)) == "2"
