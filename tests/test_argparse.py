"""HPyArg_Parse, HPyArg_ParseKeywords and HPyArg_ParseKeywordsDict (promises ARG-01 to ARG-32).

One C module hands any format and any arguments to the three functions. It passes eight variables
of the largest size, filled with a pattern, and gives back what the format says they hold; a
variable that still has the pattern comes back as Ellipsis.
"""

import ctypes
import struct
import sys
from types import ModuleType
from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.argparse_source import SOURCE

Load = Callable[..., ModuleType]


CHAR, SHORT, INT, LONG, LLONG, SSIZE = (
    8 * ctypes.sizeof(t)
    for t in (
        ctypes.c_char,
        ctypes.c_short,
        ctypes.c_int,
        ctypes.c_long,
        ctypes.c_longlong,
        ctypes.c_ssize_t,
    )
)
SIGNED = {"h": SHORT, "i": INT, "l": LONG, "L": LLONG, "n": SSIZE}
MASKED = {"B": CHAR, "H": SHORT, "I": INT, "k": LONG, "K": LLONG}
OVERFLOW = {
    "b": "function unsigned byte integer is {} than {}",
    "h": "function signed short integer is {} than {}",
    "i": "function signed integer is {} than {}",
}


class Index:
    """Not an int, but usable as one."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Truth:
    def __init__(self, value: object) -> None:
        self.value = value

    def __bool__(self) -> bool:
        if isinstance(self.value, Exception):
            raise self.value
        return bool(self.value)


class Name(str):
    """A subclass of str as the name of a keyword."""


@pytest.fixture
def mod(hpy_module: Load) -> ModuleType:
    return hpy_module(SOURCE)


def message(exc: type[Exception], function: Callable[..., Any], *args: Any, **kw: Any) -> str:
    with pytest.raises(exc) as caught:
        function(*args, **kw)
    assert type(caught.value) is exc
    return str(caught.value)


# --- units, through HPyArg_Parse (ARG-01) ---


@pytest.mark.parametrize("unit", SIGNED)
def test_signed_limits(mod: ModuleType, unit: str) -> None:
    """ARG-08, ARG-10, ARG-12, ARG-14, ARG-16: every value of the C type, and no other."""
    least, most = -(2 ** (SIGNED[unit] - 1)), 2 ** (SIGNED[unit] - 1) - 1
    for value in (least, least + 1, -1, 0, 1, most - 1, most):
        assert mod.parse(unit, False, value) == [value]
    text = message(OverflowError, mod.parse, unit, False, most + 1)
    if unit in OVERFLOW:
        assert text == OVERFLOW[unit].format("greater", "maximum")
    text = message(OverflowError, mod.parse, unit, False, least - 1)
    if unit in OVERFLOW:
        assert text == OVERFLOW[unit].format("less", "minimum")
    message(OverflowError, mod.parse, unit, False, 2**200)


def test_unsigned_byte_limits(mod: ModuleType) -> None:
    """ARG-06."""
    for value in (0, 1, 255):
        assert mod.parse("b", False, value) == [value]
    assert (
        message(OverflowError, mod.parse, "b", False, 256)
        == "function unsigned byte integer is greater than maximum"
    )
    assert (
        message(OverflowError, mod.parse, "b", False, -1)
        == "function unsigned byte integer is less than minimum"
    )


@pytest.mark.parametrize("unit", MASKED)
def test_masked_values(mod: ModuleType, unit: str) -> None:
    """ARG-07, ARG-09, ARG-11, ARG-13, ARG-15: modulo the size of the C type."""
    size = 2 ** MASKED[unit]
    for value in (0, 1, size // 2, size - 1, size, size + 1, -1, -size, 2**200 + 5, -(2**200)):
        assert mod.parse(unit, False, value) == [value % size]


@pytest.mark.parametrize("unit", [*"bBhHiIlkLK"])
def test_index_is_used(mod: ModuleType, unit: str) -> None:
    assert mod.parse(unit, False, Index(7)) == [7]


def test_n_takes_ints_only(mod: ModuleType) -> None:
    """ARG-16."""
    message(TypeError, mod.parse, "n", False, Index(7))
    assert mod.parse("n", False, True) == [1]


# Before 3.10 CPython converts through __int__, with a DeprecationWarning.
NO_INTEGERS: list[object] = ["1", None, b"1"] + ([1.0] if sys.version_info >= (3, 10) else [])


@pytest.mark.parametrize("unit", [*"bBhHiIlkLKn"])
@pytest.mark.parametrize("value", NO_INTEGERS)
def test_wrong_type_for_an_integer(mod: ModuleType, unit: str, value: object) -> None:
    message(TypeError, mod.parse, unit, False, value)


@pytest.mark.parametrize("unit", ["f", "d"])
def test_floats(mod: ModuleType, unit: str) -> None:
    """ARG-17, ARG-18."""
    for value in (0.0, -1.0, 1.5, -2.25, 3, True, float("inf")):
        assert mod.parse(unit, False, value) == [value]
    pi = 3.141592653589793
    rounded: float = struct.unpack("f", struct.pack("f", pi))[0]
    assert mod.parse(unit, False, pi) == [rounded if unit == "f" else pi]
    message(TypeError, mod.parse, unit, False, "1.0")
    message(OverflowError, mod.parse, unit, False, 10**400)


@pytest.mark.parametrize("text", ["", "hello", "h\xe4l\u20acl\U0001f600"])
def test_str(mod: ModuleType, text: str) -> None:
    """ARG-19."""
    assert mod.parse("s", False, text) == [text]


def test_str_errors(mod: ModuleType) -> None:
    """ARG-19: the documentation promises a UnicodeError, not the SystemError of 0.9."""
    assert message(ValueError, mod.parse, "s", False, "a\0b") == "function embedded null character"
    for value in (b"bytes", 1, None):
        assert message(TypeError, mod.parse, "s", False, value) == "function a str is required"
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        mod.parse("s", False, "a\ud800b")


def test_str_stays_valid_as_long_as_the_argument(mod: ModuleType) -> None:
    """ARG-20: the module reads the pointers after the parser has returned."""
    assert mod.parse("sss", False, "a", "b", "a") == ["a", "b", "a"]
    assert mod.keywords("ss", False, ("x", "y"), "a", y="b") == ["a", "b"]
    assert mod.keywords_dict("ss", True, ("x", "y"), True, ("a",), {"y": "b"}) == ["a", "b"]


def test_truth(mod: ModuleType) -> None:
    """ARG-22: 0 or 1, also for objects that say more."""
    false: list[Any] = [[], "", 0, False, Truth(False)]
    for value in false:
        assert mod.parse("p", False, value) == [0]
    for value in ([0], "0", -1, True, 17, Truth(True)):
        assert mod.parse("p", False, value) == [1]
    assert message(KeyError, mod.parse, "p", False, Truth(KeyError("no"))) == "'no'"


def test_handle(mod: ModuleType) -> None:
    """ARG-21: the very object."""
    value = object()
    assert mod.parse("O", False, value)[0] is value
    assert mod.parse("O", True, value)[0] is value
    assert mod.keywords("O", True, ("a",), value)[0] is value
    assert mod.keywords("O", True, ("a",), a=value)[0] is value
    assert mod.keywords_dict("O", True, ("a",), True, (), {"a": value})[0] is value


def test_keywords_need_a_tracker_for_handles(mod: ModuleType) -> None:
    """ARG-21: also when the argument is missing."""
    wanted = (
        "HPyArg_ParseKeywords cannot use the format character 'O' unless an HPyTracker is "
        "provided. Please supply an HPyTracker."
    )
    assert message(SystemError, mod.keywords, "O", False, ("a",), 1) == "function " + wanted
    assert message(SystemError, mod.keywords, "|O:f", False, ("a",)) == "f() " + wanted


@pytest.mark.promise("ARG-32")
def test_str_of_a_dict_needs_a_tracker(mod: ModuleType) -> None:
    """ARG-20: its handle is made by the parser, and the pointer lives no longer than that."""
    assert mod.keywords_dict("s", False, ("a",), True, ("x",), None) == ["x"]
    text = message(SystemError, mod.keywords_dict, "s", False, ("a",), True, (), {"a": "x"})
    assert "'s' for a value of a keyword dictionary unless an HPyTracker is provided" in text


# --- HPyArg_Parse ---


def test_no_units(mod: ModuleType) -> None:
    assert mod.parse("", False) == []
    assert mod.parse(":name", False) == []
    assert mod.keywords("", False, ()) == []


def test_optional(mod: ModuleType) -> None:
    """ARG-23: the variable of a missing argument is left as it is, whatever its unit."""
    for unit in "bBhHiIlkLKnfdOps":
        assert mod.parse("|" + unit, False) == [...]
        assert mod.keywords("|" + unit, True, ("a",)) == [...]
        assert mod.keywords("$" + unit, True, ("a",)) == [...]
    assert mod.parse("i|ii", False, 1) == [1, ..., ...]
    assert mod.parse("i|ii", False, 1, 2) == [1, 2, ...]
    assert mod.parse("i|ii", False, 1, 2, 3) == [1, 2, 3]


def test_messages_have_the_name(mod: ModuleType) -> None:
    """ARG-25."""
    text = "required positional argument missing"
    assert message(TypeError, mod.parse, "OOO", False, 1, 2) == "function " + text
    assert message(TypeError, mod.parse, "OOO:my_func", False, 1, 2) == "my_func() " + text
    assert message(TypeError, mod.parse, "OOO:a;b", False, 1, 2) == "a;b() " + text
    assert message(TypeError, mod.parse, "O:", False) == "() " + text


def test_own_message(mod: ModuleType) -> None:
    """ARG-26: of : and ; the first one counts."""
    text = message(TypeError, mod.parse, "OOO;my-error-message", False, 1, 2)
    assert text == "my-error-message"
    assert message(TypeError, mod.parse, "O;a:b", False) == "a:b"
    text = message(TypeError, mod.keywords, "OOO;my-error-message", True, ("a", "b"), 1, 2)
    assert text == "my-error-message"
    assert message(TypeError, mod.keywords, "i;mine", True, ("a",), 1, z=1) == "mine"
    assert message(TypeError, mod.keywords, "i;mine", True, ("a",), 1, 2) == "mine"
    # What a conversion raises is not the parser's.
    assert message(OverflowError, mod.parse, "l;mine", False, 2**200) != "mine"


def test_long_names_are_cut(mod: ModuleType) -> None:
    text = "() required positional argument missing"
    assert message(TypeError, mod.parse, "O:" + "x" * 300, False) == "x" * 200 + text
    assert message(TypeError, mod.parse, "O:" + "x" * 200, False) == "x" * 200 + text
    assert message(TypeError, mod.parse, "O:" + "\u20ac" * 300, False) == "\u20ac" * 200 + text
    many = "\U0001f600"
    assert message(TypeError, mod.parse, "O:" + many * 300, False) == many * 200 + text


def test_unknown_units(mod: ModuleType) -> None:
    """ARG-05."""
    text = "unknown arg format code"
    assert message(SystemError, mod.parse, "ZZ:two_add", False, 1, 2) == "two_add() " + text
    assert message(SystemError, mod.parse, "O$O:two_add", False, 1, 2) == "two_add() " + text
    names = ("a", "b")
    assert message(SystemError, mod.keywords, "ZZ:two_add", True, names, 1, 2) == (
        "two_add() " + text
    )
    for unit in "QcCyYuUzZwWDxe()*#!& \t\x7f\x80\u20ac":
        assert message(SystemError, mod.parse, unit, False, 1) == "function " + text
        assert message(SystemError, mod.parse, "|" + unit, False) == "function " + text
        assert message(SystemError, mod.parse, unit, False) == "function " + text
        assert message(SystemError, mod.keywords, unit, True, names, 1) == "function " + text
        assert message(SystemError, mod.keywords, "|" + unit, True, names) == "function " + text


@pytest.mark.promise("ARG-01")
def test_number_of_positional_arguments(mod: ModuleType) -> None:
    fmt = "OO:two_add"
    text = "two_add() required positional argument missing"
    assert message(TypeError, mod.parse, fmt, False) == text
    assert message(TypeError, mod.parse, fmt, False, 1) == text
    text = "two_add() mismatched args (too many arguments for fmt)"
    assert message(TypeError, mod.parse, fmt, False, 1, 2, 3) == text
    assert message(TypeError, mod.parse, "|", False, 1) == (
        "function mismatched args (too many arguments for fmt)"
    )


def test_a_tracker_is_always_created(mod: ModuleType) -> None:
    """ARG-28, ARG-29: after success the module closes it, after failure the parser has."""
    assert mod.parse("ll", True, 1, 2) == [1, 2]
    message(TypeError, mod.parse, "ll", True, 1)
    message(TypeError, mod.keywords, "OOl", True, ("a", "b", "c"), 1, 2, c="no int")
    message(TypeError, mod.keywords_dict, "OOl", True, ("a", "b", "c"), True, (1,), {"b": 2})


# --- keywords (ARG-02) ---


@pytest.mark.promise("ARG-02")
def test_keywords(mod: ModuleType) -> None:
    names = ("a", "b", "c")
    assert mod.keywords("iii", False, names, 1, 2, 3) == [1, 2, 3]
    assert mod.keywords("iii", False, names, 1, 2, c=3) == [1, 2, 3]
    assert mod.keywords("iii", False, names, c=3, a=1, b=2) == [1, 2, 3]
    assert mod.keywords("i|ii", False, names, 1, c=3) == [1, ..., 3]


@pytest.mark.promise("ARG-02")
@pytest.mark.parametrize("dict_function", [True, False])
def test_keywords_of_a_dict(mod: ModuleType, dict_function: bool) -> None:
    """The older spelling of HPyArg_ParseKeywords gets a dict."""
    names = ("a", "b", "c")

    def parse(fmt: str, args: tuple[object, ...], kw: object, tracker: bool = False) -> object:
        return mod.keywords_dict(fmt, tracker, names[: len(fmt)], dict_function, args, kw)

    assert parse("iii", (1, 2, 3), None) == [1, 2, 3]
    assert parse("iii", (1, 2, 3), {}) == [1, 2, 3]
    assert parse("iii", (1, 2), {"c": 3}) == [1, 2, 3]
    assert parse("iii", (), {"c": 3, "b": 2, "a": 1}) == [1, 2, 3]
    assert parse("sOO", (), {"c": 3, "b": 2, "a": "x"}, True) == ["x", 2, 3]
    assert "no value for required argument" in message(TypeError, parse, "iii", (1,), {"c": 3})
    assert "unexpected keyword argument 'z'" in message(TypeError, parse, "i", (1,), {"z": 3})
    assert "multiple values" in message(TypeError, parse, "ii", (1, 2), {"a": 3})
    assert "keywords must be strings" in message(TypeError, parse, "i", (1,), {1: 3})
    for kw in (1, "ab", [("a", 1)]):
        assert "keyword arguments must be" in message(TypeError, parse, "i", (), kw)


def test_names_tuple_is_not_for_the_dict_function(mod: ModuleType) -> None:
    args = ("i", False, ("a",), True, (), ("a",))
    assert "must be a dict or HPy_NULL" in message(TypeError, mod.keywords_dict, *args)


def test_negative_number_of_arguments(mod: ModuleType) -> None:
    assert "negative number" in message(SystemError, mod.negative_nargs)


def test_names_may_be_subclasses_of_str(mod: ModuleType) -> None:
    kw: dict[str, object] = {Name("a"): 1, "b": 2}
    assert mod.keywords("ii", False, ("a", "b"), **kw) == [1, 2]
    assert mod.keywords_dict("ii", False, ("a", "b"), True, (), kw) == [1, 2]


def test_names_may_be_any_text(mod: ModuleType) -> None:
    kw = {"\u20ac": 1, "class": 2}
    assert mod.keywords("ii", False, ("\u20ac", "class"), **kw) == [1, 2]
    text = message(TypeError, mod.keywords, "i:f", False, ("a",), 1, **{"\u20ac": 1})
    assert text == "f() got an unexpected keyword argument '\u20ac'"


def test_positional_only(mod: ModuleType) -> None:
    """ARG-30."""
    assert mod.keywords("OO", True, ("", "b"), 1, b=2) == [1, 2]
    assert mod.keywords("OO", True, ("", ""), 1, 2) == [1, 2]
    text = message(TypeError, mod.keywords, "OO", True, ("", "b"), a=1, b=2)
    assert text == "function no value for required argument"
    # The empty name is no way to give it.
    text = message(TypeError, mod.keywords, "|i", True, ("",), **{"": 1})
    assert text == "function got an unexpected keyword argument ''"


def test_empty_names_come_first(mod: ModuleType) -> None:
    """ARG-30."""
    for args in ((1, 2, 3), ()):
        text = message(SystemError, mod.keywords, "OOO", True, ("", "b", ""), *args)
        assert text == "function empty keyword parameter name"


def test_keyword_only(mod: ModuleType) -> None:
    """ARG-24."""
    for fmt in ("O$O", "O|$O"):
        assert mod.keywords(fmt, True, ("a", "b"), 1, b=2) == [1, 2]
        assert mod.keywords(fmt, True, ("a", "b"), b=2, a=1) == [1, 2]
        assert mod.keywords(fmt, True, ("a", "b"), 1) == [1, ...]
        text = message(TypeError, mod.keywords, fmt, True, ("a", "b"), 1, 2)
        assert text == "function keyword only argument passed as positional argument"


def test_marks_in_the_wrong_place(mod: ModuleType) -> None:
    """ARG-24: as PyArg_ParseTupleAndKeywords refuses them."""
    names = ("a", "b", "c")
    for fmt, what in {
        "O$O|O": "($ before |)",
        "O|O|O": "(| specified twice)",
        "O|O$O$": "($ specified twice)",
    }.items():
        text = message(SystemError, mod.keywords, fmt, True, names, 1, b=2, c=3)
        assert text == f"function invalid format string {what}"


def test_required_keyword_missing(mod: ModuleType) -> None:
    text = "add_two() no value for required argument"
    assert message(TypeError, mod.keywords, "OO:add_two", True, ("a", "b"), 1) == text
    assert message(TypeError, mod.keywords, "OO:add_two", True, ("a", "b"), b=1) == text


def test_names_must_match_the_format(mod: ModuleType) -> None:
    """ARG-31."""
    names = ("a", "b")
    text = "add_two() mismatched args (too few keywords for fmt)"
    assert message(TypeError, mod.keywords, "OOO:add_two", True, names, 1, 2, 3) == text
    assert message(TypeError, mod.keywords, "OOO:add_two", True, names, 1, 2) == text
    text = "add_two() mismatched args (too many keywords for fmt)"
    assert message(TypeError, mod.keywords, "O:add_two", True, names, 1, 2) == text
    assert message(TypeError, mod.keywords, "O:add_two", True, names, 1) == text


def test_too_many_positional_arguments(mod: ModuleType) -> None:
    """ARG-03: 0.9 ignores them."""
    text = message(TypeError, mod.keywords, "ii:f", False, ("a", "b"), 1, 2, 3)
    assert text == "f() takes at most 2 positional arguments (3 given)"
    text = message(TypeError, mod.keywords, "|i", False, ("a",), 1, 2, 3)
    assert text == "function takes at most 1 positional argument (3 given)"
    text = message(TypeError, mod.keywords_dict, "", False, (), True, (1,), None)
    assert text == "function takes at most 0 positional arguments (1 given)"


def test_unknown_keyword(mod: ModuleType) -> None:
    """ARG-03: 0.9 ignores it."""
    text = message(TypeError, mod.keywords, "i|i:f", False, ("a", "b"), 1, b=2, z=3)
    assert text == "f() got an unexpected keyword argument 'z'"
    text = message(TypeError, mod.keywords, "i", False, ("a",), 1, z=3)
    assert text == "function got an unexpected keyword argument 'z'"


def test_value_given_twice(mod: ModuleType) -> None:
    """ARG-03: 0.9 takes the positional one."""
    text = message(TypeError, mod.keywords, "ii:f", False, ("a", "b"), 1, 2, a=3)
    assert text == "f() got multiple values for argument 'a'"


# --- any format, any arguments ---

UNITS = "bBhHiIlkLKnfdOps"
FORMATS = st.text(UNITS + "|$", max_size=7).map(lambda s: s[:8]) | st.text(
    UNITS + "|$:;Z( \u20ac", max_size=8
)
VALUES = (
    st.integers(-(2**70), 2**70)
    | st.integers(-300, 300)
    | st.floats()
    | st.text(max_size=3)
    | st.none()
    | st.binary(max_size=2)
    | st.sampled_from(["\ud800", "a\0", Index(5), Index(-(2**90))])
)
EXPECTED = (TypeError, SystemError, OverflowError, ValueError)
PROPERTY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@PROPERTY
@given(fmt=FORMATS, tracker=st.booleans(), args=st.lists(VALUES, max_size=8))
def test_any_positional(mod: ModuleType, fmt: str, tracker: bool, args: list[Any]) -> None:
    """ARG-27: 1 and the values, or 0 and an exception; never a crash or a leak."""
    try:
        values = mod.parse(fmt, tracker, *args)
    except EXPECTED:
        return
    assert len(args) <= len(values)
    for unit, arg, value in zip(fmt.replace("|", ""), args, values):
        if unit in "hilLn" and isinstance(arg, float):  # see NO_INTEGERS
            arg = int(arg)
        if unit in "OshilLn" and not isinstance(arg, Index):
            assert value is arg or value == arg
        if unit == "p":
            assert value == bool(arg)
    assert values[len(args) :] == [...] * (len(values) - len(args))


@PROPERTY
@given(
    fmt=FORMATS,
    tracker=st.booleans(),
    names=st.lists(st.sampled_from(["", "a", "b", "c", "d", "e"]), max_size=8),
    args=st.lists(VALUES, max_size=8),
    kw=st.dictionaries(st.sampled_from(["", *"abcdef"]), VALUES, max_size=5),
)
@example(fmt="s;", tracker=False, names=["a"], args=[], kw={"a": None})
def test_any_keywords(
    mod: ModuleType,
    fmt: str,
    tracker: bool,
    names: list[str],
    args: list[Any],
    kw: dict[str, Any],
) -> None:
    """ARG-27 for the keyword functions: tuple and dict agree, and nothing that is given is lost."""

    def outcome(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        try:
            return repr(function(fmt, tracker, tuple(names), *arguments, **keywords))
        except EXPECTED as e:
            return type(e), str(e)

    by_names = outcome(mod.keywords, *args, **kw)
    by_dict = outcome(mod.keywords_dict, True, tuple(args), kw)
    # A str or handle of a dict needs a tracker; the message of a format can hide that this is it.
    hidden = ";" in fmt and not tracker and by_dict[0] is SystemError
    if "for a value of a keyword dictionary" not in str(by_dict) and not hidden:
        assert by_names == by_dict
    assert outcome(mod.keywords_dict, False, tuple(args), kw) == by_dict
    if isinstance(by_names, str):
        units = len(fmt.split(":")[0].split(";")[0].replace("|", "").replace("$", ""))
        assert units == len(names)
        assert len(args) <= units
        assert set(kw) <= set(names[len(args) :]) - {""}


# --- the code of the documentation, in the older spelling ---

SEEDS = r"""
#include "hpy.h"

