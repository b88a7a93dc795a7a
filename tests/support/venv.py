"""Virtual environments with a certain setuptools, made once and kept in build/venvs.

They do not contain hpy: it comes from the staged tree, by PYTHONPATH.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from support import tree

# The versions that differ (python-api of hpy.devel), besides the newest. Those before 66 do not run
# on CPython 3.12, which dropped what they import.
OLD_VERSIONS = ("58.1.0", "65.5.0")


def versions() -> tuple[str, ...]:
    """The versions of setuptools that run on this interpreter, "newest" among them."""
    return ("newest",) if sys.version_info >= (3, 12) else (*OLD_VERSIONS, "newest")


def venv_with_setuptools(version: str) -> Path:
    """Its interpreter. The first call for a version needs the network (or pip's cache)."""
    folder = tree.BUILD / "venvs" / f"{tree.SOABI}-setuptools-{version}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            wanted = "setuptools" if version == "newest" else f"setuptools=={version}"
            # pip 23.1 is the first that hands on every one of several --config-settings.
            wanted_too = ["wheel", "pip>=23.1"]
            command = [str(python), "-m", "pip", "install", "-q", "--upgrade", wanted, *wanted_too]
            subprocess.run([*command, "--disable-pip-version-check"], check=True)
            ready.touch()
    return python


def environment(extra: Optional[Mapping[str, str]] = None) -> dict[str, str]:
    """For the processes in it: the staged hpy, no HPY* variables, quick compilation."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HPY", "PYTHON"))}
    env["PYTHONPATH"] = str(tree.STAGED)
    env["CFLAGS"] = "-O0 -g"
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    # pip builds in a folder that is new each time.
    if shutil.which("ccache"):
        env["CC"] = "ccache cc"
        env["CCACHE_NOHASHDIR"] = "1"
    env.update(extra or {})
    return env
