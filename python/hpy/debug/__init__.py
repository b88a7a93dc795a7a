"""Debug mode of HPy: finds leaked handles and misused ones, and names the line.

    with hpy.debug.LeakDetector():
        mymodule.function()

Importing this package switches debug mode on for no extension: HPY_DEBUG=1 in the environment does,
or hpy.universal.load(..., debug=True).
"""

from __future__ import annotations

from hpy.debug import native as _native_access
from hpy.debug import settings as _settings
from hpy.debug.leakdetector import (
    HPyDebugError,
    HPyLeakError,
    LeakDetector,
    leaks,
)
from hpy.debug.reporting import on_violation
from hpy.debug.settings import configure
from hpy.debug.violation import HPyDebugWarning, Violation

__all__ = [
    "HPyDebugError",
    "HPyDebugWarning",
    "HPyLeakError",
    "LeakDetector",
    "Violation",
    "configure",
    "disable_handle_stack_traces",
    "leaks",
    "on_violation",
    "set_handle_stack_trace_limit",
]


def set_handle_stack_trace_limit(limit: int | None) -> None:
    """Keeps `limit` native frames of the place where a handle is opened; None, 0 and less: none.

    Traces are on from the start; the setting `stack_depth` is the same thing.
    """
    _native_access.native()._debug.set_handle_stack_trace_limit(limit)
    _settings.note("stack_depth", min(max(limit or 0, 0), 64))


def disable_handle_stack_traces() -> None:
    """Keeps no native frames of the places where handles are opened."""
    set_handle_stack_trace_limit(None)


_settings.apply_environment()
