"""HPyUnicode_FromFormat, HPyUnicode_FromFormatV and HPyErr_Format."""

import ctypes
import re
from types import ModuleType
from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import varargs

pytestmark = pytest.mark.skipif(not varargs.SUPPORTED, reason="see support/varargs.py")

Load = Callable[..., ModuleType]

INT_MAX = 2 ** (8 * ctypes.sizeof(ctypes.c_int) - 1) - 1
LONG_MAX = 2 ** (8 * ctypes.sizeof(ctypes.c_long) - 1) - 1
LLONG_MAX = 2 ** (8 * ctypes.sizeof(ctypes.c_longlong) - 1) - 1
SSIZE_MAX = 2 ** (8 * ctypes.sizeof(ctypes.c_ssize_t) - 1) - 1


class Texts:
    """All its texts are different and not ASCII."""

    def __str__(self) -> str:
        return "str\u20ac\U0001f600"

    def __repr__(self) -> str:
        return "repr\u20ac"


class Failing:
    def __str__(self) -> str:
        raise KeyError("str")

    __repr__ = __str__


@pytest.fixture
def mod(hpy_module: Load) -> ModuleType:
    return hpy_module(varargs.SOURCE)


TEXT = "\u20acur\u0398pe"
UTF8 = TEXT.encode()

GOOD: list[tuple[bytes, tuple[object, ...], str]] = [
    # plain text
    (b"", (), ""),
    (b"plain", (), "plain"),
    (b"%%", (), "%"),
    (b"a%%b%%%%", (), "a%b%%"),
    (b"x" * 5000, (), "x" * 5000),
    (b"%s" + b"y" * 5000 + b"%d", (b"a", 1), "a" + "y" * 5000 + "1"),
    (b"%5000d", (1,), " " * 4999 + "1"),
    (b"%.5000d", (1,), "0" * 4999 + "1"),
    # c
    (b"%c", (ord("a"),), "a"),
    (b"[%c%c]", (0, 127), "[\0\x7f]"),
    (b"%c", (128,), "\x80"),
    (b"%c%c", (0xE4, 0x20AC), "\xe4\u20ac"),
    (b"%c", (0x1F600,), "\U0001f600"),
    (b"%c", (0x10FFFF,), "\U0010ffff"),
    (b"%c", (0xD800,), "\ud800"),
    # d, i, u, x
    (b"%d %i", (-1, 1), "-1 1"),
    (b"%d %d", (INT_MAX, -INT_MAX - 1), f"{INT_MAX} {-INT_MAX - 1}"),
    (b"%u", (2 * INT_MAX + 1,), f"{2 * INT_MAX + 1}"),
    (b"%x", (0x123ABC,), "123abc"),
    (b"%x", (-123,), "ffffff85"),
    (b"%x", (0,), "0"),
    # with a length
    (b"%ld %li", (LONG_MAX, -LONG_MAX - 1), f"{LONG_MAX} {-LONG_MAX - 1}"),
    (b"%lu", (2 * LONG_MAX + 1,), f"{2 * LONG_MAX + 1}"),
    (b"%lld %lli", (LLONG_MAX, -LLONG_MAX - 1), f"{LLONG_MAX} {-LLONG_MAX - 1}"),
    (b"%llu", (2 * LLONG_MAX + 1,), f"{2 * LLONG_MAX + 1}"),
    (b"%zd %zi", (SSIZE_MAX, -SSIZE_MAX - 1), f"{SSIZE_MAX} {-SSIZE_MAX - 1}"),
    (b"%zu", (2 * SSIZE_MAX + 1,), f"{2 * SSIZE_MAX + 1}"),
    # width and precision of numbers
    (b"%5d", (123,), "  123"),
    (b"%2d", (123,), "123"),
    (b"%5d", (-123,), " -123"),
    (b"%05d", (123,), "00123"),
    (b"%05d", (-123,), "-0123"),
    (b"%0d", (123,), "123"),
    (b"%.5d", (123,), "00123"),
    (b"%.5d", (-123,), "-00123"),
    (b"%.2d", (123,), "123"),
    (b"%7.5d", (123,), "  00123"),
    (b"%7.5d", (-123,), " -00123"),
    (b"%07.5d", (123,), "0000123"),
    (b"%07.5d", (-123,), "-000123"),
    (b"%5.7d", (123,), "0000123"),
    (b"%.0d", (0,), "0"),
    (b"%.d", (0,), "0"),
    (b"%5.d", (7,), "    7"),
    (b"%05x|%.3u|%10lld|%010zd", (255, 7, -5, -6), "000ff|007|        -5|-000000006"),
    # s
    (b"[%s]", (b"",), "[]"),
    (b"%s %s", (b"a", UTF8), f"a {TEXT}"),
    (b"%5s", (b"abc",), "  abc"),
    (b"%5.1s", (b"None",), "    N"),
    (b"%.0s", (b"None",), ""),
    (b"%.s", (b"None",), "None"),
    (b"%.100s", (b"None",), "None"),
    (b"%8s", (UTF8,), f"  {TEXT}"),
    # the precision counts bytes, the width characters
    (b"%.3s|%5.4s", (UTF8, UTF8), "\u20ac|   \u20acu"),
    # what is no UTF-8 is shown as CPython shows it
    (b"%.2s", (UTF8,), "\ufffd"),
    (b"%s", (b"a\xffb",), "a\ufffdb"),
    # U
    (b"%U%U", ([TEXT], ["x"]), TEXT + "x"),
    (b"%U", (["a\0b"],), "a\0b"),
    (b"%U", (["\ud800"],), "\ud800"),
    (b"%5U|%.1U|%5.1U", (["abc"], [TEXT], [TEXT]), "  abc|\u20ac|    \u20ac"),
    # V
    (b"%V", (["abc"], None), "abc"),
    (b"%V", (["abc"], b"other"), "abc"),
    (b"%V", (None, UTF8), TEXT),
    (b"%5V|%.1V", (["abc"], None, None, b"abc"), "  abc|a"),
    (b"%.1V|%.3V", ([TEXT], None, None, UTF8), "\u20ac|\u20ac"),
    # S, R, A
    (b"%S %R %A", ([Texts()], [Texts()], [Texts()]), "str\u20ac\U0001f600 repr\u20ac repr\\u20ac"),
    (b"%S", ([1],), "1"),
    (b"%R", (["a'"],), '"a\'"'),
    (b"%10.5S", ([TEXT],), f"     {TEXT[:5]}"),
    (b"%.4R|%6.4A", ([Texts()], [Texts()]), "repr|  repr"),
    # many
    (b"%d-%s-%U-%c-%zd-%%", (1, b"two", ["three"], 0x2084, 5), "1-two-three-\u2084-5-%"),
]


