"""What the documents for users show: blocks of commands, of code, and of output."""

import re

from support import tree


def read(name: str) -> str:
    """README.md, or a file of docs/."""
    path = tree.REPOSITORY / name
    return (path if path.exists() else tree.REPOSITORY / "docs" / name).read_text("utf-8")


def block_after(document: str, text: str) -> list[str]:
    """The lines of the indented block that follows `text`; empty lines in it stay."""
    lines = document[document.index(text) :].splitlines()[1:]
    start = next(i for i, line in enumerate(lines) if line.startswith("    "))
    end = next(
        (i for i in range(start, len(lines)) if lines[i] and not lines[i].startswith("    ")),
        len(lines),
    )
    return [line[4:] for line in "\n".join(lines[start:end]).rstrip().split("\n")]


def code_after(document: str, text: str) -> str:
    """The Python code that follows `text`."""
    found = re.search(r"```python\n(.*?)```", document[document.index(text) :], re.S)
    assert found is not None, text
    return found[1]


def normalised(line: str) -> str:
    """Without what differs from run to run: addresses, durations, folders above the file."""
    line = re.sub(r"0x[0-9a-f]+", "0x", line.strip())
    line = re.sub(r"\s+\d+ ns$|\b[\d.]+s =+$", "", line)
    line = re.sub(r"(=|-|_){3,}", "---", line)
    return re.sub(r"\S*/(?=[\w-]+\.(?:c|py|hpy0\.so)\b)", "", line)


def first_missing(shown: list[str], said: str) -> str:
    """The first line of `shown` that does not follow, in its order, in what was said; "" if none.

    `...` stands for any lines.
    """
    lines = [normalised(line) for line in said.splitlines()]
    position = -1
    for line in shown:
        wanted = normalised(line)
        if wanted in ("", "..."):
            continue
        later = (i for i in range(position + 1, len(lines)) if lines[i] == wanted)
        position = next(later, -1)
        if position < 0:
            return line
    return ""
