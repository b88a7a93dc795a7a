"""docs/api-reference.md: every function, constant and slot of the API, from the tables of abi/.

`python tests/support/api_reference.py` writes the document; tests/test_api_reference.py fails where
it differs from the tables. What a row cannot say (helpers that are no part of the context) comes
from the declarations in include/hpy and the comments above them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENT = REPOSITORY / "docs" / "api-reference.md"

# Sections by the word before the first underscore, in the order of the document.
SECTIONS = {
    "HPy": "Objects, numbers, items, calls",
    "HPyNumber": "Numbers: checks",
    "HPyLong": "int",
    "HPyBool": "bool",
    "HPyFloat": "float",
    "HPyUnicode": "str",
    "HPyBytes": "bytes",
    "HPyBytesBuilder": "Building bytes",
    "HPyTuple": "tuple",
    "HPyTupleBuilder": "Building tuples",
    "HPyList": "list",
    "HPyListBuilder": "Building lists",
    "HPyDict": "dict",
    "HPySlice": "slice",
    "HPyIter": "Iterators",
    "HPyCallable": "Callables",
    "HPyCapsule": "Capsules",
    "HPyContextVar": "Context variables",
    "HPyErr": "Exceptions",
    "HPyImport": "Importing",
    "HPyModule": "Modules",
    "HPyType": "Types",
    "HPyStructSequence": "Struct sequences",
    "HPyField": "Fields: references inside objects",
    "HPyGlobal": "Globals: references in static variables",
    "HPyTracker": "Trackers: closing many handles",
    "HPyArg": "Parsing arguments",
    "HPyHelpers": "Other helpers",
}

START = """\
# API reference

<!-- Made by tests/support/api_reference.py from abi/context.inc, abi/slots.inc and include/hpy. -->

Every function takes the context first. A result of type `HPy` is a new handle, which the caller
closes or returns; argument handles stay the caller's, and are never `HPy_NULL` unless it is said.
*Fails:* what is returned with an exception set. *CPython:* what the function does there.

