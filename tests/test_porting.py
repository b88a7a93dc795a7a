"""docs/porting.md says what to do about every function of Python/C without a namesake in HPy."""

import fnmatch
import functools
import re
from collections.abc import Iterator

import pytest

from support import api_reference, tree

DOCUMENT = tree.REPOSITORY / "docs" / "porting.md"
# Words of the headers that stand where the name of a function would.
NO_FUNCTIONS = {"Py_EXPORTED_SYMBOL", "Py_IMPORTED_SYMBOL", "Py_OldFunction"}


def rows() -> Iterator[tuple[list[str], str]]:
    """(patterns, advice) of each row."""
    for line in DOCUMENT.read_text("utf-8").splitlines():
        row = re.match(r"\| (`Py.*?) \| (.*) \|$", line)
        if row is not None:
            yield re.findall(r"`(Py[\w*]+)`", row[1]), row[2]


@functools.cache
def of_cpython() -> frozenset[str]:
    """The functions that this CPython offers to every extension: no private headers, no `_Py`."""
    found: set[str] = set()
    for header in tree.PYTHON_INCLUDE.glob("*.h"):
        text = header.read_text(errors="replace")
        found |= set(re.findall(r"PyAPI_FUNC\([^)]*\)\s*(Py\w+)", text))
    return frozenset(found - NO_FUNCTIONS)


def regular() -> set[str]:
    """Those whose HPy function is called likewise, or that one calls."""
    names = set()
    for name, function in api_reference.functions().items():
        names |= {name[1:], function.cpython}
        if name.startswith("HPy_"):
            names |= {f"Py{kind}_{name[4:]}" for kind in ("Object", "Number", "Sequence")}
    return names


@pytest.mark.promise("API-41")
def test_each_missing_function_has_an_entry() -> None:
    patterns = [pattern for found, _ in rows() for pattern in found]
    assert len(of_cpython()) > 600
    missing = [
        name
        for name in sorted(of_cpython() - regular())
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]
    assert not missing, f"docs/porting.md does not say what to do about {missing}"


def test_what_it_names_exists() -> None:
    known = set(re.findall(r"\bHPy\w*", api_reference.document())) | {
        *("HPyModuleDef", "HPyGlobal", "HPy_NULL", "HPy_TPFLAGS_HAVE_GC", "HPyErr_ExceptionMatches")
    }
    named = set(re.findall(r"\bHPy_?\w*", DOCUMENT.read_text("utf-8"))) - {"HPy"}
    assert named <= known, named - known


def test_rows_say_something() -> None:
    entries = list(rows())
    assert len(entries) > 80
    for patterns, advice in entries:
        assert patterns
        assert len(advice) > 8, patterns
    simple = [pattern for found, _ in entries for pattern in found]
    assert len(set(simple)) == len(simple), "a pattern stands twice"
