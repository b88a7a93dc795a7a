"""The macros that choose an ABI in hpy.h, for every build system."""

from __future__ import annotations

# 0.0.4 had one macro, and code written for it may still test it.
MACROS = {
    "cpython": ("HPY", "HPY_ABI_CPYTHON"),
    "universal": ("HPY", "HPY_ABI_UNIVERSAL", "HPY_UNIVERSAL_ABI"),
    "hybrid": ("HPY", "HPY_ABI_HYBRID"),
}
