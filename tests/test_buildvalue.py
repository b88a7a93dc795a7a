"""HPy_BuildValue (promises BV-01 to BV-11)."""

import ctypes
from types import ModuleType
from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import varargs

pytestmark = pytest.mark.skipif(not varargs.SUPPORTED, reason="see support/varargs.py")

Load = Callable[..., ModuleType]

C_TYPES: dict[str, Any] = {
    "i": ctypes.c_int,
    "l": ctypes.c_long,
    "L": ctypes.c_longlong,
    "n": ctypes.c_ssize_t,
    "I": ctypes.c_uint,
    "k": ctypes.c_ulong,
    "K": ctypes.c_ulonglong,
}


@pytest.fixture
def mod(hpy_module: Load) -> ModuleType:
    return hpy_module(varargs.SOURCE)


def message(mod: ModuleType, fmt: bytes, *args: object) -> str:
    with pytest.raises(SystemError) as caught:
        mod.build(fmt, *args)
    # As pytest cuts the repr of a long exception, the asserted part must come first.
    assert '"' not in str(caught.value)
    assert len(repr(caught.value)) < 240
    return str(caught.value)


def test_empty_one_and_many(mod: ModuleType) -> None:
    """BV-02."""
    assert mod.build(b"") is None
    assert mod.build(b"i", 7) == 7
    assert mod.build(b"ii", 7, 8) == (7, 8)
    assert mod.build(b"i,i", 7, 8) == (7, 8)
    assert mod.build(b"(ii)", 7, 8) == (7, 8)
    assert mod.build(b"(i,i)", 7, 8) == (7, 8)
    assert mod.build(b"(i)", 7) == (7,)
    assert mod.build(b"()") == ()
    assert mod.build(b"(i),i", 7, 8) == ((7,), 8)


@pytest.mark.parametrize("unit", C_TYPES)
def test_integers(mod: ModuleType, unit: str) -> None:
    """BV-03: the limits of each type, alone and behind others."""
    c_type = C_TYPES[unit]
    bits = 8 * ctypes.sizeof(c_type)
    signed = c_type(-1).value == -1
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    for value in (least, least + 1, 0, 1, most - 1, most):
        assert mod.build(unit.encode(), value) == value
        assert mod.build(f"L[{unit}]K".encode(), 1, value, 2) == (1, [value], 2)


@pytest.mark.parametrize("unit", [b"f", b"d"])
def test_floats(mod: ModuleType, unit: bytes) -> None:
    """BV-03."""
    for value in (0.0, -0.0, 0.25, -1e300, float("inf")):
        result = mod.build(unit, value)
        assert type(result) is float
        assert result == value
    assert mod.build(b"(" + unit * 3 + b")", 1.0, 2.0, 3.0) == (1.0, 2.0, 3.0)


def test_strings(mod: ModuleType) -> None:
    assert mod.build(b"s", b"hello") == "hello"
    assert mod.build(b"s", b"") == ""
    assert mod.build(b"s", "h\u20acl\U0001f600".encode()) == "h\u20acl\U0001f600"
    with pytest.raises(UnicodeDecodeError):
        mod.build(b"(is)", 1, b"\xff")


def test_null_string_is_none(mod: ModuleType) -> None:
    """BV-01: as Py_BuildValue does; 0.9 crashes."""
    assert mod.build(b"s", None) is None
    assert mod.build(b"(si)", None, 1) == (None, 1)


def test_collections(mod: ModuleType) -> None:
    """BV-04, BV-05, BV-06."""
    assert mod.build(b"[ii]", 1, 2) == [1, 2]
    assert mod.build(b"[i,i]", 1, 2) == [1, 2]
    assert mod.build(b"[]") == []
    assert mod.build(b"{}") == {}
    assert mod.build(b"(([[]{}])())") == (([[], {}],), ())
    assert mod.build(b"[(is)((f)[kk])i]", 1, b"a", 0.5, 2, 3, 4) == [(1, "a"), ((0.5,), [2, 3]), 4]
    assert mod.build(b"{s:i, s:f}", b"a", 1, b"b", 0.5) == {"a": 1, "b": 0.5}
    assert mod.build(b"{s:i,s:i}", b"a", 1, b"b", 2) == {"a": 1, "b": 2}
    assert mod.build(b"{s:(i,i), s:f}", b"a", 1, 2, b"b", 0.5) == {"a": (1, 2), "b": 0.5}
    assert mod.build(b"[{s:(i,i), s:f},i]", b"a", 1, 2, b"b", 0.5, 3) == [
        {"a": (1, 2), "b": 0.5},
        3,
    ]
    assert mod.build(b"{(ii):{i:[]}}", 1, 2, 3) == {(1, 2): {3: []}}


def test_commas_and_spaces(mod: ModuleType) -> None:
    assert mod.build(b"i,", 1) == 1
    assert mod.build(b"(i,)", 1) == (1,)
    assert mod.build(b"[i,i,]", 1, 2) == [1, 2]
    for fmt in (b"{i:i,i:i,}", b"{i:i, i:i, }", b"{i:i , i:i}", b"{i:i,  i:i }"):
        assert mod.build(fmt, 1, 2, 3, 4) == {1: 2, 3: 4}


def test_many_items(mod: ModuleType) -> None:
    for opening, closing, kind in ((b"", b"", tuple), (b"(", b")", tuple), (b"[", b"]", list)):
        for n in range(2, 15):
            assert mod.build(opening + b"n" * n + closing, *range(n)) == kind(range(n))


