"""Runs a script or a module as `python` itself would: `__main__`, sys.argv, sys.path, SystemExit.

The frames of this file and of those that call it are in no traceback of the program, and in no
stack of a report: python/cpython_host.cc ends Python stacks here.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import os
import pkgutil
import signal
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import CodeType, TracebackType
from typing import Any

from hpy.debug.cli.refusal import RefusedError


@dataclass
class Program:
    """`name` becomes sys.argv[0]; `attributes` are those of the module __main__."""

    name: str
    code: CodeType | None
    attributes: dict[str, Any] = field(default_factory=dict)
    error: SyntaxError | None = None  # of a source that cannot be compiled


def find_script(path: str) -> Program:
    """A file with Python source, or a folder or zip file with a __main__.py. Sets sys.path[0]."""
    if not os.path.exists(path):
        raise RefusedError(
            f"there is no script {path!r}. Name a Python file, or a module with -m: "
            "run SCRIPT ARGS..., run -m MODULE ARGS..."
        )
    if os.path.isdir(path) or not _is_text(path):
        return _find_main_in(path)
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    absolute = os.path.join(os.getcwd(), path)  # with the dots that Python leaves in it
    loader = importlib.machinery.SourceFileLoader("__main__", absolute)
    attributes = {"__file__": absolute, "__cached__": None, "__loader__": loader}
    try:
        with open(path, "rb") as file:
            source = file.read()
        return Program(path, compile(source, absolute, "exec", dont_inherit=True), attributes)
    except OSError as error:
        raise RefusedError(
            f"cannot read the script {path!r}: {error.strerror}. Name a Python file that "
            "may be read"
        ) from None
    except SyntaxError as error:
        return Program(path, None, attributes, error)
    except ValueError as error:
        raise RefusedError(
            f"{path!r} is no Python script: {error}. Name a file with Python source, or a "
            "folder or zip file with a __main__.py"
        ) from None


def find_module(name: str) -> Program:
    """What `python -m name` runs. Sets sys.path[0]; imports the packages around it."""
    _set_first_path(os.getcwd())
    spec = _spec_of(name)
    if spec is not None and spec.submodule_search_locations is not None:
        package, spec = name, _spec_of(f"{name}.__main__")
        if spec is None:
            raise RefusedError(
                f"{package!r} is a package without a __main__ and cannot be run with -m; name a "
                f"module in it: -m {package}.MODULE"
            )
    if spec is None:
        raise RefusedError(
            f"there is no module {name!r} to run with -m. It is looked for in the current "
            "directory, PYTHONPATH and what is installed; `run SCRIPT` takes the path of a file"
        )
    get_code = getattr(spec.loader, "get_code", None)
    try:
        code = get_code(spec.name) if get_code is not None else None
    except SyntaxError as error:
        return Program(spec.origin or name, None, {}, error)
    except ImportError as error:
        raise RefusedError(f"the module {name!r} cannot be run with -m: {error}") from None
    if code is None:
        raise RefusedError(
            f"the module {name!r} has no Python code and cannot be run with -m; name a module of "
            "Python source, one that imports it for instance"
        )
    attributes = {
        "__file__": spec.origin,
        "__cached__": spec.cached,
        "__loader__": spec.loader,
        "__package__": spec.parent,
        "__spec__": spec,
    }
    return Program(spec.origin or name, code, attributes)


def execute(program: Program, arguments: Sequence[str]) -> int:
    """Runs it and returns its exit status. An exception of it is printed as usual.

    KeyboardInterrupt becomes -SIGINT: end() ends the process as Python does.
    """
    sys.argv[:] = [program.name, *arguments]
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __package__=None, __spec__=None)
    main.__dict__.update(program.attributes)
    sys.modules["__main__"] = main
    try:
        if program.error is not None:
            raise program.error
        assert program.code is not None
        exec(program.code, main.__dict__)
    except SystemExit as stop:
        return _status_of(stop.code)
    except BaseException as error:
        _print(error)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def end(status: int) -> int:
    """The status to leave with; does not return when that is the death by a signal."""
    if status >= 0:
        return status
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
    return 128 - status  # not reached unless the signal is blocked


def _status_of(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    if sys.stderr is not None:
        print(code, file=sys.stderr)
    return 1


def _print(error: BaseException) -> None:
    """As the interpreter prints what nobody caught, without our frames."""
    traceback = error.__traceback__
    while traceback is not None and _is_ours(traceback):
        traceback = traceback.tb_next
    error = error.with_traceback(traceback)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, traceback
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    sys.excepthook(type(error), error, traceback)


def _is_ours(traceback: TracebackType) -> bool:
    return traceback.tb_frame.f_code.co_filename == __file__


def _is_text(path: str) -> bool:
    """Whether Python takes it for source: not for a zip file, which it finds an importer for."""
    return pkgutil.get_importer(path) is None if not path.endswith(".pyc") else False


def _find_main_in(name: str) -> Program:
    path = os.path.join(os.getcwd(), name)
    spec = importlib.machinery.PathFinder.find_spec("__main__", [path])
    get_code = getattr(spec and spec.loader, "get_code", None)
    if spec is None or get_code is None:
        raise RefusedError(
            f"there is no __main__.py in {name!r}, so it cannot be run; name a file in it"
        )
    _set_first_path(path, always=True)
    attributes = {
        "__file__": spec.origin,
        "__cached__": spec.cached,
        "__loader__": spec.loader,
        "__package__": "",
        "__spec__": spec,
    }
    try:
        return Program(name, get_code("__main__"), attributes)
    except SyntaxError as error:
        return Program(name, None, attributes, error)


def _spec_of(name: str) -> importlib.machinery.ModuleSpec | None:
    if not all(part.isidentifier() for part in name.split(".")):
        raise RefusedError(f"-m needs the name of a module, with dots; it is {name!r}")
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    except Exception as error:  # the package around it is code of the program
        raise RefusedError(
            f"the module {name!r} cannot be found: importing the package around it failed with "
            f"{type(error).__name__}: {error}"
        ) from None


def _set_first_path(folder: str, always: bool = False) -> None:
    """sys.path[0] was that of `python -m hpy.debug`; with -I or -P Python sets none."""
    if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
        if always:
            sys.path.insert(0, folder)
        return
    sys.path[0] = folder
