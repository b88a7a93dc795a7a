"""Where the tree under test is: build/python, or that of the build folder HPY_BUILD_DIR."""

import os
import sys
import sysconfig
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("HPY_BUILD_DIR", REPOSITORY / "build")).resolve()
STAGED = BUILD / "python"
PACKAGE = STAGED / "hpy"
INCLUDE = PACKAGE / "devel" / "include"
RUNTIME = PACKAGE / "devel" / "src" / "runtime"
CACHE = BUILD / "test-cache"

SOABI = str(sysconfig.get_config_var("SOABI"))
# Whether this process runs with AddressSanitizer (cmake/with_asan.sh).
HAS_ASAN = "libasan" in os.environ.get("LD_PRELOAD", "")
# For programs that are not to run with it.
WITHOUT_ASAN = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
EXT_SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
PYTHON_INCLUDE = Path(sysconfig.get_paths()["include"])


def extension_suffix(abi: str) -> str:
    """File suffix of an extension of `abi`: cpython, universal or hybrid."""
    if abi == "cpython":
        return EXT_SUFFIX
    if abi == "universal":
        return ".hpy0.so"
    return f".hpy0-cp{sys.version_info[0]}{sys.version_info[1]}.so"


def static_library(abi: str) -> Path:
    """The shipped library of helpers that an extension of `abi` links."""
    if abi == "universal":
        return PACKAGE / "devel" / "lib" / "universal" / "libhpy-extra-universal.a"
    if abi == "hybrid":
        return PACKAGE / "devel" / "lib" / f"hybrid-{SOABI}" / "libhpy-extra-hybrid.a"
    return PACKAGE / "devel" / "lib" / f"cpython-{SOABI}" / "libhpy-ctx-cpython.a"
