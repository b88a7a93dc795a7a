"""An environment with the peer's own package, hpy 0.9.0 as published, kept in build/venvs.

Its package works on CPython up to 3.11 only, and needs a setuptools before 81 to build with.
"""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Optional

from support import tree

VERSION = "0.9.0"
_PYTHONS = ("3.11", "3.10", "3.9")


def _find_python() -> Optional[str]:
    """The newest CPython of this machine on which the peer works."""
    script = tree.REPOSITORY / "cmake" / "find_pythons.sh"
    found = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
    paths: dict[str, str] = {}
    for path in found.stdout.split():
        command = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        paths.setdefault(done.stdout.strip(), path)
    return next((paths[version] for version in _PYTHONS if version in paths), None)


def venv() -> tuple[Optional[Path], str]:
    """Its interpreter; or None, and why there is none. The first call needs the network."""
    folder = tree.BUILD / "venvs" / f"peer-{VERSION}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists():
            return python, ""
        base = _find_python()
        if base is None:
            return None, f"the peer needs one of CPython {', '.join(_PYTHONS)}; there is none"
        shutil.rmtree(folder, ignore_errors=True)
        made = subprocess.run(
            [base, "-m", "venv", str(folder)], capture_output=True, text=True, check=False
        )
        if made.returncode:
            return None, f"no environment with {base}: {made.stderr}"
        wanted = [f"hpy=={VERSION}", "setuptools<81", "wheel"]
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        done = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
        if done.returncode:
            return None, f"pip cannot install {' '.join(wanted)}: {done.stderr[-500:]}"
        ready.touch()
    return python, ""


def environment() -> dict[str, str]:
    """For processes in it: nothing of this tree."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HPY", "PYTHON"))}
    env["CFLAGS"] = "-O0 -g"
    return env
