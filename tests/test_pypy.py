"""Hosts of ABI 0.0.4: Debian's PyPy 7.3.11 opens a binary of ours by mistake, and is told so.

It looks for HPyInit_NAME and hands it its context; ours takes none. A binary that did not notice
would crash there.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from support.extension import Extension, ModuleFactory

PYPY = shutil.which("pypy3")
HPY_ABIS = ["universal"]

pytestmark = pytest.mark.skipif(PYPY is None, reason="needs pypy3 (apt-get install pypy3)")

NEW = """
#include "hpy.h"
static HPyGlobal kept;
HPyDef_SLOT(exec, HPy_mod_exec)
static int exec_impl(HPyContext *ctx, HPy module)
{
    HPyGlobal_Store(ctx, &kept, module);
    return 0;
}
HPyDef_METH(f, "f", HPyFunc_NOARGS)
static HPy f_impl(HPyContext *ctx, HPy self)
{
    return HPyGlobal_Load(ctx, kept);
}
static HPyDef *defines[] = {&exec, &f, NULL};
static HPyGlobal *globals[] = {&kept, NULL};
static HPyModuleDef mytest = {.doc = "doc", .defines = defines, .globals = globals};
HPy_MODINIT(mytest, mytest)
"""

OLD = """
#include "hpy.h"
static HPyModuleDef mytest = {.name = "mytest", .doc = "doc", .size = -1};
HPy_MODINIT(mytest)
HPy init_mytest_impl(HPyContext *ctx)
{
    return HPyModule_Create(ctx, &mytest);
}
"""

SCRIPT = """\
import sys
try:
    import hpy.universal
except ImportError:
    print("no hpy.universal")
    sys.exit()
print(hpy.universal.get_version()[0])
for debug in (False, True):
    for _ in range(3):
        try:
            hpy.universal.load("mytest", sys.argv[1], debug=debug)
        except ImportError as error:
            print(type(error).__name__, error)
        else:
            print("loaded")
import math  # the interpreter is as it was
print(math.factorial(5))
"""


def open_with_pypy(extension: Extension, folder: Path) -> list[str]:
    script = folder / "open_it.py"
    script.write_text(SCRIPT)
    assert PYPY is not None
    done = subprocess.run(
        [PYPY, str(script), str(extension.path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    if lines == ["no hpy.universal"] or not lines[0].startswith("0.0."):
        pytest.skip(f"{PYPY} is no host of ABI 0.0.4: {lines[0]}")
    return lines


@pytest.mark.promise("ABI-07", "ABI-10")
@pytest.mark.parametrize("source", [NEW, OLD], ids=["new", "old"])
def test_a_host_of_0_0_4_raises_import_error(
    hpy_module: ModuleFactory, tmp_path: Path, source: str
) -> None:
    """Both spellings, loaded with its universal and its debug context."""
    lines = open_with_pypy(hpy_module.build(source), tmp_path)
    assert len(lines) == 8
    for line in lines[1:7]:
        assert line.startswith("ImportError HPy extension module 'mytest' needs the HPy ABI hpy0")
    assert lines[7] == "120"


def test_hpy_of_the_same_name(hpy_module: ModuleFactory, tmp_path: Path) -> None:
    """The name under which 0.0.4 looks for a library changes nothing."""
    extension = hpy_module.build(NEW)
    extension.path = extension.path.rename(extension.folder / "mytest.hpy.so")
    assert "needs the HPy ABI hpy0" in open_with_pypy(extension, tmp_path)[1]
