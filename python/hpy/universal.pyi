"""Loads HPy extensions of the universal and the hybrid ABI (a native module)."""

from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

MODE_UNIVERSAL: Final = 0
MODE_DEBUG: Final = 1
MODE_TRACE: Final = 2

_debug: ModuleType
_trace: ModuleType
_capi: object

class HPyImportError(ImportError, RuntimeError): ...

def load(
    name: str,
    path: str,
    spec: ModuleSpec | bool | None = None,
    debug: object = False,
    mode: int | None = None,
) -> ModuleType: ...
def get_version() -> tuple[str, str]: ...
def _load_bootstrap(
    name: str,
    ext_name: str,
    package: str | None,
    file: str,
    loader: Any,
    spec: ModuleSpec,
    env: Mapping[str, str],
) -> ModuleType: ...
