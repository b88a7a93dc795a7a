"""Trace mode of HPy: how often extensions call which function of the API, and how long that takes.

    HPY=trace python -c "
    import mymodule, hpy.trace
    mymodule.function()
    print(hpy.trace.get_call_counts()['ctx_Add'])"

Importing this package switches trace mode on for no extension: HPY=trace in the environment does,
or hpy.universal.load(..., mode=hpy.universal.MODE_TRACE).
"""

from __future__ import annotations

from hpy.trace import _native

__all__ = [
    "get_call_counts",
    "get_durations",
    "get_frequency",
    "set_trace_functions",
    "trace_debug_mode",
]

get_call_counts = _native._trace.get_call_counts
get_durations = _native._trace.get_durations
get_frequency = _native._trace.get_frequency
set_trace_functions = _native._trace.set_trace_functions
trace_debug_mode = _native.trace_debug_mode
