"""examples/json is Python's json: results, texts, and errors with their place."""

import enum
import io
import json
import re
import sys
from types import ModuleType
from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.json_source import one_source

Load = Callable[..., ModuleType]

PROPERTY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def mod(hpy_module: Load) -> Any:
    return hpy_module(one_source(), "hpyjson", cflags=["-Wextra"])


def outcome(module: Any, text: object) -> tuple[Any, ...]:
    """What loads() makes of a text, in a form that can be compared."""
    try:
        value = module.loads(text)
    except module.JSONDecodeError as e:
        return "error", str(e), e.msg, e.pos, e.lineno, e.colno
    return "value", repr(value)


def compare(mod: Any, text: object) -> None:
    theirs = outcome(json, text)
    if theirs[0] == "error" and "trailing comma" in theirs[2]:  # new in Python 3.13
        assert outcome(mod, text)[0] == "error"
    else:
        assert outcome(mod, text) == theirs


GOOD = [
    *(["null", "true", "false", "0", "-0", "1", "-1", "12345678901234567", "-12345678901234567"]),
    *(["123456789012345678", "-123456789012345678", "1234567890123456789", "9223372036854775807"]),
    *(["-9223372036854775808", "9223372036854775808", "-9223372036854775809"]),
    "1" * 1000,
    "-" + "9" * 400,
    *(
        [
            "0.0",
            "-0.0",
            "1.5",
            "1e5",
            "1E5",
            "1e+5",
            "1e-5",
            "1.25e10",
            "0.1",
            "1e308",
            "1e400",
            "-1e400",
            "5e-324",
            "1e-400",
        ]
    ),
    "0.1000000000000000055511151231257827021181583404541015625",
    *(["NaN", "Infinity", "-Infinity", "[]", "{}", "[[]]", "[{}]", "[1,2]", "[1,[2,[3]]]"]),
    " \t\n\r[ 1 ,\n2 ]\n",
    '{"a": 1, "b": [2, {"c": null}], "a": 3}',
    '{ "" : "" }',
    '""',
    '"plain"',
    '"\x7f\u20ac\U0001f600"',
    r'"\"\\\/\b\f\n\r\t"',
    r'"\u0041\u00e4\u20ac\uFFFF\u0000"',
    r'"\ud83d\ude00"',
    r'"\ud83d"',
    r'"\ude00\ud83d"',
    r'"\ud83dx"',
    r'"\ud83d\n"',
    r'"\ud83d\u0041"',
    r'"\ud83d\ud83d\ude00"',
    '"\\ud83d\ude00"',
    '"\ud800"',
    '"\ud800\udc00"',
    '"a\0b"'.replace("\0", "\\u0000"),
]
BAD = [
    *("", " ", "\n\n ", "nul", "nulll", "tru", "falsee", "Nan", "-", "-x", "+1", ".5", "01", "-01"),
    *("1.", "1.e5", "1e", "1e+", "1ee5", "1.5.5", "--1", "-Inf", "Infinit", "0x10", "1 2"),
    *("[", "]", "[1", "[1,", "[,", "[1 2]", "[1}", "[]]", "[\n1,\n\n x]"),
    *("{", "}", "{1", '{"a"', '{"a":', '{"a":1', '{"a":1,', "{,}", "{1:2}", '{"a" 1}', '{"a":}'),
    *('{"a":1 "b":2}', '{"a":1]', '{"a":1,2}', "{]", '{"a":1}}', '{"a"\n\n: \u20ac}'),
    *('"', '"a', '"\\', '"\\"', '"\\x"', '"\\', '"\n"', '"\x1f"', '"\0"', "\0", '"\u20ac\t"'),
    *('"\\u', '"\\u"', '"\\u1"', '"\\u123"', '"\\u123g"', '"\\u 123"', '"\\u0x12"', '"\\u1234'),
    *('"\\ud83d\\u', '"\\ud83d\\u1', '"\\ud83d\\ude0', '"\\ud83d\\ude00', '"\\ud83d\\ude0g"'),
    *('"\\ud83d\\u\u20ac\u20ac"', '"\\u\u20ac\u20ac\u20ac\u20ac"', '"\\ud83d\\', '"\\ud83d\\x"'),
    *("\ufeff1", "\u20ac", "[\u20ac]", '"\u20ac" x', '["\U0001f600", x]', "'a'", "# 1", "\v1"),
    *("[1,]", '{"a":1,}', "[1,\n]"),
]


