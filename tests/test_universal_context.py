"""The universal context: names and constants."""

import builtins
import datetime

import pytest

from support.extension import ModuleFactory

HPY_ABIS = ["universal", "cpython"]

CONSTANTS = """
    #include "hpy.h"

    HPyDef_METH(constants, "constants", HPyFunc_NOARGS)
    static HPy constants_impl(HPyContext *ctx, HPy self)
    {
        HPy dict = HPyDict_New(ctx);
        (void)self;
        if (HPy_IsNull(dict))
            return HPy_NULL;
    #define HPY_HANDLE(index, member, object)                       \\
        if (HPy_SetItem_s(ctx, dict, #member, ctx->member) < 0) {   \\
            HPy_Close(ctx, dict);                                   \\
            return HPy_NULL;                                        \\
        }
    #include "hpy/abi/context.inc"
        return dict;
    }

    HPyDef_METH(identity, "identity", HPyFunc_NOARGS)
    static HPy identity_impl(HPyContext *ctx, HPy self)
    {
        (void)self;
        return HPy_BuildValue(ctx, "si", ctx->name, (int)ctx->abi_version);
    }
"""

TYPES = {
    "BaseObjectType": object,
    "TypeType": type,
    "UnicodeType": str,
    "LongType": int,
    "MemoryViewType": memoryview,
    "CapsuleType": type(datetime.datetime_CAPI),  # type: ignore[attr-defined]
    "Builtins": builtins.__dict__,
}


def expected_constant(member: str) -> object:
    name = member[len("h_") :]
    if name in TYPES:
        return TYPES[name]
    if name.endswith("Type"):
        return getattr(builtins, name[: -len("Type")].lower())
    return getattr(builtins, name)


@pytest.mark.hpy_abis("universal", "cpython", "hybrid", "debug")
def test_constants(hpy_module: ModuleFactory) -> None:
    module = hpy_module(CONSTANTS)
    constants = module.constants()
    assert len(constants) == 84
    for member, value in constants.items():
        assert value is expected_constant(member), member


PREFIXES = {
    "universal": "HPy Universal ABI",
    "hybrid": "HPy Universal ABI",
    "debug": "HPy Debug Mode ABI",
    "cpython": "HPy CPython ABI",
}


@pytest.mark.hpy_abis(*PREFIXES)
def test_names(hpy_module: ModuleFactory, hpy_abi: str) -> None:
    name, version = hpy_module(CONSTANTS).identity()
    assert name.startswith(PREFIXES[hpy_abi])
    assert version == 0
    if hpy_abi == "cpython":
        assert name == PREFIXES["cpython"]