@pytest.mark.parametrize(("fmt", "args", "result"), GOOD)
def test_format(mod: ModuleType, fmt: bytes, args: tuple[object, ...], result: str) -> None:
    assert mod.format(fmt, *args) == result
    assert mod.format_v(fmt, *args) == result


def test_pointer(mod: ModuleType) -> None:
    assert re.fullmatch("0x0{,60}[dD][eE][aA][dD]0123", mod.format(b"%p", 0xDEAD0123))
    assert mod.format(b"<%p>", None).startswith("<0x")


SYSTEM: list[tuple[bytes, tuple[object, ...], str]] = [
    *(
        (b"%" + unit, (), "invalid format string")
        for unit in b"q X o f e g n j t h H * - + #".split()
    ),
    *((unit, (), "invalid format string") for unit in b"% %5 %. %l %ll %z %lll %-5d %+d".split()),
    *((u, (), "invalid format string") for u in b"%5% %.0% %0% %.% %lx %llx %zx %ls %zc".split()),
    (b"text %", (), "invalid format string"),
    *(
        (b"%05" + bytes([u]), (), f"formatting unit '%{u:c}' does not support 0-padding")
        for u in b"sUVSRApc"
    ),
    (b"%0s", (), "formatting unit '%s' does not support 0-padding"),
    (b"%5c", (), "formatting unit '%c' does not support width nor precision"),
    (b"%.5c", (), "formatting unit '%c' does not support width nor precision"),
    (b"%5p", (), "formatting unit '%p' does not support width nor precision"),
    (b"%.5p", (), "formatting unit '%p' does not support width nor precision"),
    (b"%05.5p", (), "formatting unit '%p' does not support 0-padding"),
    (b"%s", (None,), "null c string passed as value for formatting unit '%s'"),
    (b"%U", (None,), "HPy_NULL passed as value for formatting unit '%U'"),
    (b"%V", (None, None), "HPy_NULL and a null c string passed as values"),
    *(
        (u, (None,), "HPy_NULL passed as value for formatting unit '%S' or '%R' or '%A'")
        for u in (b"%S", b"%R", b"%A")
    ),
]


@pytest.mark.parametrize(("fmt", "args", "text"), SYSTEM)
def test_system_errors(mod: ModuleType, fmt: bytes, args: tuple[object, ...], text: str) -> None:
    for function in (mod.format, mod.format_v):
        with pytest.raises(SystemError) as caught:
            function(fmt, *args)
        assert text in str(caught.value)


@pytest.mark.parametrize("value", [-1, 0x110000, 0x10FFFF + 2, INT_MAX, -INT_MAX - 1])
def test_character_out_of_range(mod: ModuleType, value: int) -> None:
    with pytest.raises(OverflowError) as caught:
        mod.format(b"ab%c", value)
    assert str(caught.value) == "character argument not in range(0x110000)"


@pytest.mark.parametrize("fmt", [b"\xe9", b"ab\xe9%d", b"%d\xe9", b"%\xe9", b"%5\xe9", b"%l\xe9"])
def test_format_is_ascii(mod: ModuleType, fmt: bytes) -> None:
    with pytest.raises(ValueError, match="an ASCII-encoded format string") as caught:
        mod.format(fmt, 1)
    assert str(caught.value) == (
        "expected an ASCII-encoded format string, got a non-ASCII byte: 0xe9"
    )


