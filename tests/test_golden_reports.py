"""The text of a report of each kind, word for word: tests/golden/KIND.txt.

It is that of the wrong program of `python -m hpy.debug explain KIND`. HPY_UPDATE_GOLDEN=1 writes
the files anew: look at what changed before you commit it.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

from hpy.debug import kinds
from support import tree
from support.child import PythonRunner
from support.extension import ModuleFactory

HPY_ABIS = ["debug"]

EXAMPLES = tree.PACKAGE / "debug" / "examples"
GOLDEN = tree.REPOSITORY / "tests" / "golden"
KINDS = [kind.name for kind in kinds.all_kinds()]


def normalised(text: str, folders: list[Path]) -> str:
    """Without addresses, frames of the C library, and the folders of this machine."""
    for folder in folders:
        for name in {str(folder), str(folder.resolve()), os.path.relpath(folder, folders[-1])}:
            text = text.replace(f"{name}/", "")
    text = re.sub(r"0x[0-9a-f]+", "0x...", text)
    text = re.sub(r" <- start_thread .*", " <- (the C library)", text)
    return re.sub(r"[ \t]+$", "", text, flags=re.M)


def report_of(hpy_module: ModuleFactory, run_python: PythonRunner, folder: Path, kind: str) -> str:
    """What `python -m hpy.debug report` says of the wrong program."""
    source = (EXAMPLES / kind / "wrong.c").read_text("utf-8")
    extension = hpy_module.build(source, name="example")
    env = {
        "HPY_DEBUG_REPORT": str(folder / "report.jsonl"),
        "HPY_DEBUG_ON_VIOLATION": "raise",
        "HPY_DEBUG_LONG_LIVED": "1" if kind == "long-lived-handle" else "0",
    }
    # A copy: Python frames of the folder of hpy.debug are not shown.
    shutil.copy(EXAMPLES / kind / "use.py", folder)
    run_python.run(["use.py"], env, extension, cwd=folder)
    done = run_python.run(["-m", "hpy.debug", "report", "report.jsonl"], cwd=folder)
    assert done.returncode == 0, done.stderr
    return normalised(
        done.stdout,
        [extension.source.parent, extension.folder, folder],
    )


@pytest.mark.parametrize("kind", KINDS)
def test_report(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path, kind: str
) -> None:
    text = report_of(hpy_module, run_python, tmp_path, kind)
    path = GOLDEN / f"{kind}.txt"
    if os.environ.get("HPY_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


def test_every_file_is_of_a_kind() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(KINDS)
