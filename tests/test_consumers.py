"""The tiny projects of tests/consumers, each built by the tool that it is for, and imported.

They find hpy as a user's project does; nothing here passes a folder of it but what the start of the
project's own file names.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

import pytest

from support import tree
from support.venv import environment

CONSUMERS = tree.REPOSITORY / "tests" / "consumers"
ABIS = ["cpython", "universal", "hybrid"]
# Tools that pip installed lie beside the interpreter.
PATH = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]

USES_CPYTHON = """\
struct _object;
extern struct _object *PyLong_FromLong(long);
void *not_portable(void);
void *not_portable(void) { return PyLong_FromLong(1); }
"""
REFUSED = (
    "is built for the universal ABI of HPy, but uses PyLong_FromLong of CPython: no other "
    "Python could load it."
)


def need(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool, path=PATH) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)} (make test installs what it can)")


class Consumer:
    """A copy of a project of tests/consumers, and what one does with it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(CONSUMERS / name, folder)
        shutil.copy(CONSUMERS / "example.c", folder)

    def break_it(self) -> None:
        """The extension calls a function of CPython, by a declaration of its own."""
        with open(self.folder / "example.c", "a", encoding="utf-8") as file:
            file.write(USES_CPYTHON)

    def try_run(
        self, *command: str, env: Optional[Mapping[str, str]] = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**environment(env), "PATH": PATH},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )

    def run(self, *command: str, env: Optional[Mapping[str, str]] = None) -> str:
        done = self.try_run(*command, env=env)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
        return done.stdout

    def check_module(self, abi: str, folder: str) -> None:
        """The built module is importable from `folder`, and is of this ABI."""
        assert (self.folder / folder / f"example{tree.extension_suffix(abi)}").is_file()
        code = (
            f"import sys; sys.path.insert(0, {folder!r}); import example;"
            "print(example.add(40, 2), example.__doc__)"
        )
        # The documentation of the ABI is the one that the headers saw.
        assert self.run(sys.executable, "-c", code).split()[0] == "42"


def devel(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "hpy.devel", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def cmake(consumer: Consumer, abi: str) -> None:
    consumer.run(
        *("cmake", "-B", "build", "-G", "Ninja", f"-DHPY_ABI={abi}"),
        *(f"-DPython_EXECUTABLE={sys.executable}", "-DCMAKE_INSTALL_PREFIX=out"),
        f"-DHPy_DIR={devel('--cmakedir')}",
    )


@pytest.mark.promise("ABI-01")
@pytest.mark.parametrize("abi", ABIS)
def test_cmake(tmp_path: Path, abi: str) -> None:
    need("cmake", "ninja")
    consumer = Consumer("cmake", tmp_path / "project")
    cmake(consumer, abi)
    consumer.run("cmake", "--build", "build")
    consumer.run("cmake", "--install", "build", "--prefix", "out")
    consumer.check_module(abi, "out")
    consumer.check_module(abi, "build")


def test_cmake_refuses_functions_of_cpython(tmp_path: Path) -> None:
    need("cmake", "ninja")
    consumer = Consumer("cmake", tmp_path / "project")
    consumer.break_it()
    cmake(consumer, "universal")
    for _ in range(2):  # it does not become up to date by having failed
        done = consumer.try_run("cmake", "--build", "build")
        assert done.returncode != 0
        assert REFUSED in done.stdout
    cmake(consumer, "hybrid")
    consumer.run("cmake", "--build", "build")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("hpy_add_module(x ABI best x.c)", "Valid values are: cpython, universal, hybrid."),
        ("hpy_add_module(x ABI universal)", "hpy_add_module(x) has no sources"),
    ],
)
def test_cmake_says_what_is_wrong(tmp_path: Path, lines: str, said: str) -> None:
    need("cmake", "ninja")
    consumer = Consumer("cmake", tmp_path / "project")
    with open(consumer.folder / "CMakeLists.txt", "a", encoding="utf-8") as file:
        file.write(lines)
    done = consumer.try_run(
        *("cmake", "-B", "build", "-G", "Ninja", f"-DHPy_DIR={devel('--cmakedir')}"),
        f"-DPython_EXECUTABLE={sys.executable}",
    )
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split())


