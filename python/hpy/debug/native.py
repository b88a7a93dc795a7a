"""Access to the native module, which is imported when it is first needed, and may be missing.

hpy.debug can be imported where hpy has no native modules for the interpreter: its pytest plugin is
loaded into every run of pytest, and must neither break nor slow those that have nothing to do with
it. So `import hpy.debug` imports nothing native. Whoever imports hpy.debug._native first, the
loader of an extension in debug mode or native() here, connects it: its initialisation calls
connect().
"""

from __future__ import annotations

import atexit
import importlib
from types import ModuleType
from typing import Any

_native: ModuleType | None = None


def loaded() -> bool:
    """Whether the native module is there; as long as it is not, no extension is in debug mode."""
    return _native is not None


def available() -> bool:
    """Whether the native module is there or can be imported, which this does."""
    try:
        native()
    except ImportError:
        return False
    return True


def native() -> Any:
    """The module hpy.debug._native; ImportError with the reason when it cannot be imported."""
    if _native is None:
        try:
            importlib.import_module("hpy.debug._native")  # calls connect()
        except ImportError as error:
            if "subinterpreters" in str(error):
                raise ImportError(
                    f"the debug mode of hpy works in interpreters that share the GIL only: {error}",
                    name="hpy.debug._native",
                ) from error
            raise ImportError(
                "the debug mode of hpy needs the native module hpy.debug._native, which cannot be "
                f"imported by this Python: {error}. Reinstall hpy with this Python: "
                "python -m pip install --force-reinstall hpy",
                name="hpy.debug._native",
            ) from error
    return _native


def connect(module: ModuleType) -> None:
    """Called by the native module while it is initialised: tells it the settings and our classes.

    An exception makes the import fail.
    """
    global _native
    from hpy.debug import leakdetector, reporting, settings

    _native = module
    try:
        reporting.connect(module)
        settings.connect()
    except BaseException:
        _native = None
        raise
    atexit.register(leakdetector.report_at_exit)
