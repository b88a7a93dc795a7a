"""`diff` and `suppress`: what is new in a report, and what is known in it."""

from pathlib import Path
from typing import Any

import pytest

from support import mistakes
from support.child import Completed, PythonRunner
from support.extension import ModuleFactory

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

DEBUG = ["-m", "hpy.debug"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "script.py").write_text(mistakes.SCRIPT)
    return folder


@pytest.fixture
def make(hpy_module: ModuleFactory, run_python: PythonRunner, work: Path) -> Any:
    """make("out.jsonl", "leak", "use"): the report of a run with these mistakes."""

    def make(name: str, *functions: str, folder: Path = work) -> Completed:
        # A copy of the library in another folder each time, as another checkout has it.
        extension = hpy_module.build(mistakes.SOURCE)
        return run_python.run(
            [*DEBUG, "run", "--report", str(work / name), str(folder / "script.py"), *functions],
            module=extension,
            cwd=folder,
        )

    return make


@pytest.fixture
def debug(run_python: PythonRunner, work: Path) -> Any:
    return lambda *arguments: run_python.run([*DEBUG, *arguments], cwd=work)


def test_two_runs_with_other_addresses(make: Any, debug: Any, work: Path, tmp_path: Path) -> None:
    assert Path("/proc/sys/kernel/randomize_va_space").read_text().strip() != "0", (
        "without the randomisation of addresses this shows nothing"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "script.py").write_text(mistakes.SCRIPT)
    make("old.jsonl")
    make("new.jsonl", folder=elsewhere)
    assert (work / "old.jsonl").read_text() != (work / "new.jsonl").read_text()
    done = debug("diff", "old.jsonl", "new.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "SUMMARY: hpy.debug: no violations\n"


def test_one_more_leak_is_that_one(make: Any, debug: Any) -> None:
    make("old.jsonl", "leak", "twice", "use", "leak_long")
    make("new.jsonl", "use", "leak_below", "leak", "leak", "twice")
    done = debug("diff", "old.jsonl", "new.jsonl")
    assert done.returncode == 1
    assert done.stdout.count("error[") == 1
    assert " in make_row\n" in done.stdout
    assert done.stdout.endswith("SUMMARY: hpy.debug: 1 handle-leak\n")
    # The other way round it is the one that has gone.
    done = debug("diff", "new.jsonl", "old.jsonl", "--format", "folded")
    assert done.returncode == 1
    assert done.stdout.startswith("handle-leak;")
    assert "leak_long_impl" in done.stdout
    assert done.stdout.count("\n") == 1


def test_suppressed_is_not_new(make: Any, debug: Any, work: Path) -> None:
    make("old.jsonl", "good")
    make("new.jsonl", "leak")
    assert (work / "old.jsonl").read_text() == ""
    assert debug("diff", "old.jsonl", "new.jsonl").returncode == 1
    (work / "known.txt").write_text("handle-leak function=leak\n")
    done = debug("diff", "old.jsonl", "new.jsonl", "--suppressions", "known.txt")
    assert done.returncode == 0


def test_notes_are_shown_and_are_no_failure(debug: Any, work: Path) -> None:
    (work / "old.jsonl").write_text("")
    (work / "new.jsonl").write_text(
        '{"kind":"long-lived-handle","message":"m","severity":"note"}\n'
    )
    done = debug("diff", "old.jsonl", "new.jsonl")
    assert done.returncode == 0
    assert "note[long-lived-handle]" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("missing", "good", "cannot read the report 'missing': No such file or directory"),
        ("good", "missing", "cannot read the report 'missing': No such file or directory"),
        ("good", "bad", "'bad' is no report: line 1 is not JSON"),
        ("bad", "good", "'bad' is no report: line 1 is not JSON"),
    ],
)
def test_refused(debug: Any, work: Path, old: str, new: str, told: str) -> None:
    (work / "good").write_text("")
    (work / "bad").write_text("bad")
    done = debug("diff", old, new)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert debug("diff", "good").returncode == 2
    assert debug("suppress", "bad").returncode == 2
    assert debug("suppress", "good", "-o", "no/such").returncode == 2


def test_suppress_keeps_back_the_next_run(make: Any, debug: Any, work: Path) -> None:
    make("out.jsonl")
    done = debug("suppress", "out.jsonl", "-o", "known.txt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = (work / "known.txt").read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == len(mistakes.MISTAKES)
    assert any(line.endswith(":15 in leak_impl") for line in lines)
    assert "handle-leak module=mytest function=leak native=leak_impl" in lines
    done = debug("report", "out.jsonl", "--suppressions", "known.txt")
    assert done.stdout == "SUMMARY: hpy.debug: no violations, report: out.jsonl\n"
    assert done.stderr.startswith("suppressed: 20 violations\n")
    # What is suppressed already is not written again.
    (work / "pyproject.toml").write_text(
        "[tool.hpy-debug]\nsuppressions-file = 'known.txt'\nsuppressions = ['builder-leak']\n"
    )
    assert debug("suppress", "out.jsonl").stdout == ""
    done = make("next.jsonl")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == "suppressed: 20 violations"
    assert done.stderr.splitlines()[-2].startswith("   never builder-leak (pyproject.toml, supp")
