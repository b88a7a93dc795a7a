"""What the ELF files of a tree of hpy say, and the C++ extension that must survive beside them."""

import re
import subprocess
from pathlib import Path

# A plain C++ extension that knows nothing of hpy. throw_and_catch() unwinds through a frame with a
# destructor: that calls _Unwind_Resume, which aborts when it is libunwind's and
# _Unwind_RaiseException was libgcc's.
PLAIN_CXX = r"""
#include <Python.h>
#include <stdexcept>
#include <string>

static int destroyed = 0;

struct Guard {
    ~Guard() { destroyed++; }
};

__attribute__((noinline)) static void thrower(int depth)
{
    Guard guard;
    if (depth == 0)
        throw std::runtime_error("thrown");
    thrower(depth - 1);
}

static PyObject *throw_and_catch(PyObject *, PyObject *)
{
    std::string caught;
    try {
        thrower(3);
    } catch (const std::exception &error) {
        caught = error.what();
    }
    return Py_BuildValue("(si)", caught.c_str(), destroyed);
}

static PyMethodDef methods[] = {
    {"throw_and_catch", throw_and_catch, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "plaincxx", nullptr, 0, methods, nullptr, nullptr, nullptr, nullptr,
};

extern "C" __attribute__((visibility("default"))) PyObject *PyInit_plaincxx(void)
{
    return PyModule_Create(&module);
}
"""

# Our modules first, then the one that throws.
IMPORT_AND_THROW = """
import hpy.universal
import hpy.debug
import hpy.debug._native
import plaincxx
assert plaincxx.throw_and_catch() == ("thrown", 4), plaincxx.throw_and_catch()
print("caught", hpy.universal.__file__)
"""


def exported(library: Path) -> set[str]:
    """The symbols that `library` defines for others."""
    text = _run("nm", "-D", "--defined-only", str(library))
    return {line.split()[-1] for line in text.splitlines()}


def needed(library: Path) -> list[str]:
    """The NEEDED entries of `library`, in their order: that of the search for symbols."""
    return re.findall(r"\(NEEDED\).*\[(.*)\]", _run("readelf", "-d", str(library)))


def bindings(output: str) -> list[tuple[str, str, str]]:
    """(who, to whom, symbol) of each line of the output of LD_DEBUG=bindings."""
    pattern = r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: \w+ symbol [`'](\S+?)'"
    return re.findall(pattern, output)


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
