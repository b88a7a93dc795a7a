"""hpy.universal: loading, the stub, the environment variables, and what goes wrong."""

import importlib
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hpy import universal
from support.child import PythonRunner
from support.extension import Extension, ModuleFactory

HPY_ABIS = ["universal"]

# context_name() tells the mode.
SOURCE = """
    #include "hpy.h"

    HPyDef_METH(context_name, "context_name", HPyFunc_NOARGS)
    static HPy context_name_impl(HPyContext *ctx, HPy self)
    {
        (void)self;
        return HPyUnicode_FromString(ctx, ctx->name);
    }

    HPyDef_METH(add_numbers, "add_numbers", HPyFunc_VARARGS)
    static HPy add_numbers_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
    {
        (void)self;
        (void)nargs;
        return HPy_Add(ctx, args[0], args[1]);
    }
"""

NAMES = {"universal": "HPy Universal ABI", "debug": "HPy Debug Mode ABI"}


def mode_of(module: ModuleType) -> str:
    name = module.context_name()
    return next(mode for mode, prefix in NAMES.items() if name.startswith(prefix))


@pytest.fixture
def extension(hpy_module: ModuleFactory) -> Extension:
    return hpy_module.build(SOURCE)


def symbols(hpy_module: ModuleFactory, text: str, name: str = "mytest") -> Extension:
    """A library that has what `text` says, and none of what HPy_MODINIT makes."""
    source = f"/* without HPy_MODINIT() */\n#include <stdint.h>\n#include <stddef.h>\n{text}"
    return hpy_module.build(source, name)


def version(major: int, minor: int, name: str = "mytest") -> str:
    return (
        f"uint32_t get_required_hpy_major_version_{name}(void) {{ return {major}; }}\n"
        f"uint32_t get_required_hpy_minor_version_{name}(void) {{ return {minor}; }}\n"
    )


def error_of(name: str, path: object, **keywords: Any) -> ImportError:
    with pytest.raises(ImportError) as caught:
        universal.load(name, path, **keywords)
    assert isinstance(caught.value, RuntimeError)
    assert type(caught.value) is universal.HPyImportError
    assert caught.value.name == name
    assert caught.value.path == path
    return caught.value


# --------------------------------------------------------------------------------------------------
# load()


@pytest.mark.promise("ABI-09")
def test_load(extension: Extension) -> None:
    path = str(extension.path)
    spec = ModuleSpec("mytest", None, origin=path)
    module = universal.load("mytest", path, spec)
    assert type(module) is ModuleType
    assert module.__name__ == "mytest"
    assert module.__doc__ == "made for a test"
    assert module.__spec__ is spec or not hasattr(module, "__file__")
    assert not hasattr(module, "__file__")
    assert "mytest" not in sys.modules
    assert module.add_numbers(1, 2) == 3
    assert mode_of(module) == "universal"


def test_load_without_spec(extension: Extension) -> None:
    module = universal.load("mytest", str(extension.path))
    assert module.__name__ == "mytest"
    assert module.add_numbers(1, 2) == 3
    named = universal.load(name="some.package.mytest", path=str(extension.path))
    assert named.__name__ == "some.package.mytest"
    assert named is not module


def test_the_spec_names_the_module(extension: Extension) -> None:
    path = str(extension.path)
    names = ["first", "second"]
    modules = [universal.load("mytest", path, ModuleSpec(name, None)) for name in names]
    assert [module.__name__ for module in modules] == names
    assert modules[0].add_numbers(1, 2) == modules[1].add_numbers(0, 3) == 3


@pytest.mark.promise("DBG-01")
@pytest.mark.parametrize(
    ("arguments", "keywords", "mode"),
    [
        ((), {}, "universal"),
        ((None,), {}, "universal"),
        ((), {"debug": True}, "debug"),
        ((True,), {}, "debug"),  # the older load(name, path, debug)
        ((False,), {}, "universal"),
        ((None, True), {}, "debug"),
        ((None, 1), {}, "debug"),
        ((None, []), {}, "universal"),
        ((None, False, 1), {}, "debug"),
        ((), {"mode": universal.MODE_DEBUG}, "debug"),
        ((), {"debug": True, "mode": universal.MODE_UNIVERSAL}, "universal"),
        ((), {"debug": True, "mode": -1}, "debug"),
        ((), {"debug": True, "mode": None}, "debug"),
        ((), {"mode": 77}, "universal"),
    ],
)
def test_modes(
    extension: Extension, arguments: tuple[Any, ...], keywords: dict[str, Any], mode: str
) -> None:
    module = universal.load("mytest", str(extension.path), *arguments, **keywords)
    assert mode_of(module) == mode


