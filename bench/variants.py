"""What is compared: the same extensions in each ABI and mode, with this package and with HPy 0.9.

A universal binary is built once and runs in both. HPy 0.9 needs CPython 3.9 to 3.11 and an
environment of its own (tests/support/peer.py); ours runs on the interpreter that this environment
was made from. What is built is kept, under a hash of what it was built from.

    python bench/variants.py        prints that interpreter
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

from support import peer  # noqa: E402

PEER = "0.9 "  # names of its variants begin with it
# Module, and the folder of its sources and its setup.py.
EXTENSIONS = {"ops": REPOSITORY / "bench" / "ops", "hpyjson": REPOSITORY / "examples" / "json"}
# Functions begin at lines of the cache, so that equal loops lie alike in both packages' builds.
CFLAGS = ["-O2", "-g", "-DNDEBUG", "-fwrapv", "-falign-functions=64"]

# Name, mode of bench/worker.py, and ABI of the binary.
OURS = [
    ("cpython", "cpython", "cpython"),
    ("universal", "universal", "universal"),
    ("debug", "debug", "universal"),
    ("debug, no stacks", "debug-no-stacks", "universal"),
    ("debug, adaptive", "debug-adaptive", "universal"),
    ("trace", "trace", "universal"),
]
THEIRS = [
    ("0.9 cpython", "cpython", "cpython"),
    ("0.9 universal", "universal", "universal"),
    ("0.9 debug", "debug", "universal"),
    ("0.9 debug, stacks", "debug-stacks", "universal"),
]


@dataclass(frozen=True)
class Variant:
    name: str
    python: Path
    package: str  # folder for PYTHONPATH, or "" for what is installed there
    mode: str  # of bench/worker.py
    libraries: dict[str, Path]  # by module

    @property
    def is_peer(self) -> bool:
        return self.name.startswith(PEER)

    def environment(self) -> dict[str, str]:
        env = _environment(self.package)
        env["PYTHONHASHSEED"] = "0"
        return env

    def _command(self, script: str, *arguments: str) -> list[str]:
        path = Path(__file__).with_name(script)
        return [str(self.python), str(path), self.mode, *arguments]

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """A script of this folder that answers lines, called with the mode and then `arguments`."""
        command, pipe = self._command(script, *arguments), subprocess.PIPE
        return subprocess.Popen(
            command, env=self.environment(), stdin=pipe, stdout=pipe, text=True, bufsize=1
        )

    def run(self, script: str, *arguments: str, prefix: Sequence[str] = ()) -> str:
        """What a script of this folder prints, called with the mode and then `arguments`."""
        command = [*prefix, *self._command(script, *arguments)]
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{self.name}: {' '.join(command)}\n{done.stderr[-3000:]}")
        return done.stdout


def interpreter() -> Path:
    """The CPython that both run on; without the peer, the one that runs this."""
    python, _ = peer.venv()
    if python is None:
        return Path(sys.executable)
    return Path(os.path.realpath(python))


def all_variants(package: Path, folder: Path) -> list[Variant]:
    """Builds what is missing. `package` is the staged tree, for interpreter()."""
    python, own = interpreter(), str(package)
    binaries = {
        abi: {name: _build_ours(python, own, abi, name, folder / "ours") for name in EXTENSIONS}
        for abi in ("universal", "cpython")
    }
    variants = [Variant(name, python, own, mode, binaries[abi]) for name, mode, abi in OURS]
    builder, reason = peer.venv()
    if builder is None:
        print(f"HPy 0.9 is left out: {reason}", file=sys.stderr)
        return variants
    binaries["cpython"] = {n: _build_theirs(builder, n, folder / "peer") for n in EXTENSIONS}
    variants += [Variant(name, builder, "", mode, binaries[abi]) for name, mode, abi in THEIRS]
    # What is compared comes one after the other; what has no counterpart here is the last.
    names = [name for name, *_ in OURS] + [name.removeprefix(PEER) for name, *_ in THEIRS]
    return sorted(variants, key=lambda variant: names.index(variant.name.removeprefix(PEER)))


def _environment(package: str) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HPY", "PYTHON"))}
    if package:
        env["PYTHONPATH"] = package
    return env


def _run(command: list[str], env: dict[str, str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def _is_new(library: Path, files: Sequence[Path], words: Sequence[str]) -> bool:
    """Whether it was built from these; if not, what is noted makes it so after the build."""
    digest = hashlib.sha256("\0".join(words).encode())
    for path in files:
        digest.update(path.read_bytes())
    stamp = library.with_name(f"{library.name}.hash")
    if library.exists() and stamp.exists() and stamp.read_text("ascii") == digest.hexdigest():
        return True
    library.parent.mkdir(parents=True, exist_ok=True)
    library.unlink(missing_ok=True)
    stamp.write_text(digest.hexdigest(), "ascii")
    return False


def _build_ours(python: Path, package: str, abi: str, module: str, folder: Path) -> Path:
    """With the compiler alone, so that no setuptools is needed for the interpreter."""
    code = (
        "import sysconfig; from hpy.devel import HPyDevel; print(HPyDevel().include_dir, "
        "sysconfig.get_path('include'), sysconfig.get_config_var('EXT_SUFFIX'))"
    )
    words = _run([str(python), "-c", code], _environment(package), folder.parent).split()
    include, python_include, suffix = Path(words[0]), words[1], words[2]
    library = folder / f"{module}{'.hpy0.so' if abi == 'universal' else suffix}"
    name = "universal" if abi == "universal" else f"cpython-{suffix.split('.')[1]}"
    archives = sorted((include.parent / "lib" / name).glob("*.a"))
    sources = sorted(EXTENSIONS[module].glob("*.c"))
    command = ["cc", "-shared", "-fPIC", *CFLAGS, "-DHPY", f"-DHPY_ABI_{abi.upper()}"]
    command.append(f"-I{include}")
    if abi == "cpython":
        command.append(f"-I{python_include}")
    command += [*map(str, sources), *map(str, archives), "-o", str(library)]
    # hpy/version.h changes with every commit, and nothing of it gets into these.
    headers = [h for h in sorted(include.rglob("*.h")) if h.name != "version.h"]
    files = [*sources, *archives, *headers, *EXTENSIONS[module].glob("*.h")]
    if not _is_new(library, files, command):
        _run(command, _environment(package), EXTENSIONS[module])
    return library


def _build_theirs(python: Path, module: str, folder: Path) -> Path:
    """In the CPython ABI, by its setup.py, which must not write into the sources."""
    library = folder / f"{module}.so"
    copy = folder / f"{module}-sources"
    sources = [p for p in sorted(EXTENSIONS[module].iterdir()) if p.suffix in (".c", ".h", ".py")]
    if not _is_new(library, sources, [peer.VERSION, *CFLAGS]):
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for source in sources:
            shutil.copy(source, copy)
        env = {**_environment(""), "CC": "cc", "CFLAGS": " ".join(CFLAGS)}
        build = ["build_ext", "--build-lib", "lib", "--build-temp", "temp"]
        _run([str(python), "setup.py", "-q", "--hpy-abi=cpython", *build], env, copy)
        (built,) = (copy / "lib").glob(f"{module}.cpython*.so")
        shutil.copy(built, library)
    return library


if __name__ == "__main__":  # for make bench: what to build for
    print(interpreter())
