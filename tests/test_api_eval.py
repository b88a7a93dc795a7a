"""Compiling, evaluating and importing."""

import builtins
import collections
import sys
import types
from typing import Any

import pytest

from support.api_source import NULL, module_source
from support.extension import ModuleFactory

EVALUATION = module_source(
    # compile(source, filename, kind)
    compile="return HPy_Compile_s(ctx, TEXT(0), TEXT(1), (HPy_SourceKind)SIZE(2));",
    eval="return HPy_EvalCode(ctx, args[0], args[1], MAYBE(2));",
    import_="return HPyImport_ImportModule(ctx, TEXT(0));",
)
EXPRESSION, FILE, SINGLE = range(3)


def test_compile_and_eval(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(EVALUATION)
    code = mod.compile(b"a + b", b"the file", EXPRESSION)
    assert isinstance(code, types.CodeType)
    assert code.co_filename == "the file"
    for scopes in ({"a": 1, "b": 2}, NULL), ({"a": 1, "b": 2}, {}), ({"a": 1}, {"b": 2}):
        assert mod.eval(code, *scopes) == 3
    assert mod.eval(code, {"a": 1, "b": 2}, {"b": 10}) == 11
    assert mod.eval(code, {"a": 1}, collections.ChainMap({"b": 5})) == 6
    text = mod.compile(b"'\xc3\xa4\xe2\x82\xac'", b"\xc3\xa4.py", EXPRESSION)
    assert mod.eval(text, {}, NULL) == "\xe4\u20ac"
    assert text.co_filename == "\xe4.py"
    scope: dict[str, Any] = {}
    code = mod.compile(b"x = 1\ndef f():\n    return x + 1\n", b"f.py", FILE)
    assert mod.eval(code, scope, NULL) is None
    assert (scope["x"], scope["f"]()) == (1, 2)
    local: dict[str, Any] = {}
    mod.eval(code, {}, local)
    assert local["x"] == 1
    assert scope["f"].__code__.co_filename == "f.py"


def test_single_statement(hpy_module: ModuleFactory, capsys: pytest.CaptureFixture[str]) -> None:
    mod = hpy_module(EVALUATION)
    assert mod.eval(mod.compile(b"6 * 7", b"<stdin>", SINGLE), {}, NULL) is None
    assert capsys.readouterr().out == "42\n"


def test_builtins_of_evaluated_code(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(EVALUATION)
    code = mod.compile(b"len('abc')", b"f.py", EXPRESSION)
    assert mod.eval(code, {"__builtins__": {"len": lambda o: "own"}}, NULL) == "own"
    if sys.version_info >= (3, 10):  # before that, code without them has none
        assert mod.eval(code, {}, NULL) == 3
    assert mod.eval(code, {"__builtins__": builtins}, NULL) == 3


def test_errors_of_compile(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(EVALUATION)
    for source, kind in [
        (b"a +", EXPRESSION),
        (b"x = 1", EXPRESSION),
        (b"", EXPRESSION),
        (b"def f(:", FILE),
        (b"return 1", FILE),
        (b"'\xff'", FILE),
    ]:
        with pytest.raises(SyntaxError):
            mod.compile(source, b"f.py", kind)
    with pytest.raises(SyntaxError) as caught:
        mod.compile(b"1\n2 3", b"dir/f.py", FILE)
    assert (caught.value.filename, caught.value.lineno) == ("dir/f.py", 2)
    with pytest.raises(IndentationError):
        mod.compile(b"  x = 1\n y = 2", b"f.py", FILE)
    for kind in 777, -1, 3:
        with pytest.raises(SystemError, match="invalid source kind"):
            mod.compile(b"1", b"f.py", kind)


def test_errors_of_eval(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(EVALUATION)
    code = mod.compile(b"a / b", b"f.py", EXPRESSION)
    with pytest.raises(NameError):
        mod.eval(code, {}, NULL)
    with pytest.raises(ZeroDivisionError):
        mod.eval(code, {"a": 1, "b": 0}, NULL)
    for arguments, text in [
        ((1, {}, NULL), "requires a code object, got 'int'"),
        ((code, 1, NULL), "requires globals to be a dict, got 'int'"),
        ((code, {}, 1), "requires locals to be a mapping or null handle, got 'int'"),
    ]:
        with pytest.raises(TypeError, match=text):
            mod.eval(*arguments)


def test_import(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(EVALUATION)
    assert mod.import_(b"sys") is sys
    assert mod.import_(b"os.path") is sys.modules["os.path"]
    assert mod.import_(b"collections.abc") is sys.modules["collections.abc"]
    for name in b"no_such_module", b"os.no_such_module", b"sys.path", b"n\xc3\xa4me":
        with pytest.raises(ImportError, match=name.decode()):
            mod.import_(name)
    with pytest.raises(ValueError, match="Empty module name"):
        mod.import_(b"")
    with pytest.raises(UnicodeDecodeError):
        mod.import_(b"\xff")


def test_import_that_fails(
    hpy_module: ModuleFactory, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mod = hpy_module(EVALUATION)
    (tmp_path / "failing_module.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        mod.import_(b"failing_module")
    assert "failing_module" not in sys.modules