@pytest.mark.parametrize("text", [*GOOD, *BAD])
def test_loads(mod: Any, text: str) -> None:
    compare(mod, text)


def test_loads_takes_bytes(mod: Any) -> None:
    for text in ('"\u20ac"', "[1, 2]", "[1 2]"):
        compare(mod, text.encode())
    assert mod.loads(b'"\xed\xa0\x80"') == "\ud800"
    with pytest.raises(UnicodeDecodeError):
        mod.loads(b'"\xff"')
    for wrong in (1, None, ["1"], bytearray(b"1")):
        name = type(wrong).__name__
        with pytest.raises(TypeError, match=f"must be str or bytes, not {name}$"):
            mod.loads(wrong)


def test_nesting(mod: Any) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        text = opening * 1000 + "1" + closing * 1000
        value = mod.loads(text)
        assert mod.dumps(value).replace(" ", "") == text
        for n in (1001, 100_000):
            with pytest.raises(RecursionError):
                mod.loads(opening * n)
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(RecursionError):
        mod.dumps(endless)


class Colour(int, enum.Enum):
    RED = 1
    HUGE = 10**30


class Odd(float):
    def __repr__(self) -> str:
        return "odd"


class Text(str):
    """A subclass of str."""


VALUES: list[Any] = [
    *(None, True, False, 0, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**100),
    *(0.0, -0.0, 1.5, 1e16, 1e-7, 1e22, 1e308, float("inf"), float("-inf")),
    *("", "a", '"\\/\b\f\n\r\t', "\0\x01\x1f\x7f\x80\xff", "\u20ac\u2028\uffff\U0001f600"),
    *("\ud800", "\udfff\ud800", "x" * 10_000),
    *([], (), {}, [1, [2, (3,)], {}], {"a": 1, "b": [None]}),
    {7: 2, 1.5: 3, None: 4, True: 5, "x": 6, Colour.HUGE: 7},
    *(Colour.RED, Colour.HUGE, Odd(2.5), Text("a")),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: ascii(v)[:30])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_dumps(mod: Any, value: Any, ensure_ascii: bool) -> None:
    theirs = json.dumps(value, ensure_ascii=ensure_ascii)
    assert mod.dumps(value, ensure_ascii=ensure_ascii) == theirs
    if ensure_ascii:
        assert mod.dumps(value) == theirs


def test_dumps_nan(mod: Any) -> None:
    assert mod.dumps([float("nan")]) == "[NaN]"


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"bytes", [1, 2j], {"a": {"b": object}}, {(1, 2): 3}, {b"a": 1}]
)
def test_dumps_refuses(mod: Any, value: object) -> None:
    texts = []
    for module in (json, mod):
        with pytest.raises(TypeError) as caught:
            module.dumps(value)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


def test_dumps_arguments(mod: Any) -> None:
    assert mod.dumps(value=[1]) == "[1]"
    with pytest.raises(TypeError, match=r"dumps\(\) no value for required argument"):
        mod.dumps()
    with pytest.raises(TypeError, match=r"dumps\(\) keyword only argument passed as positional"):
        mod.dumps(1, True)
    with pytest.raises(TypeError, match=r"dumps\(\) got an unexpected keyword argument 'indent'"):
        mod.dumps(1, indent=2)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)
TEXTS = st.text('[]{}:,"\\u0123456789abcdefD8 \n-.eE\u20ac\U0001f600\ud83d\x00\x1ftrulnfsNI')


@PROPERTY
@given(value=JSON_VALUES, ensure_ascii=st.booleans(), cut=st.integers(0, 200), extra=TEXTS)
def test_any_value(mod: Any, value: object, ensure_ascii: bool, cut: int, extra: str) -> None:
    text = json.dumps(value, ensure_ascii=ensure_ascii)
    assert mod.dumps(value, ensure_ascii=ensure_ascii) == text
    compare(mod, text)
    compare(mod, text[:cut])
    compare(mod, text[:cut] + extra[:3] + text[cut:])


