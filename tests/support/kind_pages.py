"""docs/kinds: a page for each kind of violation, and one that lists them.

`python tests/support/kind_pages.py` writes them; tests/test_kind_pages.py fails where they differ.
The words are those of leakdetector/kinds.inc, the programs those of `python -m hpy.debug explain`
(python/hpy/debug/examples), the report is what is printed about the wrong one (tests/golden).
"""

import re
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "docs" / "kinds"
EXAMPLES = REPOSITORY / "python" / "hpy" / "debug" / "examples"
GOLDEN = REPOSITORY / "tests" / "golden"

MADE = (
    "<!-- Made by tests/support/kind_pages.py from leakdetector/kinds.inc, the examples of "
    "hpy.debug and tests/golden. -->"
)


class Kind(NamedTuple):
    """A row of kinds.inc. `group` is the comment above those that belong together."""

    group: str
    name: str
    severity: str
    title: str
    cause: str
    help: str


def kinds() -> list[Kind]:
    """In the order of the table."""
    table = (REPOSITORY / "leakdetector" / "kinds.inc").read_text("utf-8")
    # What is in front of the first one is the rules of the table itself.
    table = table[table.index("\n\n") :]
    found = []
    group = ""
    for comment, severity, strings in re.findall(
        r'^// (.+)\.$|^HPY_KIND\(\w+, (?="[\w-]+", (\w+))((?:[^"()]|"[^"]*")*)\)', table, re.M
    ):
        if comment:
            group = comment
            continue
        joined = re.sub(r'"\s*\n\s*"', "", strings)
        name, title, cause, how = re.findall(r'"([^"]*)"', joined)
        found.append(Kind(group, name, severity.lower(), title, cause, how))
    return found


def _sentence(text: str) -> str:
    """With a capital and a full stop; names of the API stay as they are."""
    start = text if re.match(r"\w*_|HPy", text) else text[:1].upper() + text[1:]
    return start if start.endswith(".") else f"{start}."


def page(kind: Kind) -> str:
    """The Markdown of one kind."""

    def program(file: str) -> list[str]:
        text = (EXAMPLES / kind.name / file).read_text("utf-8").rstrip("\n")
        return ["", f"```{'c' if file.endswith('.c') else 'python'}", text, "```"]

    report = (GOLDEN / f"{kind.name}.txt").read_text("utf-8").rstrip("\n")
    lines = [f"# {kind.name}", "", MADE, "", _sentence(kind.title), "", kind.cause, ""]
    lines.append(f"**What to do:** {_sentence(kind.help)}")
    if kind.severity == "note":
        lines += [
            "",
            "It is a note: it is shown when it is asked for (`long_lived=True`, "
            "`HPY_DEBUG_LONG_LIVED=1`), and never fails, warns or raises.",
        ]
    lines += ["", "## Wrong", *program("wrong.c"), "", "Run by", *program("use.py")]
    lines += ["", "## What is printed", "", "```", report, "```"]
    lines += ["", "## Right", *program("right.c"), ""]
    # A fault in guarded memory ends the process, whatever is allowed.
    if kind.severity == "error" and not kind.name.startswith("buffer-"):
        lines += [
            "## Where it is known already",
            "",
            f'`@pytest.mark.hpy_allow("{kind.name}", reason="...")` lets one test pass, a line '
            f"`{kind.name} function=NAME` in a file of suppressions keeps it out of what is "
            "shown: see [pytest.md](../pytest.md) and [command-line.md](../command-line.md).",
            "",
        ]
    lines += ["[All kinds](index.md)", ""]
    return "\n".join(lines)


def index() -> str:
    """The Markdown of the list."""
    lines = [
        "# Kinds of violations",
        "",
        MADE,
        "",
        "What stands in brackets at the start of a report, `error[use-after-close]`. Each page has",
        "the cause, a program with the mistake, the report about it, and the program without it.",
        "`python -m hpy.debug explain KIND` says the same in the terminal.",
    ]
    group = ""
    for kind in kinds():
        if kind.group != group:
            group = kind.group
            lines += ["", f"## {group}", "", "| kind | what the extension did |", "|---|---|"]
        note = " (a note)" if kind.severity == "note" else ""
        lines.append(f"| [{kind.name}]({kind.name}.md) | {kind.title}{note} |")
    return "\n".join([*lines, ""])


def pages() -> dict[str, str]:
    """The text of every file of the folder, by its name."""
    return {"index.md": index(), **{f"{kind.name}.md": page(kind) for kind in kinds()}}


def write() -> None:
    """Makes the folder what it is to be."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for path in FOLDER.iterdir():
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
