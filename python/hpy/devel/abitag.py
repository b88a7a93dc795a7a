"""The names of binary files: which suffix an extension of each ABI has.

    >>> get_hpy_ext_suffix("universal", ".cpython-311-x86_64-linux-gnu.so")
    '.hpy0.so'
    >>> get_hpy_ext_suffix("hybrid", ".cpython-311-x86_64-linux-gnu.so")
    '.hpy0-cp311.so'

The loader compares the number behind `.hpy` with the HPY_ABI_VERSION of the headers.
"""

from __future__ import annotations

import sysconfig

HPY_ABI_VERSION = 0
HPY_ABI_VERSION_MINOR = 0
HPY_ABI_TAG = f"hpy{HPY_ABI_VERSION}"

# How many parts of the middle of an EXT_SUFFIX, split at "-", name the interpreter and its version;
# the others name the platform. The first entry whose key begins the middle counts.
_PARTS_OF_TAG = {"cpython": 2, "cp": 1, "pypy": 2, "graalpy": 3}


def parse_ext_suffix(ext_suffix: str | None = None) -> tuple[str, str]:
    """(abi_tag, ext) of an EXT_SUFFIX, by default that of this interpreter.

    `.cpython-311-x86_64-linux-gnu.so` gives `("cp311", "so")`. A suffix without a tag, like `.so`,
    is a ValueError.
    """
    suffix = _ext_suffix() if ext_suffix is None else ext_suffix
    parts = suffix.split(".")
    if len(parts) != 3 or parts[0] or not parts[1] or not parts[2]:
        raise ValueError(
            f"the suffix {suffix!r} of extension modules has no ABI tag; "
            "one of the form '.TAG.so' or '.TAG.pyd' is needed"
        )
    return _abi_tag(parts[1]), parts[2]


def get_hpy_ext_suffix(hpy_abi: str, ext_suffix: str | None = None) -> str:
    """The file suffix of an extension of ABI `hpy_abi` for the interpreter with `ext_suffix`.

    For "cpython" it is always that of the running interpreter: only its own import system loads it.
    """
    assert hpy_abi in ("cpython", "universal", "hybrid"), f"there is no HPy ABI {hpy_abi!r}"
    if hpy_abi == "cpython":
        return _ext_suffix()
    suffix = _ext_suffix() if ext_suffix is None else ext_suffix
    if hpy_abi == "universal":
        # Nothing but the last part is needed, so an interpreter without an ABI tag will do.
        return f".{HPY_ABI_TAG}.{suffix.rpartition('.')[2]}"
    abi_tag, ext = parse_ext_suffix(suffix)
    return f".{HPY_ABI_TAG}-{abi_tag}.{ext}"


def _abi_tag(middle: str) -> str:
    """`cp311` of `cpython-311-x86_64-linux-gnu`."""
    parts = middle.split("-")
    for prefix, count in _PARTS_OF_TAG.items():
        if middle.startswith(prefix):
            del parts[count:]
            break
    tag = "-".join(parts)
    if tag.startswith("cpython-"):
        tag = "cp" + tag[len("cpython-") :]
    return tag


def _ext_suffix() -> str:
    return str(sysconfig.get_config_var("EXT_SUFFIX"))
