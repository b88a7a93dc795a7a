"""The native half of hpy.debug: the debug context and what Python needs of it.

Internal: the public names are those of hpy.debug, and `_debug`, which is also
`hpy.universal._debug`.
"""

from types import ModuleType
from typing import Any, Callable, final

@final
class DebugHandle:
    """A view of the record of one handle of the debug context."""

    @property
    def obj(self) -> Any: ...
    @property
    def id(self) -> int: ...
    @property
    def _order(self) -> int: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def raw_data_size(self) -> int: ...
    def _force_close(self) -> None: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

_DebugHandle = DebugHandle

@final
class _DebugModule(ModuleType):
    """The module object hpy.debug._debug, which is not in sys.modules."""

    DebugHandle = _DebugHandle
    def new_generation(self) -> int: ...
    def get_open_handles(self, gen: int, /) -> list[_DebugHandle]: ...
    def get_closed_handles(self, gen: int = 0, /) -> list[_DebugHandle]: ...
    def get_closed_handles_queue_max_size(self) -> int: ...
    def set_closed_handles_queue_max_size(self, n: int, /) -> None: ...
    def get_protected_raw_data_max_size(self) -> int: ...
    def set_protected_raw_data_max_size(self, n: int, /) -> None: ...
    def set_on_invalid_handle(self, f: Callable[[], object] | None, /) -> None: ...
    def set_on_invalid_builder_handle(self, f: Callable[[], object] | None, /) -> None: ...
    def set_handle_stack_trace_limit(self, n: int | None, /) -> None: ...

_debug: _DebugModule

def configure_native(name: str, value: object, /) -> None:
    """Makes a setting of hpy.debug.settings take effect; its value has been checked there."""

def find_leaks(
    generation: int,
    ignore: Callable[[DebugHandle], object] | None = None,
    report: bool | Callable[[str], object] = False,
    long_lived: bool = False,
    until: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[tuple[str, str | None, list[DebugHandle]]]:
    """What extensions opened since `generation`, and before `until`, and is open, folded by stacks.

    Of each JSON with the count, that of what is new, and the first handles: all, or where there are
    more than 10000 the first 20 of each stack. Handles oldest first, then builders and trackers.
    With `report` what was new is not from now on; `report(json)` says so for each. `long_lived`
    adds notes about handles that outlived their call. `progress(done, total)` is told now and then
    how many of the stacks were read.
    """

def flush_notes() -> None:
    """Appends what was only counted of long-lived handles to the report file."""

def render_text(
    violations_json: list[str], top: int, colour: bool, report: str | None, folder: str = ..., /
) -> str:
    """The report of these violations for people, folded, with the SUMMARY line at its end.

    Paths below `folder` are shown relative to it.
    """

def append_report(json_line: str, /) -> None:
    """Appends a line to the report file; does nothing when there is none."""

def kinds() -> list[tuple[str, str, str, str, str, str, str, str]]:
    """Of each kind of violation the fields of hpy.debug.kinds.Kind."""

def report_fault() -> bool:
    """Reports the fault whose record is on standard input: for the helper of a fault handler."""

def violation_count() -> int:
    """How many violations, leaks not among them, were reported so far."""

def set_error_factory(
    factory: Callable[[str, type[BaseException] | None], BaseException], /
) -> None:
    """`factory(json, also)` makes the exception to raise, an instance of `also` too."""

def set_warning_factory(factory: Callable[[str], object], /) -> None:
    """`factory(json)` issues the warning of a violation."""

def set_violation_callback(callback: Callable[[str], object] | None, /) -> None:
    """`callback(json)` is told of each violation; None: nobody is."""

def set_suppression_callback(callback: Callable[[str], bool] | None, /) -> None:
    """`callback(json)` says of each mistake whether it is suppressed.

    Then it is only written to the report file, and nothing fails but the call that must.
    """

def loaded_modules() -> list[str]:
    """The names of the modules that were loaded in debug mode."""

def doctor() -> dict[str, Any]:
    """What this machine and this process offer; cli/doctor.py explains the keys."""
