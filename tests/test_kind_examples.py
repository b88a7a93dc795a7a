"""The programs of `python -m hpy.debug explain KIND`: the wrong one makes that mistake only.

The right one makes none.
"""

import json
from pathlib import Path

import pytest

from hpy.debug import kinds
from support import tree
from support.child import Completed, PythonRunner
from support.extension import ModuleFactory

HPY_ABIS = ["debug"]

EXAMPLES = tree.PACKAGE / "debug" / "examples"
KINDS = [kind.name for kind in kinds.all_kinds()]


def run(
    hpy_module: ModuleFactory, run_python: PythonRunner, report: Path, kind: str, program: str
) -> tuple[Completed, list[str]]:
    """Compiles it, runs its use.py, and returns the kinds in the report file."""
    source = (EXAMPLES / kind / program).read_text("utf-8")
    extension = hpy_module.build(
        source, name="example", cflags=["-Wextra", "-Wno-unused-parameter"]
    )
    done = run_python.run(
        [str(EXAMPLES / kind / "use.py")],
        {"HPY_DEBUG_REPORT": str(report), "HPY_DEBUG_ON_VIOLATION": "raise"},
        extension,
    )
    lines = report.read_text("utf-8").splitlines() if report.exists() else []
    return done, [json.loads(line)["kind"] for line in lines]


@pytest.mark.promise("DBG-38")
@pytest.mark.parametrize("kind", KINDS)
def test_wrong(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path, kind: str
) -> None:
    done, found = run(hpy_module, run_python, tmp_path / "report.jsonl", kind, "wrong.c")
    assert set(found) == {kind}, done.stderr
    # Where the program goes on, it is right of Python to say nothing.
    assert done.returncode in ((-11,) if kind.startswith("buffer-") else (0, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_right(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path, kind: str
) -> None:
    done, found = run(hpy_module, run_python, tmp_path / "report.jsonl", kind, "right.c")
    assert found == []
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", KINDS)
def test_explain_shows_them(run_python: PythonRunner, kind: str) -> None:
    text = run_python.run(["-m", "hpy.debug", "explain", kind]).stdout
    for program in ("wrong.c", "right.c", "use.py"):
        source = (EXAMPLES / kind / program).read_text("utf-8")
        assert all(line in text for line in source.splitlines())
    assert f"/* {kind}: " in text, "the first line says what is wrong"


def test_there_is_nothing_else() -> None:
    found = sorted(str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.*"))
    programs = ("right.c", "use.py", "wrong.c")
    assert found == sorted(f"{kind}/{program}" for kind in KINDS for program in programs)
