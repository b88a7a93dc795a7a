"""An extension made from the C source that a test shows, for each ABI and mode."""

import importlib.util
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Optional

from support import compiler

# What a test may run on: the ABI of the binary, and the mode in which hpy.universal loads it.
BINARY = {
    "cpython": "cpython",
    "universal": "universal",
    "debug": "universal",
    "trace": "universal",
    "hybrid": "hybrid",
    "hybrid-debug": "hybrid",
}
MODE = {"universal": 0, "hybrid": 0, "debug": 1, "hybrid-debug": 1, "trace": 2}

_STUB = """\
import os, sys
from hpy.universal import _load_bootstrap
_path = os.path.join(os.path.dirname(os.path.abspath(__file__)), {file!r})
sys.modules[__name__] = _load_bootstrap(
    {name!r}, __name__, __package__, _path, __loader__, __spec__, os.environ)
"""


@dataclass
class Extension:
    """A compiled extension that nothing else has loaded: a copy in a folder of its own.

    `folder` on sys.path makes `import NAME` work; with `env`, in the mode of `abi`.
    """

    name: str
    abi: str
    path: Path
    source: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.path.parent


def line_of(source: str, text: str) -> int:
    """Number, from 1, of the one line of `source` that contains `text`."""
    lines = [number for number, line in enumerate(source.split("\n"), 1) if text in line]
    if len(lines) != 1:
        raise ValueError(f"{text!r} is in {len(lines)} lines of the source, must be in one")
    return lines[0]


def with_module(source: str, name: str, defines: Optional[Sequence[str]] = None) -> str:
    """`source` with a module definition at its end, unless it has its own HPy_MODINIT.

    The module gets the definitions called `defines`; if they are not given, every HPyDef_METH of
    the source that is nowhere used as `&NAME`, and its HPy_mod_exec and HPy_mod_create slots. Its
    globals are those that the source defines in lines `static HPyGlobal NAME, NAME;`.
    """
    if re.search(r"\bHPy_MODINIT\s*\(", source):
        return source
    if defines is None:
        methods = re.findall(r"^\s*HPyDef_METH(?:_IMPL)?\(\s*(\w+)", source, re.M)
        slots = re.findall(
            r"^\s*HPyDef_SLOT(?:_IMPL)?\(\s*(\w+)[^)]*\bHPy_mod_(?:exec|create)\b", source, re.M
        )
        used = set(re.findall(r"&\s*(\w+)", source))
        defines = [define for define in [*methods, *slots] if define not in used]
    list_of_defines = "".join(f"&{define}, " for define in defines)
    names = ",".join(re.findall(r"^static HPyGlobal ([\w, ]+);", source, re.M))
    list_of_globals = "".join(f"&{global_.strip()}, " for global_ in names.split(",") if names)
    globals_ = f"{name}_globals" if names else "NULL"
    array = f"\nstatic HPyGlobal *{globals_}[] = {{{list_of_globals}NULL}};" if names else ""
    return source + (
        f"{array}\nstatic HPyDef *{name}_defines[] = {{{list_of_defines}NULL}};"
        f"\nstatic HPyModuleDef {name}_def = {{"
        f'"{name}", "made for a test", 0, NULL, {name}_defines, {globals_}}};'
        f"\nHPy_MODINIT({name}, {name}_def)\n"
    )


class ModuleFactory:
    """The fixture `hpy_module`: makes extensions of the ABI of the test.

    `before_load` is called before the first one is loaded with the debug context.
    """

    def __init__(self, abi: str, folder: Path, before_load: Callable[[], None]) -> None:
        self.abi = abi
        self._folder = folder
        self._before_load = before_load
        self._count = 0

    line_of = staticmethod(line_of)

    def __call__(self, source: str, name: str = "mytest", **how: Any) -> ModuleType:
        """Compiles `source` and loads it; parameters as those of build()."""
        return self.load(self.build(source, name, **how))

    def build(
        self,
        source: str,
        name: str = "mytest",
        *,
        defines: Optional[Sequence[str]] = None,
        cflags: Sequence[str] = (),
        ldflags: Sequence[str] = (),
        language: str = "c",
        abi: Optional[str] = None,
    ) -> Extension:
        """Compiles `source` (completed by with_module) and loads nothing."""
        abi = abi or self.abi
        if abi not in BINARY:
            raise ValueError(f"ABI {abi!r} is none of {', '.join(BINARY)}")
        text = with_module(source, name, defines)
        built = compiler.compile_extension(text, name, BINARY[abi], language, cflags, ldflags)
        # A library that was loaded before would bring its old static variables and its old mode.
        self._count += 1
        folder = self._folder / f"{name}-{abi}-{self._count}"
        folder.mkdir()
        path = Path(shutil.copy(built, folder))
        extension = Extension(
            name, abi, path, built.parent / (name + (".cpp" if language == "c++" else ".c"))
        )
        if BINARY[abi] != "cpython":
            stub = _STUB.format(file=path.name, name=name)
            (folder / f"{name}.py").write_text(stub)
            extension.env["HPY"] = ("universal", "debug", "trace")[MODE[abi]]
        return extension

    def load(self, extension: Extension) -> ModuleType:
        """The module of `extension`, in its mode; not entered into sys.modules."""
        name, path = extension.name, str(extension.path)
        if extension.abi == "cpython":
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
        from hpy.universal import load

        mode = MODE[extension.abi]
        if mode == 1:
            self._before_load()
        loaded: ModuleType = load(name, path, ModuleSpec(name, None, origin=path), mode=mode)
        return loaded
