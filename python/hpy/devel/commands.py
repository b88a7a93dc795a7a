"""The commands build, build_ext, bdist_wheel and bdist_egg, made to know HPy extensions.

Each is a subclass of the command that the distribution had before, so it goes with whatever else
has been put there. Everything that differs between versions of setuptools (58 to the newest) is
avoided rather than asked for: the stubs of HPy extensions are our own, `_needs_stub` of setuptools
stays false, and only methods that all the versions call are overridden.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import sysconfig
import threading
from distutils import log  # type: ignore[attr-defined, unused-ignore]
from distutils.errors import DistutilsModuleError, LinkError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpy.devel.abitag import get_hpy_ext_suffix
from hpy.devel.bases import BdistEgg, BdistWheel, Build, BuildExt
from hpy.devel.extension import abi_of, arguments_for_c, newest, prepare
from hpy.devel.stub import write_stub
from hpy.devel.symbols import complaint

if TYPE_CHECKING:
    from hpy.devel import HPyDevel
    from hpy.devel.bases import Distribution, Extension


def fix_distribution(hpydevel: HPyDevel, dist: Distribution) -> None:
    """See HPyDevel.fix_distribution."""
    dist.hpydevel = hpydevel
    _fix_has_ext_modules(type(dist))
    for name, mixin in (("build", BuildMixin), ("build_ext", BuildExtMixin)):
        base = dist.get_command_class(name)
        if name == "build_ext":
            hpydevel.build_ext_sanity_check(base)
        dist.cmdclass[name] = _subclass(name, mixin, base)
    if _hpy_ext_modules(dist):
        _merge_ext_modules(dist)
        if getattr(dist, "zip_safe", None) is None:
            # An older bdist_egg would zip the library, and nothing could load it from there.
            dist.zip_safe = False
        # It takes every library for a module of CPython, and overwrites the stub with its own.
        dist.cmdclass["bdist_egg"] = _subclass(
            "bdist_egg", BdistEggMixin, dist.get_command_class("bdist_egg")
        )
        # Older versions of setuptools have it from the package wheel, which may not be there.
        with contextlib.suppress(DistutilsModuleError):
            dist.cmdclass["bdist_wheel"] = _subclass(
                "bdist_wheel", BdistWheelMixin, dist.get_command_class("bdist_wheel")
            )


def _subclass(name: str, mixin: type, base: type) -> type[Any]:
    # Without `command_name` distutils would look for the options of a command "build_ext_hpy" when
    # the command is initialized again.
    return type(f"{base.__name__}_hpy", (mixin, base), {"command_name": name})


def _hpy_ext_modules(dist: Distribution) -> list[Extension]:
    return list(getattr(dist, "hpy_ext_modules", None) or ())


def _merge_ext_modules(dist: Distribution) -> None:
    """Adds the HPy extensions to `dist.ext_modules`, which much of setuptools looks at.

    Among others: where the standard library's distutils installs to, the finder of an editable
    installation, top_level.txt.
    """
    if dist.ext_modules is None:
        # Without extensions setuptools looks for packages by itself, and it still shall.
        discovery = getattr(dist, "set_defaults", None)
        getattr(discovery, "_ignore_ext_modules", lambda: None)()
    present = list(dist.ext_modules or ())
    missing = [ext for ext in _hpy_ext_modules(dist) if not any(ext is other for other in present)]
    dist.ext_modules = present + missing


def _fix_has_ext_modules(cls: Any) -> None:
    original = cls.has_ext_modules
    if getattr(original, "knows_hpy", False):
        return

    def has_ext_modules(self: Any) -> bool:
        return bool(original(self)) or bool(_hpy_ext_modules(self))

    has_ext_modules.knows_hpy = True  # type: ignore[attr-defined]
    cls.has_ext_modules = has_ext_modules


class BuildMixin(Build):
    """Build folders of their own for each ABI but cpython: the files of two ABIs never mix.

    A folder that was asked for, by options or by an editable installation, is taken as it is.
    """

    def finalize_options(self) -> None:
        given = {name for name in ("build_lib", "build_platlib", "build_temp") if vars(self)[name]}
        super().finalize_options()
        abi = abi_of(self.distribution)
        if abi == "cpython":
            return
        platlib = self.build_platlib
        for name in ("build_platlib", "build_temp"):
            if name not in given:
                setattr(self, name, f"{getattr(self, name).rstrip(os.sep)}-hpy-{abi}")
        if "build_lib" not in given and self.build_lib == platlib:
            self.build_lib = self.build_platlib


class BuildExtMixin(BuildExt):
    """Builds HPy extensions besides those that were there, and the stubs that load them."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self._hpy_by_name: dict[str, Extension] = {}
        # distutils asks for the file name of the last component of a module's name alone. While it
        # does that for an ordinary extension, an HPy extension of that name is not meant.
        self._hpy_thread = threading.local()

    def finalize_options(self) -> None:
        dist = self.distribution
        hpy = _hpy_ext_modules(dist)
        if hpy:
            self.check_extensions_list(hpy)  # before we touch what may be no Extension at all
            abi = abi_of(dist)
            static = bool(getattr(dist, "hpy_use_static_libs", False))
            for ext in hpy:
                prepare(ext, abi, dist.hpydevel, static)
            _merge_ext_modules(dist)
            # File names are asked for during super().finalize_options(), which takes the package of
            # the distribution where the command has none.
            package = dist.ext_package if self.package is None else self.package
            prefix = f"{package}." if package else ""
            self._hpy_by_name = {prefix + ext.name: ext for ext in hpy}
        super().finalize_options()

    # File names.

    def get_ext_filename(self, fullname: str) -> str:
        ext = self._hpy_by_name.get(fullname)
        if ext is None or self._abi(ext) == "cpython" or getattr(self._hpy_thread, "other", False):
            return super().get_ext_filename(fullname)
        # The variable is set when compiling for another machine.
        suffix = get_hpy_ext_suffix(self._abi(ext), os.environ.get("SETUPTOOLS_EXT_SUFFIX") or None)
        return os.path.join(*fullname.split(".")) + suffix

    def get_ext_fullpath(self, ext_name: str) -> str:
        fullname = self.get_ext_fullname(ext_name)
        if fullname not in self._hpy_by_name:
            self._hpy_thread.other = True
            try:
                return super().get_ext_fullpath(ext_name)
            finally:
                self._hpy_thread.other = False
        filename = self.get_ext_filename(fullname)
        if not self.inplace:
            return os.path.join(self.build_lib, filename)
        return os.path.join(
            os.path.abspath(self._package_dir(fullname)), os.path.basename(filename)
        )

    def get_export_symbols(self, ext: Extension) -> list[str]:
        if not self._has_stub(ext):
            return super().get_export_symbols(ext)
        symbol = "HPyInit_" + ext.name.rpartition(".")[2].replace("-", "_")
        if symbol not in ext.export_symbols:
            ext.export_symbols.append(symbol)
        return ext.export_symbols

    # Building.

    def build_extension(self, ext: Extension) -> None:
        if not self._is_hpy(ext):
            super().build_extension(ext)
            return
        # The helpers are compiled here rather than by the parent class, for they are C whatever the
        # extension is, and their objects must not be shared by extensions with other macros, which
        # may be built at the same time.
        sources, objects, depends = ext.sources, ext.extra_objects, ext.depends
        helpers: list[str] = getattr(ext, "hpy_helper_sources", [])
        include_dir: Path = self.distribution.hpydevel.include_dir
        headers = [str(path) for path in sorted(include_dir.rglob("*.h"))]
        ext.depends = [*(depends or ()), *headers, *helpers, *(objects or ())]
        ext.sources = [source for source in sources if source not in helpers]
        try:
            library = self.get_ext_fullpath(ext.name)
            changed = newest([*ext.sources, *ext.depends])
            if self.force or not os.path.exists(library) or changed > os.path.getmtime(library):
                ext.extra_objects = [*(objects or ()), *self._compile_helpers(ext, helpers)]
            super().build_extension(ext)
        except Exception as error:
            advice = self._advice_without_compiler()
            if advice is None:
                raise
            raise type(error)(f"{error}\n{advice}") from None
        finally:
            ext.sources, ext.extra_objects, ext.depends = sources, objects, depends
        if self._abi(ext) == "universal":
            self._check_symbols(library)
        if self._has_stub(ext):
            self._write_stub(library)

    def _check_symbols(self, library: str) -> None:
        if getattr(self, "dry_run", False) or not sys.platform.startswith("linux"):
            return
        text = complaint(library)
        if text is not None:
            # What is there would be taken for up to date by the next build.
            os.unlink(library)
            raise LinkError(text)

    def _compile_helpers(self, ext: Extension, helpers: list[str]) -> list[str]:
        if not helpers:
            return []
        compiler: Any = self.compiler
        compiled: list[str] = compiler.compile(
            helpers,
            output_dir=os.path.join(self.build_temp, "hpy-helpers", ext.name),
            macros=[*ext.define_macros, *((name,) for name in ext.undef_macros)],
            include_dirs=ext.include_dirs,
            debug=self.debug,
            extra_postargs=arguments_for_c(ext.extra_compile_args or []),
            depends=ext.depends,
        )
        return compiled

    def _advice_without_compiler(self) -> str | None:
        """What to do about a compiler that is not there; None if all are (or it is not Unix)."""
        for language, attribute, variable in (
            ("C", "compiler_so", "CC"),
            ("C++", "compiler_so_cxx", "CXX"),
        ):
            program = next(iter(getattr(self.compiler, attribute, None) or ()), None)
            if program is not None and shutil.which(program) is None:
                return (
                    f"The {language} compiler {program!r} was not found. Install one (Debian: apt "
                    "install build-essential; Fedora: dnf install gcc gcc-c++; macOS: xcode-select "
                    f"--install), or name another in the environment: {variable}=clang"
                )
        return None

    def _write_stub(self, library: str) -> None:
        stub = _stub_path(library)
        log.info("writing the stub %s of %s", stub, os.path.basename(library))
        if not getattr(self, "dry_run", False):
            write_stub(library)

    def copy_extensions_to_source(self) -> None:
        super().copy_extensions_to_source()
        for ext in self.extensions:
            if not self._has_stub(ext):
                continue
            built, inplace = self._built_and_inplace(ext)
            stub = _stub_path(inplace)
            # An optional extension may have failed to build.
            if os.path.exists(_stub_path(built)) and not getattr(self, "dry_run", False):
                log.info("copying %s -> %s", _stub_path(built), stub)
                shutil.copyfile(_stub_path(built), stub)
            shadow = stub[: -len(".py")] + str(sysconfig.get_config_var("EXT_SUFFIX"))
            if os.path.exists(shadow):
                self.warn(
                    f"import {ext.name} finds {shadow}, which an earlier build for the CPython ABI "
                    f"left there, and not {stub}; remove it to import what was built now"
                )

    # What other commands ask for.

    def get_source_files(self) -> list[str]:
        """Those of the project: helper sources do not belong into its source distribution."""
        helpers = {
            source
            for ext in self._hpy_by_name.values()
            for source in getattr(ext, "hpy_helper_sources", ())
        }
        return [path for path in super().get_source_files() if path not in helpers]

    def get_outputs(self) -> list[str]:
        # In-place, the older versions answer with the files in the source tree and the newer ones
        # with those they are copied from: a stub stands beside its library, wherever that is said
        # to be.
        outputs = list(super().get_outputs())
        for ext in self.extensions:
            if self._has_stub(ext):
                for library in (*self._built_and_inplace(ext), self.get_ext_fullpath(ext.name)):
                    stub = _stub_path(library)
                    if library in outputs and stub not in outputs:
                        outputs.append(stub)
        return outputs

    def get_output_mapping(self) -> dict[str, str]:
        """Built file to file in the source tree; asked for by editable installations."""
        mapping = dict(super().get_output_mapping())
        for ext in self.extensions:
            if self._has_stub(ext):
                built, inplace = self._built_and_inplace(ext)
                if built in mapping:
                    mapping[_stub_path(built)] = _stub_path(inplace)
        return dict(sorted(mapping.items()))

    # Small questions.

    def _is_hpy(self, ext: Extension) -> bool:
        return any(ext is other for other in self._hpy_by_name.values())

    def _has_stub(self, ext: Extension) -> bool:
        return self._is_hpy(ext) and self._abi(ext) != "cpython"

    @staticmethod
    def _abi(ext: Extension) -> str:
        return ext.hpy_abi

    def _package_dir(self, fullname: str) -> str:
        build_py: Any = self.get_finalized_command("build_py")
        return str(build_py.get_package_dir(fullname.rpartition(".")[0]))

    def _built_and_inplace(self, ext: Extension) -> tuple[str, str]:
        """Paths of the library in the build folder and in the source tree."""
        fullname = self.get_ext_fullname(ext.name)
        filename = self.get_ext_filename(fullname)
        inplace = os.path.join(self._package_dir(fullname), os.path.basename(filename))
        return os.path.join(self.build_lib, filename), inplace