def test_options_that_are_too_big(mod: ModuleType) -> None:
    for number in (SSIZE_MAX + 1, 10 * SSIZE_MAX, 10**100):
        with pytest.raises(ValueError, match="width too big"):
            mod.format(b"%%%dd" % number, 1)
        with pytest.raises(ValueError, match="precision too big"):
            mod.format(b"%%.%dd" % number, 1)


def test_options_that_do_not_fit_into_memory(mod: ModuleType) -> None:
    for fmt in (b"%%%dd", b"%%.%dd", b"%%0%dd", b"%%%ds", b"%%%dU"):
        arg: object = ["text"] if b"U" in fmt else b"text" if b"s" in fmt else -5
        with pytest.raises(MemoryError) as caught:
            mod.format(b"ab" + fmt % SSIZE_MAX, arg)
        assert str(caught.value) == "cannot allocate memory for string format"
    assert mod.format(b"%%.%ds" % SSIZE_MAX, b"text") == "text"
    assert mod.format(b"%%.%dU" % SSIZE_MAX, ["text"]) == "text"


def test_a_str_is_required(mod: ModuleType) -> None:
    for fmt in (b"%U", b"%V"):
        with pytest.raises(TypeError, match=f"'{fmt.decode()}' requires a str"):
            mod.format(fmt, [b"bytes"], b"other")


@pytest.mark.parametrize("unit", [b"%S", b"%R", b"%A"])
def test_exceptions_of_arguments(mod: ModuleType, unit: bytes) -> None:
    with pytest.raises(KeyError, match="str"):
        mod.format(b"%d" + unit, 1, [Failing()])


def test_err_format(mod: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"Formatted 'error message' and 42") as caught:
        mod.raise_(ValueError, b"Formatted '%S' and %d", ["error message"], 42)
    assert type(caught.value) is ValueError
    with pytest.raises(UnicodeError, match=TEXT):
        mod.raise_(UnicodeError, b"%s", UTF8)
    with pytest.raises(KeyError) as other:
        mod.raise_(KeyError, b"")
    assert other.value.args == ("",)


def test_err_format_keeps_the_error_of_formatting(mod: ModuleType) -> None:
    """0.9 loses it and raises the type without a value."""
    with pytest.raises(SystemError, match="invalid format string"):
        mod.raise_(ValueError, b"%q")
    with pytest.raises(KeyError, match="str"):
        mod.raise_(ValueError, b"%S", [Failing()])


DIRECTIVES = st.builds(
    "%{}{}{}{}{}".format,
    st.sampled_from(["", "0"]),
    st.integers(0, 200).map(str) | st.just(""),
    st.integers(0, 200).map(".{}".format) | st.sampled_from(["", "."]),
    st.sampled_from(["", "", "l", "ll", "z"]),
    st.sampled_from("ddiuxcpsUVSRA%q"),
)


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    parts=st.lists(DIRECTIVES | st.text("a .05ld\u20ac", max_size=3), max_size=5),
    number=st.integers(-(2**63), 2**64 - 1),
    text=st.text(max_size=5),
    null=st.booleans(),
)
def test_any_format(mod: ModuleType, parts: list[str], number: int, text: str, null: bool) -> None:
    """Text or an exception, never a crash or a leak; FromFormat and FromFormatV agree."""
    args: list[Any] = []
    kind: Any
    for part in parts:
        for _, unit in re.findall(r"%(0?\d*\.?\d*(?:ll?|z)?)(.)", part.replace("%%", "")):
            kind = {"s": text.encode("utf-8", "replace"), "V": [text]}.get(unit, number)
            args.append([text] if unit in "USRA" else kind)
            if unit == "V":
                args.append(b"other")
            if null and unit in "sSRAU":
                args[-1] = None

    def outcome(function: Callable[..., str]) -> object:
        try:
            return function("".join(parts).encode(), *args)
        except (SystemError, ValueError, OverflowError) as e:
            return type(e), str(e)

    assert outcome(mod.format) == outcome(mod.format_v)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    zero=st.sampled_from(["", "0"]),
    width=st.sampled_from(["", "1", "5", "25"]),
    precision=st.sampled_from(["", ".0", ".1", ".5", ".25"]),
    unit=st.sampled_from(["d", "i", "ld", "lli", "zd"]),
    number=st.integers(-(2**31), 2**31 - 1) | st.integers(-1000, 1000),
)
def test_numbers_are_those_of_python(
    mod: ModuleType, zero: str, width: str, precision: str, unit: str, number: int
) -> None:
    """Like Python's % operator, but for precision 0 and for zeros that fill up a precision."""
    wanted = f"%{zero}{width}{precision}d" % number
    assert mod.format(f"%{zero}{width}{precision}{unit}".encode(), number) == wanted
