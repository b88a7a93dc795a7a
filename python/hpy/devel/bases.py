"""What we use of setuptools, said once for the type checker.

The annotations of setuptools differ between its versions, and there are none in the older ones. At
run time the classes here are `object`: the real bases come from the distribution that is built
(commands.fix_distribution). If an override of commands.py names a method that is not here, it
relies on something new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class Extension:
        name: str
        sources: list[str]
        include_dirs: list[str]
        define_macros: list[tuple[str, str | None]]
        undef_macros: list[str]
        extra_objects: list[str]
        extra_compile_args: list[str]
        export_symbols: list[str]
        depends: list[str]
        # Set by extension.prepare().
        hpy_abi: str
        hpy_helper_sources: list[str]

    class Distribution:
        cmdclass: dict[str, type[Any]]
        command_options: dict[str, dict[str, tuple[str, Any]]]
        ext_modules: list[Extension] | None
        ext_package: str | None
        global_options: list[tuple[str, str | None, str]]
        zip_safe: bool | None
        # Set by the keyword and the options of hpy.devel, or by who builds without setup().
        hpydevel: Any
        hpy_abi: str
        hpy_use_static_libs: bool
        hpy_ext_modules: list[Extension] | None

        def get_command_class(self, command: str) -> type[Any]: ...
        def parse_command_line(self) -> Any: ...

    class Command:
        distribution: Distribution

        def initialize_options(self) -> None: ...
        def finalize_options(self) -> None: ...
        def get_finalized_command(self, command: str) -> Any: ...
        def warn(self, msg: str) -> None: ...

    class Build(Command):
        build_lib: str
        build_platlib: str
        build_temp: str

    class BuildExt(Command):
        build_lib: str
        build_temp: str
        compiler: Any
        debug: bool
        extensions: list[Extension]
        force: bool
        inplace: bool
        package: str | None

        def build_extension(self, ext: Extension) -> None: ...
        def check_extensions_list(self, extensions: list[Extension]) -> None: ...
        def copy_extensions_to_source(self) -> None: ...
        def get_export_symbols(self, ext: Extension) -> list[str]: ...
        def get_ext_filename(self, fullname: str) -> str: ...
        def get_ext_fullname(self, ext_name: str) -> str: ...
        def get_ext_fullpath(self, ext_name: str) -> str: ...
        def get_output_mapping(self) -> dict[str, str]: ...
        def get_outputs(self) -> list[str]: ...
        def get_source_files(self) -> list[str]: ...

    class BdistEgg(Command):
        def get_ext_outputs(self) -> tuple[list[str], list[str]]: ...

    class BdistWheel(Command):
        python_tag: str
        root_is_pure: bool

        def get_tag(self) -> tuple[str, str, str]: ...

else:
    Build = BuildExt = BdistEgg = BdistWheel = object
