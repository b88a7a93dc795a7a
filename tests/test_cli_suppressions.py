"""Suppressions: what a line means, where they are read from, and what is said of wrong ones."""

import re
from pathlib import Path
from typing import Any

import pytest

from hpy.debug import suppressions
from hpy.debug.suppressions import Suppression, SuppressionError, Suppressions
from hpy.debug.violation import NativeFrame, PythonFrame, Stack, Violation


def frame(function: Any, line: int = 7, file: str = "/src/pkg/matrix.c") -> NativeFrame:
    return NativeFrame(function, file, line, "/lib/matrix.hpy0.so", 0x123)


def leak(*functions: str, **changes: Any) -> Violation:
    stack = Stack(tuple(map(frame, functions)), (PythonFrame("main", "/src/run.py", 3),))
    values: dict[str, Any] = {"module": "pkg.matrix", "function": "Row.sum", "opened": stack}
    return Violation("handle-leak", "a handle was left open", **{**values, **changes})


def line(text: str) -> Suppression:
    found = suppressions.parse(text, "here:1")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("handle-leak", True),
        ("*", True),
        ("*-leak  # with a comment", True),
        ("builder-leak", False),
        ("handle-leak module=pkg.matrix", True),
        ("handle-leak module=matrix", False),
        ("handle-leak module=*matrix function=Row.*", True),
        ("handle-leak module=*matrix function=Row", False),
        ("handle-leak api=*", True),
        ("handle-leak api=HPy_Add", False),
        ("handle-leak native=make", True),
        ("handle-leak native='make <- row_sum'", True),
        ('handle-leak native="make <- row_sum <- impl"', True),
        ("handle-leak native='make <- impl'", False),
        ("handle-leak native='make <- ... <- impl'", True),
        ("handle-leak native='... <- row_sum'", True),
        ("handle-leak native='... <- other'", False),
        ("handle-leak native='make <- row_sum <- impl <- *'", False),
        ("handle-leak native=row_sum", False),
        ("handle-leak native=make@matrix.c", True),
        ("handle-leak native=make@pkg/matrix.c:7", True),
        ("handle-leak native=make@matrix.c:8", False),
        ("handle-leak native=make@trix.c", False),
        ("handle-leak native=*@matrix.hpy0.so+0x123", True),
        ("handle-leak python=main@run.py", True),
        ("handle-leak python=main@other.py", False),
    ],
)
def test_line(text: str, matches: bool) -> None:
    assert line(text).matches(leak("make", "row_sum", "impl")) is matches


def test_place_of_a_mistake_is_where_it_was_made() -> None:
    made = Violation(
        "use-after-close",
        "closed",
        at=Stack((frame("use"),), ()),
        opened=Stack((frame("open"),), ()),
    )
    assert line("use-after-close native=use").matches(made)
    assert not line("use-after-close native=open").matches(made)


def test_no_stack_matches_no_frame() -> None:
    assert not line("handle-leak native=*").matches(leak(opened=None))
    assert line("handle-leak native=...").matches(leak(opened=None))


@pytest.mark.parametrize(
    "function",
    [
        "make",
        "ns::Row<int>::sum(char const*)",
        "f[abi:cxx11](int &)",
        "it's",
        "a?b",
        "operator#",
        '"q"',
        "a\\b",
    ],
)
def test_written_line_is_about_its_place_and_no_other(function: str) -> None:
    violation = leak(function, "impl")
    written = line(suppressions.line_for(violation))
    assert written.matches(violation)
    assert not written.matches(leak(function + "x", "impl"))
    assert not written.matches(leak(function, "other"))
    assert not written.matches(leak(function, "impl", module="another"))
    assert not written.matches(leak(function, "impl", function="Row.other"))
    # What is shown of it can be read again.
    assert line(written.text).matches(violation)


def test_written_line_without_debug_information() -> None:
    stack = Stack((NativeFrame(None, None, None, "/lib/m.hpy0.so", 0x40),), ())
    written = suppressions.line_for(leak(opened=stack))
    assert written.endswith(" native=*@m.hpy0.so+0x40")
    assert line(written).matches(leak(opened=stack))