@PROPERTY
@given(text=TEXTS)
def test_any_text(mod: Any, text: str) -> None:
    compare(mod, text)
    compare(mod, '["' + text)
    compare(mod, '{"' + text + '": ' + text)


# --- Writer ---


def test_writer(mod: Any) -> None:
    file = io.StringIO()
    writer = mod.Writer(file)
    writer.begin_dict()
    writer.key("a")
    writer.write([1, {"b": "\u20ac"}])
    writer.key("b")
    writer.begin_list()
    writer.write(1)
    writer.write("two")
    writer.begin_list()
    writer.end()
    writer.begin_dict()
    writer.end()
    writer.end()
    writer.end()
    assert not writer.closed
    writer.close()
    assert writer.closed
    writer.close()
    wanted = {"a": [1, {"b": "\u20ac"}], "b": [1, "two", [], {}]}
    assert file.getvalue() == json.dumps(wanted) + "\n"


def test_writer_writes_lines(mod: Any) -> None:
    file = io.StringIO()
    with mod.Writer(file, ensure_ascii=False) as writer:
        writer.write("\u20ac")
        writer.begin_list()
        writer.end()
        writer.write({"\u20ac": 1})
    assert file.getvalue() == '"\u20ac"\n[]\n{"\u20ac": 1}\n'


def test_writer_writes_at_once(mod: Any) -> None:
    file = io.StringIO()
    writer = mod.Writer(file)
    writer.begin_list()
    assert file.getvalue() == "["
    writer.write(1)
    writer.write(2)
    assert file.getvalue() == "[1, 2"


def test_writer_refuses(mod: Any) -> None:
    file = io.StringIO()
    writer = mod.Writer(file)
    for method, args, text in (
        ("key", ("a",), "a key is for a dict"),
        ("end", (), "no list or dict is open"),
    ):
        with pytest.raises(ValueError, match=text):
            getattr(writer, method)(*args)
    writer.begin_dict()
    for method in ("write", "begin_list", "begin_dict"):
        with pytest.raises(ValueError, match=re.escape("key() comes before each value")):
            getattr(writer, method)(*([1] if method == "write" else []))
    with pytest.raises(TypeError, match="a key must be a str"):
        writer.key(1)
    writer.key("a")
    for call in (lambda: writer.key("b"), writer.end):
        with pytest.raises(ValueError, match="the value of the last key is missing"):
            call()
    with pytest.raises(TypeError, match="not JSON serializable"):
        writer.write(object())
    writer.write(1)
    assert file.getvalue() == '{"a": 1'
    with pytest.raises(ValueError, match="closed before the end of a list or dict"):
        writer.close()
    for call in (writer.begin_list, writer.end, lambda: writer.write(1), lambda: writer.key("a")):
        with pytest.raises(ValueError, match="the Writer is closed"):
            call()


def test_writer_nesting(mod: Any) -> None:
    writer = mod.Writer(io.StringIO())
    for _ in range(100):
        writer.begin_list()
    with pytest.raises(ValueError, match="too many lists and dicts are open"):
        writer.begin_list()


def test_writer_does_not_hide_exceptions(mod: Any) -> None:
    writer = mod.Writer(io.StringIO())

    def interrupted() -> None:
        with writer:
            writer.begin_list()
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert writer.closed


def test_writer_passes_on_exceptions_of_the_file(mod: Any) -> None:
    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, text)

    with pytest.raises(OSError, match="1"):
        mod.Writer(Full()).write(1)
    with pytest.raises(AttributeError):
        mod.Writer(7).write(1)
    with pytest.raises(TypeError):
        mod.Writer()
    with pytest.raises(TypeError):
        mod.Writer(1, color="red")


def test_writer_lets_the_file_go(mod: Any) -> None:
    file = io.StringIO()
    before = sys.getrefcount(file)
    writer = mod.Writer(file)
    assert sys.getrefcount(file) == before + 1
    writer.close()
    assert sys.getrefcount(file) == before
    another = mod.Writer(file)
    assert sys.getrefcount(file) == before + 1
    del another
    assert sys.getrefcount(file) == before
