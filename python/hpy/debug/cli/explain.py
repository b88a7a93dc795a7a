"""`explain` and `kinds`: the documentation of the kinds of violations.

The programs that show a kind are files of the package: examples/KIND/wrong.c and right.c, whole
little extension modules, and use.py, the lines of Python that run them.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap
from pathlib import Path
from typing import Any

from hpy.debug import kinds
from hpy.debug.cli.refusal import RefusedError

EXAMPLES = Path(__file__).parent.parent / "examples"
_PROGRAMS = (
    ("wrong.c", "Wrong"),
    ("right.c", "Right"),
    ("use.py", "Run by"),
)


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "explain",
        help="what a kind of violation means, with a program that is wrong and its right version",
        description="Explains one kind of violation, or all of them.",
        allow_abbrev=False,
    )
    parser.add_argument("kind", metavar="KIND", nargs="?", help="as in brackets in a report")
    parser.set_defaults(command=explain)
    parser = commands.add_parser(
        "kinds",
        help="list the kinds of violations",
        description="Lists every kind of violation, with what the extension did.",
        allow_abbrev=False,
    )
    parser.set_defaults(command=list_kinds)


def explain(given: argparse.Namespace) -> int:
    chosen = kinds.all_kinds() if given.kind is None else (_find(given.kind),)
    sys.stdout.write("\n".join(map(_text, chosen)))
    return 0


def list_kinds(given: argparse.Namespace) -> int:
    found = kinds.all_kinds()
    width = max(len(kind.name) for kind in found)
    for kind in found:
        note = " (a note)" if kind.severity == "note" else ""
        print(f"{kind.name:{width}}  {kind.title}{note}")
    return 0


def _find(name: str) -> kinds.Kind:
    try:
        return kinds.find(name)
    except LookupError as error:
        names = [kind.name for kind in kinds.all_kinds()]
        close = difflib.get_close_matches(name, names, 1)
        if close:
            raise RefusedError(
                f"there is no kind of violation {name!r}; did you mean {close[0]}? `kinds` lists "
                "what there is"
            ) from None
        raise RefusedError(str(error)) from None


def _text(kind: kinds.Kind) -> str:
    lines = [
        f"{kind.severity}[{kind.name}]: {kind.title}",
        "",
        *textwrap.wrap(kind.cause, 88),
        "",
        *textwrap.wrap(f"help: {kind.help}", 88, subsequent_indent="      "),
    ]
    for file, title in _PROGRAMS:
        path = EXAMPLES / kind.name / file
        if path.is_file():
            source = path.read_text("utf-8").rstrip()
            lines += ["", f"{title}:", "", textwrap.indent(source, "    ")]
    return "\n".join([*lines, ""])
