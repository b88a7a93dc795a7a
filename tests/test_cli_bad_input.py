"""Bad input to every command: exit status 2, and what was wanted, what was found, what mends it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hpy.debug import cli
from support import tree
from support.child import PythonRunner

pytestmark = pytest.mark.no_leak_check

GOOD = '{"kind":"handle-leak","message":"m"}\n'
FILES = {
    "good.jsonl": GOOD,
    "text.jsonl": "hello\n",
    "middle.jsonl": GOOD + '{"kind":"handle-le\n' + GOOD,
    "message.jsonl": GOOD + '{"kind":"handle-leak"}\n',
    "newer.jsonl": '{"kind":"new-kind","message":"m"}\n',
    "nonsense.txt": "handle-leak\n# a comment\nhandle-leek module=m\n",
    "where.txt": "handle-leak place=here\n",
    "script.py": "print('it ran')\n",
    "none.hpy0.so": "no library\n",
}

REPORT = "A report is what HPY_DEBUG_REPORT=F, or `run --report F`, makes"
FOLDER = "the path of a file in a folder that exists"


class Bad(NamedTuple):
    """A command line, and the parts of the message, in any order."""

    arguments: str
    wanted: str
    found: str
    mends: str


def of_reports(command: str) -> list[Bad]:
    """`command` has F where the bad file is named."""

    def bad(file: str, found: str, wanted: str = REPORT, mends: str = "a line of JSON each") -> Bad:
        return Bad(command.replace("F", file), wanted, found, mends)

    return [
        bad("missing.jsonl", "cannot read the report 'missing.jsonl': No such file"),
        bad("folder", "cannot read the report 'folder': Is a directory"),
        bad("text.jsonl", "'text.jsonl' is no report: line 1 is not JSON: 'hello'"),
        bad("middle.jsonl", "'middle.jsonl' is no report: line 2 is not JSON"),
        bad("message.jsonl", "line 2 is no violation", "its message is None", "'message.jsonl'"),
        bad(
            "newer.jsonl",
            "line 1 has the kind 'new-kind'",
            "not known here (`kinds` lists them)",
            "written by a later version of hpy?",
        ),
        bad(
            "no-{pid}.jsonl",
            "there is no report file 'no-{pid}.jsonl'",
            "with any number in place of {pid}",
            "A program with debug mode on and this HPY_DEBUG_REPORT makes them",
        ),
    ]


def of_suppressions(command: str) -> list[Bad]:
    return [
        Bad(
            f"{command} --suppressions nonsense.txt",
            "there is handle-leak, ",
            "there is no kind of violation 'handle-leek'",
            "nonsense.txt:3: ",  # the line to mend
        ),
        Bad(
            f"{command} --suppressions where.txt",
            "wanted NAME=PATTERN with one of the names module, function, api, native, python",
            "found 'place=here'",
            "where.txt:1: ",
        ),
        Bad(
            f"{command} --suppressions missing.txt",
            "Name a file with a suppression a line",
            "missing.txt': No such file or directory",
            "`python -m hpy.debug suppress REPORT -o FILE` writes one",
        ),
    ]


def of_output(command: str) -> list[Bad]:
    return [
        Bad(f"{command} -o no/out", FOLDER, "cannot write 'no/out': No such file", "-o needs"),
        Bad(f"{command} -o folder", FOLDER, "cannot write 'folder': Is a directory", "-o needs"),
        Bad(f"{command} -o /dev/full", FOLDER, "cannot write '/dev/full': No space", "-o needs"),
    ]


BAD = [
    *of_reports("report F"),
    *of_suppressions("report good.jsonl"),
    *of_output("report good.jsonl"),
    *of_reports("diff F good.jsonl"),
    *of_reports("diff good.jsonl F"),
    *of_suppressions("diff good.jsonl good.jsonl"),
    *of_output("diff good.jsonl good.jsonl"),
    *of_reports("suppress F"),
    *of_suppressions("suppress good.jsonl"),
    *of_output("suppress good.jsonl"),
    Bad(
        "explain handle-leek",
        "there is no kind of violation",
        "'handle-leek'",
        "did you mean handle-leak? `kinds` lists what there is",
    ),
    Bad("explain zzz", "there is handle-leak, ", "no kind of violation 'zzz'", "use-after-close"),
    Bad("kinds zzz", "usage: python -m hpy.debug", "unrecognized arguments: zzz", "[-h]"),
    Bad(
        "doctor missing.hpy0.so",
        "name an HPy module, such as NAME.hpy0.so, or a folder",
        "there is no file or folder 'missing.hpy0.so'",
        "or a folder",
    ),
    Bad(
        "doctor none.hpy0.so",
        "name an HPy module, such as NAME.hpy0.so, or a folder",
        "'none.hpy0.so' is no library of this machine: it is no 64 bit ELF library",
        "or a folder",
    ),
    Bad(
        "run", "name a script or a module", "there is nothing to run", "run SCRIPT ARGS..., run -m"
    ),
    Bad("run missing.py", "Name a Python file", "there is no script 'missing.py'", "with -m:"),
    Bad("run folder", "name a file in it", "there is no __main__.py in 'folder'", "cannot be run"),
    Bad(
        "run -m missing_module",
        "It is looked for in the current directory, PYTHONPATH and what is installed",
        "there is no module 'missing_module'",
        "`run SCRIPT` takes the path of a file",
    ),
    Bad("run -m math", "of Python source", "'math' has no Python code", "name a module of"),
    Bad(
        "run --modules 1x script.py",
        "a list of names of modules is wanted",
        "'1x' is none",
        "such as pkg.mod_a,mod_b",
    ),
    Bad("run --report no/out script.py", FOLDER, "it is 'no/out'", "--report must be"),
    Bad("run --report folder script.py", FOLDER, "it is 'folder'", "--report must be"),
    Bad(
        "run --report /proc/out script.py",
        FOLDER,
        "cannot write the report '/proc/out': ",
        "--report needs the path of a file",
    ),
    Bad(
        "run --suppressions nonsense.txt script.py",
        "there is handle-leak, ",
        "there is no kind of violation 'handle-leek'",
        "nonsense.txt:3: ",
    ),
    Bad(
        "run --suppressions missing.txt script.py",
        "must be the path of a file of suppressions",
        "it is 'missing.txt'",
        "suppress REPORT -o FILE` writes one",
    ),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.arguments)
def test_refused(
    folder: Path, run_python: PythonRunner, capsys: pytest.CaptureFixture[str], bad: Bad
) -> None:
    if bad.arguments.startswith("run"):  # it changes the process
        done = run_python.run(["-m", "hpy.debug", *bad.arguments.split()], cwd=folder)
        status, out, told = done.returncode, done.stdout, done.stderr
    else:
        status, out, told = main(bad.arguments.split(), capsys)
    assert (status, out) == (2, "")
    for part in (bad.wanted, bad.found, bad.mends):
        assert part in told
    assert "Traceback" not in told


def main(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[Any, str, str]:
    """The command in this process: the status, and what it printed."""
    status: Any
    try:
        status = cli.main(arguments)
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.mark.parametrize("command", ["report cut", "diff good.jsonl cut", "suppress cut"])
def test_a_last_line_that_was_cut_is_told_and_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (folder / "cut").write_text(GOOD + GOOD[:20])
    status, out, told = main(command.split(), capsys)
    assert status == 0
    assert told == (
        "hpy.debug: the last line of 'cut', line 2, was cut, as by a crash; it is left out\n"
    )
    assert ("handle-leak" in out) == (command != "diff good.jsonl cut")


@pytest.mark.parametrize(
    "command", ["report good.jsonl", "suppress good.jsonl", "explain", "kinds"]
)
def test_standard_output_that_is_full(folder: Path, command: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hpy.debug", *command.split()],
            env={**os.environ, "PYTHONPATH": str(tree.STAGED)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == (
        "hpy.debug: cannot write to standard output: No space left on device. Make room where it "
        "goes, or send it elsewhere\n"
    )


def test_module_that_was_never_loaded_is_told(folder: Path, run_python: PythonRunner) -> None:
    command = ["-m", "hpy.debug", "run", "--modules", "pkg.typo", "script.py"]
    done = run_python.run(command, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "it ran\n")
    assert done.stderr.startswith("hpy.debug: the module pkg.typo of --modules was never loaded\n")


def test_wrong_variable_is_told_once(folder: Path, run_python: PythonRunner) -> None:
    done = run_python.run(
        ["-m", "hpy.debug", "report", "good.jsonl"],
        {"HPY_DEBUG_SUPPRESSIONS": "nonsense.txt"},
        cwd=folder,
    )
    assert done.returncode == 0
    assert done.stderr.startswith("hpy.debug: the variable HPY_DEBUG_SUPPRESSIONS must be the path")
    assert done.stderr.endswith(". The default, None, is used\n")
    assert done.stderr.count("handle-leek") == 1