@pytest.mark.promise("DBG-27")
def test_load_ignores_the_environment(
    extension: Extension, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"HPY": "debug", "HPY_DEBUG": "1", "HPY_LOG": "1"}.items():
        monkeypatch.setenv(name, value)
    assert mode_of(universal.load("mytest", str(extension.path))) == "universal"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        ((), {}),
        (("mytest",), {}),
        ((1, "path"), {}),
        (("mytest", "path"), {"other": 1}),
        (("mytest", 1), {}),
        (("mytest", b"path"), {}),
        (("mytest", "path"), {"mode": "debug"}),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        universal.load(*arguments, **keywords)


def test_the_path_is_a_str_without_nul() -> None:
    with pytest.raises(TypeError, match="bad argument type for built-in operation"):
        universal.load("mytest", 1)
    with pytest.raises(ValueError, match="embedded null byte"):
        universal.load("mytest", "a\0b.hpy0.so")


def test_the_name_is_ascii(extension: Extension) -> None:
    with pytest.raises(UnicodeEncodeError):
        universal.load("m\xfcsli", str(extension.path))


def test_dashes_in_the_name(hpy_module: ModuleFactory) -> None:
    extension = hpy_module.build(SOURCE, "my_test")
    module = universal.load("package.my-test", str(extension.path))
    assert module.__name__ == "package.my-test"


def test_relative_path(extension: Extension, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(extension.folder)
    assert universal.load("mytest", extension.path.name).add_numbers(1, 2) == 3


def test_version() -> None:
    text, revision = universal.get_version()
    assert re.match(r"\d+\.\d+", text)
    assert isinstance(revision, str)


def test_names() -> None:
    modes = universal.MODE_UNIVERSAL, universal.MODE_DEBUG, universal.MODE_TRACE
    assert modes == (0, 1, 2)
    public = {name for name in dir(universal) if not name.startswith("_")}
    assert public == {
        *("load", "get_version", "MODE_UNIVERSAL", "MODE_DEBUG", "MODE_TRACE", "HPyImportError"),
    }
    with pytest.raises(AttributeError, match=r"'hpy\.universal' has no attribute 'set_debug'"):
        _ = universal.set_debug


def test_the_debug_module() -> None:
    assert universal._debug is universal._debug
    assert universal._debug.__name__ == "hpy.debug._debug"


def test_debug_mode_not_installed(extension: Extension, run_python: PythonRunner) -> None:
    done = run_python(
        """
        import sys
        sys.modules["hpy.debug._native"] = None
        from hpy import universal
        uses = [lambda: universal.load("mytest", sys.argv[1], debug=True), lambda: universal._debug]
        for use in uses:
            try:
                use()
            except ImportError as error:
                print(error)
                assert isinstance(error.__cause__, ImportError)
        print(universal.load("mytest", sys.argv[1]).add_numbers(1, 2))
        """,
        str(extension.path),
    )
    assert done.stderr == ""
    assert done.stdout.count("HPy's debug mode needs the module hpy.debug._native") == 2
    assert "pip install" in done.stdout
    assert "libunwind" in done.stdout
    assert done.stdout.endswith("\n3\n")


# --------------------------------------------------------------------------------------------------
# What is wrong with a file


def test_no_such_file(tmp_path: Path) -> None:
    path = str(tmp_path / "mytest.hpy0.so")
    text = str(error_of("mytest", path))
    assert text.startswith(
        f"Error during loading of the HPy extension module at path '{path}'. "
        f"Error message from dlopen/WinAPI: {path}: cannot open shared object file"
    )
    assert "\nIs the path right?" in text


def test_no_library(tmp_path: Path) -> None:
    path = tmp_path / "mytest.hpy0.so"
    path.write_text("no library")
    text = str(error_of("mytest", str(path)))
    assert f"at path '{path}'. Error message from dlopen/WinAPI: {path}: " in text
    assert "Is the path right?" not in text


def test_undefined_symbols_are_found_at_once(hpy_module: ModuleFactory) -> None:
    extension = symbols(
        hpy_module, version(0, 0) + "void nowhere(void);\nvoid f(void) { nowhere(); }"
    )
    assert "undefined symbol: nowhere" in str(error_of("mytest", str(extension.path)))


def no_version(path: Path, name: str = "mytest") -> str:
    return (
        f"Error during loading of the HPy extension module at path '{path}'. Cannot locate the "
        f"required minimal HPy versions as symbols 'get_required_hpy_minor_version_{name}' and "
        f"`get_required_hpy_major_version_{name}`. Error message from dlopen/WinAPI: "
        f"{path}: undefined symbol: get_required_hpy_"
    )


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("int nothing;", "no HPy module called 'mytest'"),
        ("void *HPyInit_mytest(void *ctx) { return ctx; }", "built with HPy 0.0.x"),
        ("void *PyInit_mytest(void) { return NULL; }", "--hpy-abi=universal"),
        (version(0, 0).splitlines()[1], "no HPy module called 'mytest'"),
    ],
)
def test_no_version(hpy_module: ModuleFactory, text: str, advice: str) -> None:
    extension = symbols(hpy_module, text)
    message, last_line = str(error_of("mytest", str(extension.path))).split("\n")
    assert message.startswith(no_version(extension.path))
    assert advice in last_line


