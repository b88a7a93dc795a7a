"""Context variables: HPyContextVar_New, _Get and _Set."""

import contextvars
from typing import Any

import pytest

from support.api_source import NULL, module_source
from support.extension import ModuleFactory

VARIABLES = module_source(
    new="return HPyContextVar_New(ctx, TEXT(0), MAYBE(1));",
    get="""
        HPy result = HPy_NULL;
        int32_t failed = HPyContextVar_Get(ctx, args[0], MAYBE(1), &result);
        expect(ctx, failed != 0);
        if (failed) {
            if (!HPy_IsNull(result)) HPy_FatalError(ctx, "an error, and a result");
            return HPy_NULL;
        }
        return HPy_IsNull(result) ? HPyUnicode_FromString(ctx, "nothing") : result;
    """,
    set="return HPyContextVar_Set(ctx, args[0], args[1]);",
)


def test_variables(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(VARIABLES)
    variable = mod.new(b"n\xc3\xa4me", NULL)
    assert isinstance(variable, contextvars.ContextVar)
    assert variable.name == "n\xe4me"
    assert mod.get(variable, NULL) == "nothing"
    assert mod.get(variable, "given") == "given"
    assert mod.get(variable, None) is None
    value = ["value"]
    token = mod.set(variable, value)
    assert token.var is variable
    assert token.old_value is contextvars.Token.MISSING
    assert mod.get(variable, NULL) is mod.get(variable, "given") is variable.get() is value
    second = mod.set(variable, None)
    assert second.old_value is value
    assert mod.get(variable, "given") is None
    variable.reset(second)
    variable.reset(token)
    assert mod.get(variable, NULL) == "nothing"


def test_default(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(VARIABLES)
    default = ["default"]
    variable = mod.new(b"name", default)
    assert mod.get(variable, NULL) is default
    assert mod.get(variable, "given") == "given"
    assert variable.get() is default


def test_contexts(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(VARIABLES)
    variable = mod.new(b"name", NULL)

    def inside() -> Any:
        mod.set(variable, "inside")
        return mod.get(variable, NULL)

    assert contextvars.copy_context().run(inside) == "inside"
    assert mod.get(variable, NULL) == "nothing"


def test_no_variables(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(VARIABLES)
    for thing in 1, None, "name", object(), contextvars.copy_context():
        with pytest.raises(TypeError, match="ContextVar was expected"):
            mod.get(thing, NULL)
        with pytest.raises(TypeError, match="ContextVar was expected"):
            mod.get(thing, "default")
        with pytest.raises(TypeError, match="ContextVar was expected"):
            mod.set(thing, 1)
    with pytest.raises(UnicodeDecodeError):
        mod.new(b"\xff", NULL)
