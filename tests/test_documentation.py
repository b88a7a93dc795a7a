"""The documents for users: links lead somewhere, and what README.md shows is what is printed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import tree
from support.venv import environment

DOCUMENTS = [tree.REPOSITORY / "README.md", *sorted((tree.REPOSITORY / "docs").rglob("*.md"))]
README = DOCUMENTS[0].read_text("utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_links(document: Path) -> None:
    text = document.read_text("utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    # Files and folders in backticks, as far as they are in the repository.
    targets += re.findall(r"`([a-z_]+\.md|(?:docs|examples|tests)/[\w./-]*)`", text)
    assert all(
        (document.parent / target).exists() or (tree.REPOSITORY / target).exists()
        for target in targets
    ), [t for t in targets if not (document.parent / t).exists()]


def test_the_start_page_has_every_page() -> None:
    text = (tree.REPOSITORY / "docs" / "index.md").read_text("utf-8")
    folder = tree.REPOSITORY / "docs"
    pages = {path.name for path in folder.glob("*.md")} - {"index.md"} | {"kinds/index.md"}
    assert pages == set(re.findall(r"\]\(([\w/-]+\.md)\)", text))
    assert "docs/index.md" in README


def block_after(text: str) -> list[str]:
    """The lines of the indented block that follows `text` in README.md."""
    lines = README[README.index(text) :].splitlines()[1:]
    start = next(i for i, line in enumerate(lines) if line.startswith("    "))
    end = next(i for i, line in enumerate(lines) if i > start and not line.startswith("    "))
    return [line[4:] for line in lines[start:end]]


def normalised(line: str) -> str:
    """Without addresses and the folders above the project's."""
    line = re.sub(r"0x[0-9a-f]+", "0x", line.strip())
    return re.sub(r"\S*/(?=[\w-]+\.(?:c|py|hpy0\.so)\b)", "", line)


def test_five_commands(tmp_path: Path) -> None:
    """The last three of them, with this interpreter and the staged tree as the environment."""
    pytest.importorskip("setuptools")
    commands = block_after("in five commands:")
    assert len(commands) == 5
    assert commands[2] == "cd examples/first"
    project = tmp_path / "first"
    built = shutil.ignore_patterns("build", "*.so", "words.py", "__pycache__", "*.egg-info")
    shutil.copytree(tree.REPOSITORY / "examples" / "first", project, ignore=built)
    outputs = []
    for command in commands[3:]:
        assert "~/try/bin/python" in command
        done = subprocess.run(
            command.replace("~/try/bin/python", sys.executable),
            shell=True,
            cwd=project,
            # Not by ccache, which may give an object whose source was in a folder of another run.
            env={**environment({"CC": "cc"}), "PYTEST_ADDOPTS": "-p no:cacheprovider"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        outputs.append(done.stdout)
        assert done.returncode == (1 if "pytest" in command else 0), done.stdout
    said = [normalised(line) for line in outputs[1].splitlines()]
    shown = [normalised(line) for line in block_after("its results are right; with it,")]
    wanted = [line for line in shown if line != "..."]
    assert len(wanted) == 11
    position = -1
    for line in wanted:
        position = next((i for i, other in enumerate(said) if i > position and other == line), -1)
        assert position >= 0, f"{line!r} is not in the output:\n{outputs[1]}"
