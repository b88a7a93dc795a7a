"""The documents for users: links lead somewhere, and what they show is what is printed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import documents, tree
from support.child import PythonRunner
from support.documents import block_after, code_after, first_missing, normalised
from support.extension import ModuleFactory
from support.json_source import one_source
from support.venv import environment

HPY_ABIS = ["debug"]

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


def test_five_commands(tmp_path: Path) -> None:
    """The last three of them, with this interpreter and the staged tree as the environment."""
    pytest.importorskip("setuptools")
    commands = block_after(README, "in five commands:")
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
    shown = block_after(README, "its results are right; with it,")
    assert len([line for line in shown if line.strip() not in ("", "...")]) == 11
    missing = first_missing(shown, outputs[1])
    assert not missing, f"{missing!r} is not in the output:\n{outputs[1]}"


def test_leak_detector_page(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    folder = tree.REPOSITORY / "examples" / "leaky"
    module = hpy_module.build((folder / "snippets.c").read_text("utf-8"), "snippets")
    done = run_python((folder / "debug-example.py").read_text("utf-8"), module=module)
    shown = block_after(documents.read("debug-mode.md"), "run with `HPY_DEBUG=1`, it ends with")
    said = done.stderr.replace("script.py", "debug-example.py")
    assert not first_missing(shown, said), f"{first_missing(shown, said)!r}:\n{said}"


def test_pytest_page(
    hpy_module: ModuleFactory,
    run_python: PythonRunner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("CI", "BUILD_NUMBER"):  # where pytest does not shorten its lines
        monkeypatch.delenv(name, raising=False)
    page = documents.read("pytest.md")
    source = (tree.REPOSITORY / "examples" / "leaky" / "snippets.c").read_text("utf-8")
    module = hpy_module.build(source, "snippets")
    (tmp_path / "test_snippets.py").write_text(code_after(page, "and these tests,"))
    command = ["-m", "pytest", "--hpy-debug", "-p", "no:cacheprovider", "test_snippets.py"]
    env = {"HPY_DEBUG": "", "COLUMNS": "80"}
    done = run_python.run(command, module=module, cwd=tmp_path, env=env)
    assert done.returncode == 1, done.stdout
    shown = block_after(page, "it prints")
    if pytest.version_tuple < (9,):  # its summary says of an error where it is, and no more
        shown = [re.sub(r"^(ERROR \S+) - .*", r"\1", line) for line in shown]
    missing = first_missing(shown, done.stdout)
    assert not missing, f"{missing!r} is not in the output:\n{done.stdout}"


@pytest.mark.parametrize(
    ("before", "abi", "env"),
    [
        ("With `examples/json` built in place", "trace", {"HPY_LOG": "1"}),
        ("before and after each call.", "trace", {}),
        ("With `HPY=debug`,", "debug", {}),
    ],
)
@pytest.mark.hpy_abis("trace")
def test_trace_page(
    hpy_module: ModuleFactory, run_python: PythonRunner, before: str, abi: str, env: dict[str, str]
) -> None:
    page = documents.read("trace.md")
    module = hpy_module.build(one_source(), "hpyjson")
    env = {"HPY": abi, **env}
    done = run_python(code_after(page, before), module=module, env=env)
    assert done.returncode == 0, done.stderr
    shown = [line for line in block_after(page[page.index(before) :], "prints") if line]
    said = (done.stderr + done.stdout).splitlines()
    assert [normalised(line) for line in said] == [normalised(line) for line in shown]
