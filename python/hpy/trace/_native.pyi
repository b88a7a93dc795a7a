"""The native half of hpy.trace: the trace context.

Internal: the public names are those of hpy.trace, and `_trace`, which is also
`hpy.universal._trace`.
"""

from types import ModuleType
from typing import Callable, final

@final
class _TraceModule(ModuleType):
    """The module object hpy.trace._trace, which is not in sys.modules."""

    def get_call_counts(self) -> dict[str, int]: ...
    def get_durations(self) -> dict[str, int]: ...
    def get_frequency(self) -> int: ...
    def set_trace_functions(
        self,
        on_enter: Callable[[str], object] | None = ...,
        on_exit: Callable[[str], object] | None = ...,
    ) -> None: ...

_trace: _TraceModule

def trace_debug_mode(enabled: bool = True) -> None:
    """Traces what extensions that are loaded in debug mode call too, or ends that."""