HPyDef_METH(add_ints, "add_ints", add_ints_impl, HPyFunc_VARARGS)
static HPy add_ints_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs)
{
    long a, b;
    if (!HPyArg_Parse(ctx, NULL, args, nargs, "ll", &a, &b))
        return HPy_NULL;
    return HPyLong_FromLong(ctx, a+b);
}

HPyDef_METH(tracked, "tracked", tracked_impl, HPyFunc_VARARGS)
static HPy tracked_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs)
{
    long a, b;
    HPyTracker ht;
    if (!HPyArg_Parse(ctx, &ht, args, nargs, "ll", &a, &b))
        return HPy_NULL;
    HPyTracker_Close(ctx, ht);
    return HPyLong_FromLong(ctx, a+b);
}

static const char *keywords[] = {"a", "b", NULL};

HPyDef_METH(add_kw, "add_kw", add_kw_impl, HPyFunc_KEYWORDS)
static HPy add_kw_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs, HPy kw)
{
    long a, b;
    if (!HPyArg_ParseKeywords(ctx, NULL, args, nargs, kw, "ll", keywords, &a, &b))
        return HPy_NULL;
    return HPyLong_FromLong(ctx, a+b);
}

HPyDef_METH(add_objects, "add_objects", add_objects_impl, HPyFunc_KEYWORDS)
static HPy add_objects_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs, HPy kw)
{
    HPy a, b, result;
    HPyTracker ht;
    if (!HPyArg_ParseKeywords(ctx, &ht, args, nargs, kw, "OO", keywords, &a, &b))
        return HPy_NULL;
    result = HPy_Add(ctx, a, b);
    HPyTracker_Close(ctx, ht);
    return result;
}

HPyDef_METH(build, "build", build_impl, HPyFunc_O)
static HPy build_impl(HPyContext *ctx, HPy self, HPy h)
{
    return HPy_BuildValue(ctx, "O", h);
}
"""


def test_code_of_the_documentation(hpy_module: Load) -> None:
    """S16, S37, S38, S40, S41 (with the missing argument added) and S42."""
    mod: Any = hpy_module(SEEDS)
    for add in (mod.add_ints, mod.tracked, mod.add_kw, mod.add_objects):
        assert add(40, 2) == 42
        for wrong in ((), (1,), (1, 2, 3), (1, "2")):
            with pytest.raises(TypeError):
                add(*wrong)
    for add in (mod.add_ints, mod.tracked, mod.add_kw):
        with pytest.raises(OverflowError):
            add(2**64, 1)
    for add in (mod.add_kw, mod.add_objects):
        assert add(40, b=2) == add(b=2, a=40) == 42
        with pytest.raises(TypeError):
            add(40, c=2)
    value = object()
    assert mod.build(value) is value