def test_another_name(extension: Extension) -> None:
    message, last_line = str(error_of("other", str(extension.path))).split("\n")
    assert message.startswith(no_version(extension.path, "other"))
    assert last_line == "The file has a module called 'mytest', but 'other' was asked for."


@pytest.mark.parametrize("requested", [(999, 0), (1, 0), (0, 2), (0, 4294967295)])
def test_unsupported_version(hpy_module: ModuleFactory, requested: tuple[int, int]) -> None:
    error = error_of("mytest", str(symbols(hpy_module, version(*requested)).path))
    assert str(error) == (
        "HPy extension module 'mytest' requires unsupported version of the HPy runtime. "
        f"Requested version: {requested[0]}.{requested[1]}. Current HPy version: 0.0."
    )
    if sys.version_info >= (3, 11):
        assert "Rebuild" in error.__notes__[0]


def renamed(extension: Extension, name: str) -> Path:
    path = extension.folder / "renamed" / name
    path.parent.mkdir(parents=True)
    return Path(shutil.copy(extension.path, path))


@pytest.mark.promise("ABI-12")
@pytest.mark.parametrize("name", ["mytest.so", "mytest.hpyx.so", "folder.hpy0/mytest.so"])
def test_no_tag(extension: Extension, name: str) -> None:
    path = renamed(extension, name)
    assert str(error_of("mytest", str(path))) == (
        f"HPy extension module 'mytest' at path '{path}': could not find HPy ABI tag encoded in "
        "the filename. The extension claims to be compiled with HPy ABI version: 0.0."
    )


@pytest.mark.promise("ABI-12", "ABI-16")
@pytest.mark.parametrize("number", ["999", "1", "18446744073709551616"])
def test_wrong_tag(extension: Extension, number: str) -> None:
    path = renamed(extension, f"mytest.hpy{number}.so")
    found = min(int(number), 2**64 - 1)
    assert str(error_of("mytest", str(path))) == (
        f"HPy extension module 'mytest' at path '{path}': mismatch between the HPy ABI tag encoded "
        "in the filename and the major version requested by the HPy extension itself. Major "
        f"version tag parsed from filename: {found}. Requested version: 0.0."
    )


@pytest.mark.parametrize(
    "name",
    [
        "mytest.hpy.so",
        "mytest.hpy0.so",
        "mytest.hpy00.so",
        "mytest.hpy0abc.so",
        ".hpy9/mytest.hpy0.so",
    ],
)
def test_accepted_file_names(extension: Extension, name: str) -> None:
    assert universal.load("mytest", str(renamed(extension, name))).add_numbers(1, 2) == 3


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("", "HPyInitGlobalContext_mytest"),
        ("void HPyInitGlobalContext_mytest(void *ctx) { (void)ctx; }", "HPyInit_mytest"),
    ],
)
def test_missing_symbol(hpy_module: ModuleFactory, text: str, symbol: str) -> None:
    path = symbols(hpy_module, version(0, 0) + text).path
    assert str(error_of("mytest", str(path))) == (
        f"Error during loading of the HPy extension module at path '{path}' while trying to find "
        f"symbol '{symbol}'. Did you usethe HPy_MODINIT macro to register your module? Error "
        f"message from dlsym/WinAPI: {path}: undefined symbol: {symbol}"
    )