def test_account() -> None:
    found = Suppressions(map(line, ["builder-leak", "handle-leak module=pkg.*", "handle-leak"]))
    violations = [leak("a"), leak("b", count=4), leak("c", module="other"), leak("d")]
    assert found.without([*violations, Violation("double-close", "twice")]) == [
        Violation("double-close", "twice")
    ]
    assert found.account() == [
        "suppressed: 7 violations",
        "       6 handle-leak module=pkg.* (here:1)",
        "       1 handle-leak (here:1)",
        "   never builder-leak (here:1)",
    ]
    assert Suppressions().account() == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("leak", "here:1: there is no kind of violation 'leak'; there is handle-leak, "),
        ("module=x", "here:1: a suppression begins with a kind, such as handle-leak; found 'mod"),
        ("handle-leak modul=x", "here:1: wanted NAME=PATTERN with one of the names module, "),
        ("handle-leak a <- b", "found 'a'. Put a pattern that has spaces in quotation marks"),
        ("handle-leak native='a", 'here:1: "handle-leak native=\'a" cannot be read: No closing'),
        ("handle-leak module=a module=b", "here:1: module= is given twice; keep one of them"),
        ("handle-leak module=", "here:1: module= needs a pattern behind it; * is for any"),
    ],
)
def test_wrong_line(text: str, told: str) -> None:
    with pytest.raises(SuppressionError, match=re.escape(told)):
        suppressions.parse(text, "here:1")


@pytest.mark.parametrize("text", ["", "   ", "# only a comment"])
def test_line_that_says_nothing(text: str) -> None:
    assert suppressions.parse(text, "here:1") is None


def test_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "known.txt"
    path.write_text("# known\n\nhandle-leak module=a\n*-leak native=b\n")
    found = suppressions.read_file(path)
    assert [(s.text, s.where) for s in found] == [
        ("handle-leak module=a", "known.txt:3"),
        ("*-leak native=b", "known.txt:4"),
    ]
    path.write_text("handle-leak\nnonsense here\n")
    with pytest.raises(SuppressionError, match=r"^known.txt:2: there is no kind .*'nonsense'"):
        suppressions.read_file(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SuppressionError, match="it is no text in UTF-8"):
        suppressions.read_file(path)
    with pytest.raises(SuppressionError, match="No such file or directory"):
        suppressions.read_file(tmp_path / "missing")
    with pytest.raises(SuppressionError, match="Is a directory"):
        suppressions.read_file(tmp_path)


def test_pyproject(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    (tmp_path / "known.txt").write_text("double-close\n")
    project.write_text(
        '[tool.hpy-debug]\nsuppressions = ["handle-leak module=a", "builder-leak"]\n'
        'suppressions-file = "known.txt"\n'
    )
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    extra = tmp_path / "extra.txt"
    extra.write_text("tracker-leak\n")
    found = suppressions.load(extra, below)
    assert [s.text for s in found.all] == [
        "tracker-leak",
        "handle-leak module=a",
        "builder-leak",
        "double-close",
    ]
    assert found.all[1].where.endswith("pyproject.toml, suppressions[0]")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tool.hpy-debug]\nsupressions = []", "has no key 'supressions'; there is suppressions ("),
        ("[tool.hpy-debug]\nsuppressions = 'x'", "suppressions must be a list of strings; it is"),
        ("[tool.hpy-debug]\nsuppressions = [1]", "suppressions must be a list of strings; it is"),
        ("[tool.hpy-debug]\nsuppressions = ['x']", "suppressions[0]: there is no kind of violat"),
        ("[tool.hpy-debug]\nsuppressions-file = 1", "suppressions-file must be a path; it is 1"),
        ("[tool.hpy-debug]\nsuppressions-file = 'no'", "No such file or directory"),
        ("[tool]\nhpy-debug = 1", "must be a table; it is 1"),
        ("[tool.hpy-debug", "pyproject.toml cannot be read: "),
    ],
)
def test_wrong_pyproject(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(SuppressionError, match=re.escape(told)):
        suppressions.load(None, tmp_path)


@pytest.mark.parametrize("text", ["", "[tool.other]\n", "[project]\nname = 'x'\n", "not [ toml"])
def test_pyproject_that_is_not_about_this(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert len(suppressions.load(None, tmp_path)) == 0
