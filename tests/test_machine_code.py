"""The CPython ABI costs nothing: its machine code is that of the same function in plain Python/C.

What CPython calls is compared: the trampoline of the HPy function, in which the compiler inlines
the function, with the function that an author without HPy writes.
"""

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from support import tree

pytestmark = pytest.mark.skipif(
    os.uname().machine != "x86_64" or shutil.which("objdump") is None,
    reason="reads x86-64 instructions, with objdump",
)

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]

# Pairs: NAME of HPy, and NAME_plain.
SOURCE = """
#include <Python.h>
#include "hpy.h"

#define PLAIN_O(name) \\
    PyObject *name##_plain(PyObject *self, PyObject *arg); \\
    PyObject *name##_plain(PyObject *self, PyObject *arg)
#define PLAIN_VARARGS(name) \\
    PyObject *name##_plain(PyObject *self, PyObject *const *args, Py_ssize_t nargs); \\
    PyObject *name##_plain(PyObject *self, PyObject *const *args, Py_ssize_t nargs)

HPyDef_METH(myabs, "myabs", HPyFunc_O)
static HPy myabs_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_Absolute(ctx, arg);
}
PLAIN_O(myabs)
{
    return PyNumber_Absolute(arg);
}

HPyDef_METH(answer, "answer", HPyFunc_NOARGS)
static HPy answer_impl(HPyContext *ctx, HPy self)
{
    return HPyLong_FromLong(ctx, 42);
}
PLAIN_O(answer)
{
    return PyLong_FromLong(42);
}

HPyDef_METH(length, "length", HPyFunc_O)
static HPy length_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPyLong_FromSsize_t(ctx, HPy_Length(ctx, arg));
}
PLAIN_O(length)
{
    return PyLong_FromSsize_t(PyObject_Size(arg));
}

HPyDef_METH(attribute, "attribute", HPyFunc_O)
static HPy attribute_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_GetAttr_s(ctx, arg, "name");
}
PLAIN_O(attribute)
{
    return PyObject_GetAttrString(arg, "name");
}

HPyDef_METH(sum, "sum", HPyFunc_VARARGS)
static HPy sum_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return HPy_Add(ctx, args[0], args[1]);
}
PLAIN_VARARGS(sum)
{
    return PyNumber_Add(args[0], args[1]);
}

HPyDef_METH(half, "half", HPyFunc_O)
static HPy half_impl(HPyContext *ctx, HPy self, HPy arg)
{
    double value = HPyFloat_AsDouble(ctx, arg);
    if (value == -1.0 && HPyErr_Occurred(ctx))
        return HPy_NULL;
    return HPyFloat_FromDouble(ctx, value / 2);
}
PLAIN_O(half)
{
    double value = PyFloat_AsDouble(arg);
    if (value == -1.0 && PyErr_Occurred())
        return NULL;
    return PyFloat_FromDouble(value / 2);
}

/* Longer: the compilers allot the registers differently, but nothing else is called. */

HPyDef_METH(inc, "inc", HPyFunc_O)
static HPy inc_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy result, one = HPyLong_FromLong(ctx, 1);
    if (HPy_IsNull(one))
        return HPy_NULL;
    result = HPy_Add(ctx, arg, one);
    HPy_Close(ctx, one);
    return result;
}
PLAIN_O(inc)
{
    PyObject *result, *one = PyLong_FromLong(1);
    if (one == NULL)
        return NULL;
    result = PyNumber_Add(arg, one);
    Py_DECREF(one);
    return result;
}
"""

SHORT = ["myabs", "answer", "length", "attribute", "sum", "half"]
ALL = [*SHORT, "inc"]

_REGISTER_MOVE = re.compile(r"(mov|movapd|movaps)\s+%\w+,\s*%\w+$")


@pytest.fixture(scope="module", params=COMPILERS)
def functions(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """The instructions of each function, as compiled with -O2."""
    folder = tmp_path_factory.mktemp("code")
    source, result = folder / "code.c", folder / "code.o"
    source.write_text(SOURCE)
    flags = ["-O2", "-fPIC", "-DNDEBUG", "-DHPY", "-DHPY_ABI_CPYTHON", "-fcf-protection=none"]
    includes = [f"-I{tree.INCLUDE}", f"-I{tree.PYTHON_INCLUDE}"]
    command = [request.param, *flags, *includes, "-c", str(source), "-o", str(result)]
    subprocess.run(command, check=True)
    return disassemble(result)


def disassemble(file: Path) -> dict[str, list[str]]:
    command = ["objdump", "-dr", "--no-show-raw-insn", str(file)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = {}
    for name, block in re.findall(r"<(\w+)>:\n(.*?)(?:\n\n|\Z)", text, re.S):
        # What an instruction refers to stands in the line below it.
        joined = re.sub(r" +\S+ <\S+>\n\s+[0-9a-f]+: R_X86_64_\w+\s+(\S+)", r" -> \1", block)
        lines = [line.partition(":\t")[2].strip() for line in joined.splitlines()]
        found[name] = [line for line in lines if not re.match(r"(data16 |cs )*nop|xchg +%ax", line)]
    return found


def calls(code: list[str]) -> Counter[str]:
    """The functions that are called, or jumped to at the end."""
    return Counter(
        line.partition(" -> ")[2].partition("-0x")[0]
        for line in code
        if line.startswith(("call", "jmp")) and " -> " in line
    )


def instructions(code: list[str]) -> Counter[str]:
    """The instructions by name, without moves between registers.

    Of conditional jumps it is the number that counts: which of two ways comes first is chance.
    """
    names = [line.split()[0] for line in code if not _REGISTER_MOVE.match(line)]
    return Counter("jcc" if re.match(r"j(?!mp)", name) else name for name in names)


@pytest.mark.promise("ABI-02", "PERF-01", "PERF-08")
@pytest.mark.parametrize("name", ALL)
def test_the_same_functions_are_called(functions: dict[str, list[str]], name: str) -> None:
    code, plain = functions[f"{name}_trampoline"], functions[f"{name}_plain"]
    assert calls(code) == calls(plain), "\n".join(code)
    assert calls(code)
    indirect = [line for line in code if re.match(r"(call|jmp)\s+\*", line)]
    assert not indirect


@pytest.mark.promise("PERF-01", "PERF-08")
@pytest.mark.parametrize("name", SHORT)
def test_no_instruction_is_added(functions: dict[str, list[str]], name: str) -> None:
    code, plain = functions[f"{name}_trampoline"], functions[f"{name}_plain"]
    added = instructions(code) - instructions(plain)
    assert not added, "\n".join(["HPy:", *code, "Python/C:", *plain])
    assert len(code) <= len(plain) + 1, "\n".join(["HPy:", *code, "Python/C:", *plain])


@pytest.mark.promise("API-14", "API-16")
def test_varargs_are_passed_on_as_they_are(functions: dict[str, list[str]]) -> None:
    """An array and a count, from CPython to the function: no tuple is made."""
    assert functions["sum_trampoline"] == functions["sum_plain"]
