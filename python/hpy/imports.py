"""`import x` finds x.hpy0.so itself, without a stub x.py beside it.

    import hpy.imports

    hpy.imports.install()
    import x            # in the mode that HPY and HPY_DEBUG say, as with a stub

For all of an environment, put that into a .pth file of its site-packages, as one line:

    import hpy.imports; hpy.imports.install()

What others find stays theirs: this finder is the last one that Python asks, so a package, a stub or
a library for the CPython ABI of the same name goes before, and modules that those find cost nothing
more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader, FileFinder, ModuleSpec
from types import ModuleType

__all__ = ["SUFFIXES", "Finder", "Loader", "install", "uninstall"]

# The hybrid one is for this version of CPython only.
SUFFIXES = (".hpy0.so", ".hpy0-cp{}{}.so".format(*sys.version_info[:2]))


class Loader(ExtensionFileLoader):
    """Loads one library, in the mode that the environment asks for."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        from hpy.universal import _load_bootstrap

        short_name = spec.name.rpartition(".")[2]
        return _load_bootstrap(
            short_name, spec.name, spec.parent, str(self.path), self, spec, os.environ
        )

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do: the module is executed when it is created."""


class Finder:
    """A finder for sys.meta_path."""

    def __init__(self) -> None:
        # A finder for each folder: it knows the folder's files until the folder changes.
        self._finders: dict[str, FileFinder] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        for entry in sys.path if path is None else path:
            if not isinstance(entry, str):
                continue
            folder = entry or os.getcwd()
            finder = self._finders.get(folder)
            if finder is None:
                finder = self._finders[folder] = FileFinder(folder, (Loader, list(SUFFIXES)))
            spec = finder.find_spec(fullname)
            # Without a loader it is a part of a namespace package, which others have offered.
            if spec is not None and spec.loader is not None:
                return spec
        return None

    def invalidate_caches(self) -> None:
        for finder in self._finders.values():
            finder.invalidate_caches()


def install() -> Finder:
    """Puts the finder behind all that are there, once; returns it."""
    for finder in sys.meta_path:
        if isinstance(finder, Finder):
            return finder
    finder = Finder()
    sys.meta_path.append(finder)
    return finder


def uninstall() -> None:
    """Takes the finder away. What was imported stays."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