def test_handles(mod: ModuleType) -> None:
    """BV-07, BV-08: the same object, a new handle (debug mode would find one too few or many)."""
    value = object()
    for unit in (b"O", b"S"):
        assert mod.build(unit, [value]) is value
        assert mod.build(b"(" + unit + b")", [value])[0] is value
        assert mod.build(b"{" + unit + b":[" + unit * 2 + b"]}", [1], [value], [value]) == {
            1: [value, value]
        }


def test_null_handle(mod: ModuleType) -> None:
    """BV-09."""
    for fmt in (b"O", b"S", b"(O)", b"[iO]", b"{O:i}", b"{i:O}", b"iiO"):
        args = [1] * fmt.count(b"i", 0, max(fmt.find(b"O"), fmt.find(b"S")))
        assert "HPy_NULL object passed to HPy_BuildValue" in message(mod, fmt, *args, None)
        with pytest.raises(ValueError, match="the cause"):
            mod.build_after_error(fmt, *args, None)


def test_unhashable_key(mod: ModuleType) -> None:
    """BV-06."""
    with pytest.raises(TypeError, match="unhashable"):
        mod.build(b"(i{[]:i})", 1, 2)


IN_FORMAT = " in the format string passed to HPy_BuildValue"


@pytest.mark.parametrize(
    ("fmt", "text"),
    [
        # asserted by the tests of 0.9
        (b"(q)", "bad format char 'q'"),
        (b"(i", "unmatched '('"),
        (b"[i", "unmatched '['"),
        (b"([(i)k", "unmatched '('"),
        (b"(i]", "unmatched '('"),
        (b"[i)", "unmatched '['"),
        (b"{i:i", "unmatched '{'"),
        (b"{i:i,,}", "unexpected ','"),
        (b"{i:ii,}", "missing ','"),
        (b"{i}", "missing ':'"),
        # more of the same
        (b"q", "bad format char 'q'"),
        (b" ", "bad format char ' '"),
        (b"i i", "bad format char ' '"),
        (b",", "bad format char ','"),
        (b"i,,i", "bad format char ','"),
        (b"(,i)", "bad format char ','"),
        (b":", "bad format char ':'"),
        (b"\x01", "bad format char '\\x01'"),
        (b"\xff", "bad format char '\\xff'"),
        ("\u20ac".encode(), "bad format char '\\xe2'"),
        (b"(", "unmatched '('"),
        (b"{", "unmatched '{'"),
        (b"{i", "missing ':'"),
        (b"{i:", "unmatched '{'"),
        (b"{i:i,", "unmatched '{'"),
        (b"{i:i)", "unmatched '{'"),
        (b"{)", "unmatched '{'"),
        (b"[{i:i]", "unmatched '{'"),
        (b"{i:}", "bad format char '}'"),
        (b"{,}", "unexpected ','"),
        (b"{ i:i}", "bad format char ' '"),
        (b"{i: i}", "bad format char ' '"),
        (b"{i :i}", "missing ':'"),
        (b"{i:i i:i}", "missing ','"),
    ],
)
def test_bad_formats(mod: ModuleType, fmt: bytes, text: str) -> None:
    """BV-10."""
    assert message(mod, fmt).startswith(text + IN_FORMAT)


@pytest.mark.parametrize("fmt", [b")", b"]", b"}", b"i)", b"(i))", b"i,]"])
def test_a_closing_character_too_many(mod: ModuleType, fmt: bytes) -> None:
    assert message(mod, fmt).startswith("internal error in HPy_BuildValue")


def test_n_is_refused(mod: ModuleType) -> None:
    for fmt in (b"N", b"(iN)", b"{N:i}"):
        text = message(mod, fmt, 1, None)
        assert text.startswith("HPy_BuildValue does not support the 'N' formatting unit.")


def test_absurd_nesting(mod: ModuleType) -> None:
    """The C stack is not used up."""
    result = mod.build(b"[" * 200 + b"]" * 200)
    for _ in range(199):
        (result,) = result
    assert result == []
    for opening in (b"(", b"[", b"{"):
        assert "too many nested collections" in message(mod, opening * 1_000_000)


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    fmt=st.text("ilLnIkKfdsOSN()[]{}:,  q\u20ac", max_size=8)
    | st.sampled_from(["{i:i", "(", "[", "{s:", "[{i:(i", "i,"]).flatmap(
        lambda s: st.text("i)]},:", max_size=3).map(lambda t: s + t)
    ),
    handles=st.booleans(),
)
def test_any_format(mod: ModuleType, fmt: str, handles: bool) -> None:
    """BV-10: a value, or null and an exception; never a crash or a leak."""
    args: list[object] = []
    for unit in fmt:
        if unit in "fd":
            args.append(0.5)
        elif unit in "OS":
            args.append([fmt] if handles else None)
        elif unit in "s":
            args.append(b"text")
        elif unit in "ilLnIkK":
            args.append(1)
    try:
        result = mod.build(fmt.encode(), *args)
    except SystemError:
        return
    except TypeError as e:
        if "unhashable" in str(e):
            return
        raise
    units = [c for c in fmt if c.isalpha()]
    if not set(fmt) & set("()[]{}"):
        if len(units) == 1:
            result = (result,)
        assert len(result or ()) == len(units)
    assert str(result).count("text") == units.count("s")
