"""`explain`, `kinds`, and the command line as a whole."""

import shutil
from importlib.metadata import distribution
from pathlib import Path

import pytest

from hpy.debug import kinds
from support import tree
from support.child import PythonRunner

DEBUG = ["-m", "hpy.debug"]


def test_kinds(run_python: PythonRunner) -> None:
    done = run_python.run([*DEBUG, "kinds"])
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [kind.name for kind in kinds.all_kinds()]
    for line, kind in zip(lines, kinds.all_kinds()):
        assert kind.title in line
        assert line.endswith(" (a note)") == (kind.severity == "note")


@pytest.mark.parametrize("kind", ["use-after-close", "long-lived-handle"])
def test_explain(run_python: PythonRunner, kind: str) -> None:
    done = run_python.run([*DEBUG, "explain", kind])
    assert (done.returncode, done.stderr) == (0, "")
    known = kinds.find(kind)
    assert done.stdout.startswith(f"{known.severity}[{kind}]: {known.title}\n")
    text = " ".join(done.stdout.split())
    assert known.cause in text
    assert f"help: {known.help}" in text


def test_explain_everything(run_python: PythonRunner) -> None:
    done = run_python.run([*DEBUG, "explain"])
    assert done.returncode == 0
    for kind in kinds.all_kinds():
        assert f"[{kind.name}]: {kind.title}\n" in done.stdout


def test_explain_shows_the_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hpy.debug import cli
    from hpy.debug.cli import explain

    monkeypatch.setattr(explain, "EXAMPLES", tmp_path)
    folder = tmp_path / "handle-leak"
    folder.mkdir()
    (folder / "wrong.c").write_text("wrong();\n    twice();\n")
    (folder / "right.c").write_text("right();\n")
    (folder / "use.py").write_text("import example\n")
    assert cli.main(["explain", "handle-leak"]) == 0
    assert capsys.readouterr().out.endswith(
        "\nWrong:\n\n    wrong();\n        twice();\n\nRight:\n\n    right();\n"
        "\nRun by:\n\n    import example\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["explain", "use-after-clos"], "of violation 'use-after-clos'; did you mean use-after-cl"),
        (["explain", "zzz"], "there is no kind of violation 'zzz'; there is handle-leak, "),
        (["explain", "a", "b"], "unrecognized arguments: b"),
        (["explian"], "invalid choice: 'explian' (choose from"),
        ([], "the following arguments are required: COMMAND"),
        (["doctor", "/no/such"], "there is no file or folder '/no/such'; name an HPy module, such"),
    ],
)
def test_refused(run_python: PythonRunner, arguments: list[str], told: str) -> None:
    done = run_python.run([*DEBUG, *arguments])
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", ["", "run", "report", "diff", "suppress", "explain", "kinds", "doctor"]
)
def test_help(run_python: PythonRunner, command: str) -> None:
    done = run_python.run([*DEBUG, *command.split(), "--help"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m hpy.debug {command}".rstrip())
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_help_of_run_has_every_setting(run_python: PythonRunner) -> None:
    from hpy.debug.settings import SETTINGS

    text = " ".join(run_python.run([*DEBUG, "run", "--help"]).stdout.split())
    for setting in SETTINGS.values():
        assert setting.flag in text
        assert setting.help in text


def test_without_the_native_module(run_python: PythonRunner) -> None:
    done = run_python(
        """
        import sys
        sys.modules["hpy.debug._native"] = None
        from hpy.debug.cli import main
        sys.exit(main(["kinds"]))
        """
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hpy.debug: the debug mode of hpy needs the native module hpy.d")


def test_script(run_python: PythonRunner, tmp_path: Path) -> None:
    """The entry point, called as the script that pip makes of it calls it."""
    points = distribution("hpy").entry_points
    (point,) = [p for p in points if p.group == "console_scripts" and p.name == "hpy-debug"]
    assert point.value == "hpy.debug.__main__:main"
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "hpy-debug"
    script.write_text(
        "import sys\nfrom hpy.debug.__main__ import main\nif __name__ == '__main__':\n"
        "    sys.exit(main())\n"
    )
    work = tmp_path / "work"
    work.mkdir()
    (work / "beside.py").write_text("")
    (work / "script.py").write_text("import sys, beside; print(sys.argv, sys.path[0])")
    done = run_python.run([str(script), "run", "script.py", "x"], cwd=work)
    assert (done.returncode, done.stdout) == (0, f"['script.py', 'x'] {work}\n")
    done = run_python.run([str(script), "--help"], cwd=work)
    assert done.stdout.startswith("usage: hpy-debug [-h] COMMAND")
    assert shutil.which("sh")
    assert (tree.STAGED / "hpy").is_dir()
