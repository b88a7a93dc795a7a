"""docs/promises.md: which tests show which promise of the seeds.

A test names the promises that it shows with `@pytest.mark.promise("API-03", ...)`, or in its
docstring. `python tests/support/promises.py` writes their names into the table of the document;
tests/test_promises.py sees to it that the two agree.
"""

import ast
import functools
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
DOCUMENT = TESTS.parent / "docs" / "promises.md"

# How many there are in each group; none of them is ever dropped or renumbered.
GROUPS = {
    "API": 44,
    "ABI": 21,
    "DBG": 42,
    "BLD": 12,
    "ARG": 32,
    "BV": 11,
    "FLD": 9,
    "GLB": 9,
    "GIL": 4,
    "BUF": 3,
}
IDS = [f"{group}-{i:02}" for group, count in GROUPS.items() for i in range(1, count + 1)]
IDS += ["PERF-01", "PERF-08"]

_ID = re.compile(r"\b(?:API|ABI|DBG|BLD|ARG|BV|FLD|GLB|GIL|BUF|PERF)-\d\d\b")
_ROW = re.compile(r"^\| (\S+) \| (.*) \|(.*)\|(.*)\|$")


@functools.cache
def shown() -> dict[str, list[str]]:
    """The tests of each promise, as FILE::NAME, in the order of their files and lines."""
    found: dict[str, list[str]] = {}
    for file in sorted(TESTS.glob("test_*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                marks = [ast.unparse(decorator) for decorator in node.decorator_list]
                texts = [mark for mark in marks if mark.startswith("pytest.mark.promise(")]
                texts.append(ast.get_docstring(node) or "")
                for promise in sorted(set(_ID.findall(" ".join(texts)))):
                    found.setdefault(promise, []).append(f"{file.stem}::{node.name}")
    return found


def cell(tests: list[str]) -> str:
    """A cell of the table: `file::test`, `::another_of_that_file`, ..."""
    parts, last = [], ""
    for test in tests:
        file, _, name = test.partition("::")
        parts.append(f"`::{name}`" if file == last else f"`{test}`")
        last = file
    return ", ".join(parts)


def tests_of(text: str) -> list[str]:
    """The tests that a cell names."""
    tests, last = [], ""
    for file, name in re.findall(r"`(\w*)::(\w+)`", text):
        last = file or last
        tests.append(f"{last}::{name}")
    return tests


@functools.cache
def table() -> dict[str, tuple[str, list[str], str]]:
    """(promise, tests, remark) of each row of the document."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    found = [row for row in map(_ROW.match, lines) if row is not None and _ID.fullmatch(row[1])]
    rows = {row[1]: (row[2], tests_of(row[3]), row[4].strip()) for row in found}
    if len(rows) != len(found):
        raise ValueError(f"{DOCUMENT} has two rows for one promise")
    return rows


def write() -> None:
    """Brings the names of the tests up to date."""
    tests = shown()
    lines = []
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        row = _ROW.match(line)
        if row is not None and _ID.fullmatch(row[1]):
            cells = [row[1], row[2], cell(tests.get(row[1], [])), row[4].strip()]
            line = "| " + " | ".join(cells) + " |"
        lines.append(line)
    DOCUMENT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
