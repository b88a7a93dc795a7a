"""Access to the native module, which may be missing.

hpy.debug can be imported where hpy has no native modules for the interpreter: its pytest plugin is
loaded into every run of pytest, and must not break those that have nothing to do with it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

_native: ModuleType | None
_error: ImportError | None = None
try:
    from hpy.debug import _native
except ImportError as error:
    _native = None
    _error = error


def available() -> bool:
    """Whether the native module could be imported."""
    return _native is not None


def give_up(error: ImportError) -> None:
    """From now on native() raises, and says `error`."""
    global _native, _error
    _native, _error = None, error


def native() -> Any:
    """The module hpy.debug._native; ImportError with the reason when it cannot be imported."""
    if _native is None:
        raise ImportError(
            "the debug mode of hpy needs the native module hpy.debug._native, which cannot be "
            f"imported by this Python: {_error}. Reinstall hpy with this Python: "
            "python -m pip install --force-reinstall hpy",
            name="hpy.debug._native",
        ) from _error
    return _native