def test_init_returns_null(hpy_module: ModuleFactory) -> None:
    text = (
        "void HPyInitGlobalContext_mytest(void *ctx) { (void)ctx; }\n"
        "void *HPyInit_mytest(void) { return NULL; }"
    )
    path = symbols(hpy_module, version(0, 1) + text).path
    assert str(error_of("mytest", str(path))) == (
        f"Error during loading of the HPy extension module at path '{path}'. "
        "Function 'HPyInit_mytest' returned NULL."
    )


# --------------------------------------------------------------------------------------------------
# One library, one context


def test_loading_again_in_another_mode(extension: Extension) -> None:
    path = str(extension.path)
    first = universal.load("mytest", path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        universal.load("mytest", path)
    with pytest.warns(
        RuntimeWarning, match="was loaded in universal mode before and is now"
    ) as caught:
        second = universal.load("mytest", path, debug=True)
    assert caught[0].filename == __file__
    assert mode_of(first) == mode_of(second) == "debug"
    with pytest.warns(RuntimeWarning, match="was loaded in debug mode before"):
        universal.load("mytest", path)
    assert mode_of(first) == mode_of(second) == "universal"


def test_a_refused_warning_changes_nothing(extension: Extension) -> None:
    path = str(extension.path)
    first = universal.load("mytest", path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            universal.load("mytest", path, debug=True)
    assert mode_of(first) == "universal"


# --------------------------------------------------------------------------------------------------
# Import through the stub


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """imported(extension, **environment): the module of `import NAME`."""
    before = set(sys.modules)

    def import_module(extension: Extension, **environment: str) -> ModuleType:
        for name in "HPY", "HPY_DEBUG", "HPY_LOG":
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.syspath_prepend(str(extension.folder))
        importlib.invalidate_caches()
        return importlib.import_module(extension.name)

    yield import_module
    for name in set(sys.modules) - before:
        if name.startswith("mytest"):
            del sys.modules[name]


@pytest.mark.hpy_abis("cpython", "universal", "hybrid", "debug", "hybrid-debug")
def test_import(hpy_module: ModuleFactory, hpy_abi: str, imported: Any) -> None:
    extension = hpy_module.build(SOURCE)
    module = imported(extension, **extension.env)
    assert sys.path[0] == str(extension.folder)
    assert sys.modules["mytest"] is module
    assert type(module) is ModuleType
    assert module.__name__ == "mytest"
    assert module.__package__ == ""
    assert module.__doc__ == "made for a test"
    assert module.__loader__.name == "mytest"
    assert module.__spec__.loader is module.__loader__
    assert module.__spec__.name == "mytest"
    assert module.__file__ == module.__spec__.origin == str(extension.path)
    assert repr(module) == f"<module 'mytest' from '{extension.path}'>"
    assert module.add_numbers(1, 2) == 3
    if hpy_abi != "cpython":
        assert mode_of(module) == ("debug" if "debug" in hpy_abi else "universal")


def test_load_and_import(extension: Extension, imported: Any) -> None:
    loaded = universal.load("mytest", str(extension.path))
    module = imported(extension)
    assert module is not loaded
    assert loaded.add_numbers(1, 2) == module.add_numbers(1, 2) == 3


def bootstrap(
    extension: Extension, environment: Mapping[str, Any], full_name: str = "mytest"
) -> ModuleType:
    spec = ModuleSpec(full_name, None)
    loaded: ModuleType = universal._load_bootstrap(
        "mytest", full_name, "", str(extension.path), None, spec, environment
    )
    return loaded


@pytest.mark.promise("DBG-02", "DBG-22", "DBG-23")
@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({}, "universal"),
        ({"HPY": "debug"}, "debug"),
        ({"HPY": "DEBUG"}, "debug"),
        ({"HPY": "Universal"}, "universal"),
        ({"HPY": "mytest:debug"}, "debug"),
        ({"HPY": "package.mytest:debug"}, "debug"),
        ({"HPY": "package:debug"}, "universal"),
        ({"HPY": "other.mytest:debug"}, "universal"),
        ({"HPY": "other:debug"}, "universal"),
        ({"HPY": "other:trace,mytest:debug"}, "debug"),
        ({"HPY": "mytest:debug,mytest:universal"}, "debug"),
        ({"HPY": "mytest:universal,package.mytest:debug"}, "universal"),
        ({"HPY": "other:nonsense,mytest:debug"}, "debug"),
        ({"HPY": " mytest : debug , "}, "debug"),
        ({"HPY": "my:debug"}, "universal"),  # names match exactly, not by their beginning
        ({"HPY": "mytests:debug"}, "universal"),
        ({"HPY": ":debug"}, "universal"),
        ({"HPY": ""}, "universal"),
        ({"HPY": "0"}, "universal"),
        ({"HPY_DEBUG": "1"}, "debug"),
        ({"HPY_DEBUG": ""}, "universal"),
        ({"HPY_DEBUG": "0"}, "universal"),
        ({"HPY_DEBUG": "mytest"}, "debug"),
        ({"HPY_DEBUG": "a,package.mytest"}, "debug"),
        ({"HPY_DEBUG": "a,b.c"}, "universal"),
        ({"HPY_DEBUG": "other.mytest"}, "universal"),
        ({"HPY_DEBUG": "1", "HPY": "universal"}, "universal"),
        ({"HPY_DEBUG": "1", "HPY": "other:debug"}, "universal"),
        ({"HPY_DEBUG": "1", "HPY": ""}, "debug"),
    ],
)
def test_environment(extension: Extension, environment: dict[str, str], mode: str) -> None:
    assert mode_of(bootstrap(extension, environment, "package.mytest")) == mode


