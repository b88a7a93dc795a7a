"""docs/api-reference.md says of the API what the tables and headers say, and has all of it."""

import re

from support import api_reference, tree


def test_up_to_date() -> None:
    said = api_reference.DOCUMENT.read_text("utf-8")
    made = api_reference.document()
    assert said == made, "run python tests/support/api_reference.py"


def test_every_public_name_is_there() -> None:
    """Those of the table, and those that only the headers define."""
    text = api_reference.DOCUMENT.read_text("utf-8")
    named = set(re.findall(r"\b_?HPy\w*", text))
    table = (tree.REPOSITORY / "abi" / "context.inc").read_text("utf-8")
    wanted = set(re.findall(r"\bctx_\w+,\s*(HPy\w+),", table))
    assert len(wanted) > 170
    for header in ("runtime.h", "builders.h", "inline_helpers.h", "universal/api.h"):
        source = (tree.REPOSITORY / "include" / "hpy" / header).read_text("utf-8")
        wanted |= set(re.findall(r"^HPyAPI_\w+ [\w *]*?\b(HPy\w+)\(", source, re.M))
    assert wanted <= named, wanted - named
    constants = set(re.findall(r"HPY_HANDLE\(\d+, (h_\w+)", table))
    assert constants == set(re.findall(r"`ctx->(h_\w+)`", text))
    slots = (tree.REPOSITORY / "abi" / "slots.inc").read_text("utf-8")
    assert set(re.findall(r"^HPY_SLOT\((\w+)", slots, re.M)) <= named


def test_what_a_row_says() -> None:
    functions = api_reference.functions()
    get = functions["HPy_GetItem_i"]
    assert get.signature == "HPy HPy_GetItem_i(HPyContext *ctx, HPy obj, HPy_ssize_t idx)"
    assert (get.fails, get.nullable) == ("HPy_NULL", ())
    assert functions["HPy_CallTupleDict"].nullable == ("args", "kw")
    assert functions["HPyErr_SetString"].signature.startswith("HPy HPyErr_SetString(")
    assert functions["HPyUnicode_AsUTF8AndSize"].fails == "NULL"
    assert functions["HPyModule_Create"].signature.endswith("(HPyContext *ctx, HPyModuleDef *def)")
    assert functions["HPyLong_FromLong"].cpython == "PyLong_FromLong"