@pytest.mark.promise("ABI-21")
def test_scikit_build_core(tmp_path: Path) -> None:
    """Without a hint: the entry point cmake.prefix of the package leads to HPyConfig.cmake."""
    need("cmake", "ninja")
    if importlib.util.find_spec("scikit_build_core") is None:
        pytest.skip("needs scikit-build-core (make test has it in .venv)")
    consumer = Consumer("scikit_build_core", tmp_path / "project")
    consumer.run(
        *(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index"),
        *("-w", "dist", "."),
    )
    (wheel,) = (consumer.folder / "dist").glob("*.whl")
    assert wheel.name.startswith("example-1.0-py3-none-linux_"), wheel.name
    shutil.unpack_archive(wheel, consumer.folder / "out", "zip")
    consumer.check_module("universal", "out")


@pytest.mark.parametrize("abi", ABIS)
def test_meson(tmp_path: Path, abi: str) -> None:
    need("meson", "ninja", "pkg-config")
    consumer = Consumer("meson", tmp_path / "project")
    env = {"PKG_CONFIG_PATH": devel("--pkgconfigdir")}
    # Meson builds for the Python that it runs on itself, which may be another.
    native = consumer.folder / "native.ini"
    native.write_text(f"[binaries]\npython = '{sys.executable}'\n")
    options = (f"-Dhpy_abi={abi}", f"--native-file={native}")
    consumer.run("meson", "setup", "build", *options, env=env)
    consumer.run("ninja", "-C", "build")
    consumer.check_module(abi, "build")
    if abi == "universal":
        consumer.break_it()
        done = consumer.try_run("ninja", "-C", "build")
        assert done.returncode != 0
        assert REFUSED in done.stdout


def test_pkg_config(tmp_path: Path) -> None:
    need("make", "pkg-config", "cc")
    consumer = Consumer("pkgconfig", tmp_path / "project")
    env = {"PKG_CONFIG_PATH": devel("--pkgconfigdir")}
    python = f"PYTHON={sys.executable}"
    consumer.run("make", python, env=env)
    consumer.check_module("universal", ".")
    consumer.break_it()
    done = consumer.try_run("make", python, env=env)
    assert done.returncode != 0
    assert REFUSED in done.stdout


@pytest.mark.parametrize("abi", ABIS)
def test_command_line(tmp_path: Path, abi: str) -> None:
    """The commands that the manual of hpy.devel begins with."""
    consumer = Consumer("pkgconfig", tmp_path / "project")
    ask = f"{sys.executable} -m hpy.devel --abi={abi}"
    name = f"example{devel('--abi=' + abi, '--suffix')}"
    consumer.run(
        *("sh", "-ec"),
        f"cc -shared -fPIC $({ask} --cflags) example.c $({ask} --library) -o {name}",
    )
    if abi != "cpython":
        consumer.run(sys.executable, "-m", "hpy.devel", "--stub", name)
    consumer.check_module(abi, ".")


def test_answers() -> None:
    from hpy.devel import HPyDevel

    everything = devel("--abi=universal")
    for name in ("includes", "sources", "library", "cmakedir", "pkgconfigdir", "version"):
        assert f"{name}: " in everything
        assert f"{name}: {devel('--abi=universal', '--' + name)}" in everything.splitlines()
    assert f"version: {HPyDevel().get_version()}" in everything.splitlines()
    assert devel("--includedir") == str(tree.INCLUDE)
    for source in devel("--sources").split():
        assert Path(source).is_file()


def test_pkg_config_agrees_with_the_command_line() -> None:
    need("pkg-config")
    env = {**environment(), "PKG_CONFIG_PATH": devel("--pkgconfigdir")}
    for abi in ABIS:
        command = ["pkg-config", "--cflags", f"hpy-{abi}"]
        said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
        folders = {Path(word[2:]).resolve() for word in said.split() if word.startswith("-I")}
        macros = {word for word in said.split() if word.startswith("-D")}
        ours = devel(f"--abi={abi}", "--cflags").split()
        assert macros == {word for word in ours if word.startswith("-D")}
        own = {Path(word[2:]) for word in ours if word.startswith("-I")}
        assert folders == {folder for folder in own if folder.is_relative_to(tree.PACKAGE)}


def test_what_is_no_library(tmp_path: Path) -> None:
    from hpy.devel import symbols

    text = tmp_path / "text.so"
    text.write_text("no library")
    with pytest.raises(ValueError, match="is no ELF file; give a library that was linked"):
        symbols.undefined_symbols(text)
    (modules,) = tree.PACKAGE.glob(f"universal.{tree.SOABI}*")
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(modules.read_bytes()[:5000])
    with pytest.raises(ValueError, match="damaged"):
        symbols.undefined_symbols(damaged)
    assert "PyLong_FromLong" in symbols.symbols_of_cpython(modules)