"""


class Function(NamedTuple):
    name: str
    signature: str
    nullable: tuple[str, ...] = ()
    fails: str = ""
    cpython: str = ""
    comment: str = ""


def _split(text: str) -> list[str]:
    """The arguments of a macro: split at the commas that stand in no parentheses and no string."""
    parts, depth, quoted = [""], 0, False
    for char in text:
        quoted ^= char == '"'
        if not quoted:
            depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return [" ".join(part.split()) for part in parts]


def _rows(file: str, macros: str) -> Iterator[tuple[str, list[str], str]]:
    """(macro, arguments, comment) of each row of a table."""
    text = (REPOSITORY / "abi" / file).read_text("utf-8").partition("\n\n")[2]
    pattern = rf"((?:/\*(?:[^*]|\*(?!/))*\*/\s*)?)^({macros})\("
    for found in re.finditer(pattern, text, re.M):
        depth, at = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        yield found[2], _split(text[found.end() : at - 1]), _plain(found[1])


def _plain(comment: str) -> str:
    """The text of a comment, in one line."""
    return " ".join(re.sub(r"^\s*(/\*|\*/|\*)|\*/\s*$", "", comment, flags=re.M).split())


def functions_of_the_table() -> Iterator[Function]:
    for macro, row, comment in _rows("context.inc", "HPY_FUNC|HPY_PROC"):
        if macro == "HPY_PROC":
            row = [*row[:3], "void", *row[3:9], "", row[9]]
        _, _, name, result, params, names, api, nullable, _, _, error, impl = row
        if name.startswith("_"):
            continue
        if api == "RETNULL":
            result, comment = "HPy", f"Returns `HPy_NULL`. {comment}".strip()
        words = [word.strip() for word in names.strip("()").split(",")]
        yield Function(
            name,
            f"{result} {name}{params}".replace("* ", "*"),
            tuple(words[int(p[1:])] for p in nullable.split("|") if p != "P0"),
            _fails(error, result),
            _cpython(impl, name),
            comment,
        )


def _fails(error: str, result: str) -> str:
    value = re.match(r"FAILS\((.*)\)$", error)
    if value is None:
        return ""
    null = "NULL" if "*" in result else "HPy_NULL"
    return null if value[1] == "NULLH" else value[1]


def _cpython(impl: str, name: str) -> str:
    """The function of CPython that an expression calls, if it calls one alone."""
    if not impl.startswith("C("):
        return ""
    called = [c for c in re.findall(r"\b(Py\w+)(?=\()", impl) if c not in ("PyObject",)]
    return called[0] if len(set(called)) == 1 else ""


def functions_of_the_headers() -> Iterator[Function]:
    """Helpers: declarations in the headers of what the table does not have."""
    for file in ("runtime.h", "builders.h", "inline_helpers.h", "universal/api.h", "modinit.h"):
        text = (REPOSITORY / "include" / "hpy" / file).read_text("utf-8")
        pattern = (
            r"((?:/\*(?:[^*]|\*(?!/))*\*/\n)?)"
            r"^HPyAPI_(?:HELPER|FUNC|UNUSED) ([^;{()]*?\b(HPy\w+)\([^;{]*?\))\s*[;{]"
        )
        for found in re.finditer(pattern, text, re.M):
            signature = re.sub(r"(\w)\* ", r"\1 *", " ".join(found[2].split()))
            yield Function(
                found[3], signature, cpython=_in_cpython_abi(found[3]), comment=_plain(found[1])
            )


def _in_cpython_abi(name: str) -> str:
    """The function of CPython that the inline function of the CPython ABI calls."""
    text = (REPOSITORY / "include" / "hpy" / "cpython" / "api.h").read_text("utf-8")
    body = re.search(rf"\b{name}\([^)]*\) \{{(.*?)\n?\}}\n", text, re.S)
    called = re.findall(r"\b(Py\w+)(?=\()", body[1]) if body else []
    namesake = name.removeprefix("H")
    return namesake if namesake in called else called[0] if len(set(called)) == 1 else ""


def functions() -> dict[str, Function]:
    """All of them by name: the table's first. Where an author sees other types, the header's."""
    found = {function.name: function for function in functions_of_the_table()}
    for function in functions_of_the_headers():
        known = found.setdefault(function.name, function)
        if "_ABI *" in known.signature:
            found[function.name] = known._replace(signature=function.signature)
    return found


def macros() -> Iterator[tuple[str, str]]:
    """(use, comment) of the macros with arguments that stand for no function."""
    known = functions()
    for file in sorted((REPOSITORY / "include" / "hpy").glob("*.h")):
        pattern = r"((?:/\*(?:[^*]|\*(?!/))*\*/\n)?)^#define (HPy\w+)(\([^)]*\))"
        for found in re.finditer(pattern, file.read_text("utf-8"), re.M):
            if found[2] not in known:
                yield found[2] + found[3], _plain(found[1])


def section_of(name: str) -> str:
    kind = name.partition("_")[0]
    # HPyListBuilder_i_New is one of the builders.
    return SECTIONS[kind]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _entry(function: Function) -> str:
    notes = []
    if function.nullable:
        notes.append("May be `HPy_NULL`: " + ", ".join(f"`{n}`" for n in function.nullable) + ".")
    if function.fails:
        notes.append(f"Fails: `{function.fails}`.")
    if function.cpython:
        notes.append(f"CPython: `{function.cpython}`.")
    if function.comment:
        text = function.comment[:1].upper() + function.comment[1:]
        notes.append(text if text.endswith((".", ":")) else text + ".")
    return f"| `{function.signature}` | {_cell(' '.join(notes))} |"


def document() -> str:
    lines = [START.rstrip("\n"), ""]
    by_section: dict[str, list[Function]] = {title: [] for title in SECTIONS.values()}
    for function in functions().values():
        by_section[section_of(function.name)].append(function)
    for title, members in by_section.items():
        lines += [f"## {title}", "", "| function | |", "|---|---|"]
        lines += [_entry(function) for function in members]
        lines.append("")
    lines += ["## Macros", "", "| macro | |", "|---|---|"]
    lines += [f"| `{use}` | {_cell(comment)} |" for use, comment in dict(macros()).items()]
    lines += ["", "## Constants", "", "Members of the context, of type `HPy`: never closed.", ""]
    lines += ["| constant | CPython |", "|---|---|"]
    for _, (_, member, value), _ in _rows("context.inc", "HPY_HANDLE"):
        value = value.replace("(PyObject *)&", "")
        lines.append(f"| `ctx->{member}` | `{value}` |")
    lines += [
        "",
        "## Slots",
        "",
        "For `HPyDef_SLOT(name, SLOT)`, in types and (`HPy_mod_*`) modules.",
    ]
    lines += ["", "| slot | signature |", "|---|---|"]
    for _, (name, _, signature), _ in _rows("slots.inc", "HPY_SLOT"):
        lines.append(f"| `{name}` | `HPyFunc_{signature}` |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
