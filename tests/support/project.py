"""A small project with a setup.py, and what one does with it: for tests of hpy.devel."""

import subprocess
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Callable, Optional

from support import tree
from support.venv import environment, venv_with_setuptools

Completed = subprocess.CompletedProcess[str]

ABIS = ["cpython", "universal", "hybrid"]

SOURCE = """\
#include "hpy.h"

HPyDef_METH(add, "add", HPyFunc_VARARGS)
static HPy add_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    long a, b;
    if (!HPyArg_Parse(ctx, NULL, args, nargs, "ll", &a, &b))
        return HPy_NULL;
    return HPyLong_FromLong(ctx, a + b);
}

static HPyDef *module_defines[] = { &add, NULL };
static HPyModuleDef moduledef = {
    .doc = "An example for HPy ABI: " HPY_ABI,
    .defines = module_defines,
};
HPy_MODINIT(NAME, moduledef)
"""

SETUP = """\
from setuptools import Extension, setup

setup(
    name="example-project",
    version="1.0",
    hpy_ext_modules=[Extension("example", sources=["example.c"])],
)
"""


class Project:
    """A folder with a setup.py, and what one does with it."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder = folder
        self.python = python

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def run(self, *arguments: str, env: Optional[Mapping[str, str]] = None) -> Completed:
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder,
            env=environment(env),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def setup(self, *arguments: str, env: Optional[Mapping[str, str]] = None) -> Completed:
        """Runs setup.py, which must end well."""
        done = self.run("setup.py", *arguments, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def doc(self, module: str = "example", path: str = ".") -> str:
        """The documentation of `module`, imported in a new process with `path` in front."""
        code = f"""if 1:
            import sys
            sys.path.insert(0, {path!r})
            import {module} as module
            assert module.add(40, 2) == 42
            print(module.__doc__)
        """
        done = self.run("-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.rpartition(": ")[2].strip()

    def files(self, folder: str = ".") -> set[str]:
        return {path.name for path in (self.folder / folder).iterdir() if path.is_file()}


def library(abi: str, name: str = "example") -> str:
    return name + tree.extension_suffix(abi)


ProjectFactory = Callable[..., Project]


def make(folder: Path, setuptools: str = "newest", setup: str = SETUP) -> Project:
    project = Project(folder, venv_with_setuptools(setuptools))
    project.write("setup.py", setup)
    project.write("example.c", SOURCE.replace("NAME", "example"))
    return project