@pytest.mark.parametrize(
    "value", ["nonsense", "d", "1", "de bug", "mytest:", "mytest:d", "other,mytest:debug", "x" * 99]
)
def test_invalid_mode(extension: Extension, value: str) -> None:
    with pytest.raises(ValueError, match=r"^invalid HPy mode: ") as caught:
        bootstrap(extension, {"HPY": value})
    assert str(caught.value).split("\n")[0] == f"invalid HPy mode: {value[:50]}"


def test_the_environment_is_any_mapping(extension: Extension) -> None:
    class Raises(dict[str, str]):
        def __getitem__(self, name: str) -> str:
            raise OverflowError(name)

    with pytest.raises(OverflowError, match="HPY"):
        bootstrap(extension, Raises())
    with pytest.raises(TypeError, match="HPY must be a str"):
        bootstrap(extension, {"HPY": 1})


@pytest.mark.promise("DBG-24")
@pytest.mark.parametrize("value", ["1", "0", ""])
def test_log(extension: Extension, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap(extension, {"HPY_LOG": value}, "package.mytest")
    assert capsys.readouterr().out == "Loading 'mytest' in HPy universal mode\n"
    with pytest.warns(RuntimeWarning):
        bootstrap(extension, {"HPY_LOG": value, "HPY": "debug"})
    out = capsys.readouterr().out
    assert out == "Loading 'mytest' in HPy universal mode with a debug context\n"


def test_bootstrap_needs_everything(extension: Extension) -> None:
    with pytest.raises(TypeError):
        universal._load_bootstrap("mytest", "mytest", "", str(extension.path), None, None)


def test_a_module_object_that_refuses_attributes(hpy_module: ModuleFactory) -> None:
    extension = hpy_module.build("""
        #include "hpy.h"
        HPyDef_SLOT(create, HPy_mod_create)
        static HPy create_impl(HPyContext *ctx, HPy spec)
        {
            (void)spec;
            return HPyLong_FromLong(ctx, 42);
        }
        static HPyDef *defines[] = {&create, NULL};
        static HPyModuleDef def = {.defines = defines};
        HPy_MODINIT(mytest, def)
    """)
    assert bootstrap(extension, {}) == 42


def test_os_environ_reaches_the_stub(extension: Extension, imported: Any) -> None:
    assert mode_of(imported(extension, HPY_DEBUG="mytest")) == "debug"
    assert os.environ["HPY_DEBUG"] == "mytest"