def _stub_path(library: str) -> str:
    folder, name = os.path.split(library)
    return os.path.join(folder, name.partition(".")[0] + ".py")


class BdistWheelMixin(BdistWheel):
    """A wheel of universal extensions is for every Python: `py3-none-PLATFORM`."""

    def get_tag(self) -> tuple[str, str, str]:
        python, abi, platform = super().get_tag()
        dist = self.distribution
        hpy = _hpy_ext_modules(dist)
        universal = abi_of(dist) == "universal" and all(
            any(ext is other for other in hpy) for ext in dist.ext_modules or ()
        )
        if not universal or self.root_is_pure:
            return python, abi, platform
        # py3 unless the project asked for another one (python_tag in setup.cfg, --python-tag).
        chosen = "bdist_wheel" in dist.command_options and (
            "python_tag" in dist.command_options["bdist_wheel"]
        )
        return (self.python_tag if chosen else "py3"), "none", platform


class BdistEggMixin(BdistEgg):
    """Leaves libraries with a stub alone, which bdist_egg would take for modules of CPython."""

    def get_ext_outputs(self) -> tuple[list[str], list[str]]:
        all_outputs, ext_outputs = super().get_ext_outputs()
        build_ext: Any = self.get_finalized_command("build_ext")
        ours = {
            build_ext.get_ext_filename(build_ext.get_ext_fullname(ext.name))
            for ext in build_ext.extensions
            if build_ext._has_stub(ext)
        }
        return all_outputs, [path for path in ext_outputs if path not in ours]
