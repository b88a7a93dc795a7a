"""`python -m hpy.debug run`: as python would, with debug mode on and leaks looked for."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import mistakes, tree
from support.child import Completed, PythonRunner
from support.extension import Extension, ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

RUN = ["-m", "hpy.debug", "run"]


@pytest.fixture
def extension(hpy_module: ModuleFactory) -> Extension:
    built = hpy_module.build(mistakes.SOURCE)
    built.env.clear()  # `run` is what switches debug mode on
    return built


@pytest.fixture
def run(run_python: PythonRunner, extension: Extension, tmp_path: Path) -> Any:
    """run(flags, script, arguments): `hpy.debug run` of a script in tmp_path/work."""
    folder = tmp_path / "work"
    folder.mkdir()

    def run(flags: list[str], code: str, *arguments: str, **how: Any) -> Completed:
        (folder / "script.py").write_text(code)
        command = [*RUN, *flags, "script.py", *arguments]
        return run_python.run(command, module=extension, cwd=folder, **how)

    return run


# As python would.

SHOW = """
import os, sys
print(__name__, __file__, __package__, __spec__ and __spec__.name, __builtins__.__name__)
print(type(__loader__).__name__, sys.argv, sys.path[0], "__cached__" in globals())
print(sys.modules["__main__"].__dict__ is globals(), [n for n in globals() if n[0] != "_"])
import __main__
print(__main__.__file__)
"""


def both(
    run_python: PythonRunner, arguments: list[str], cwd: Path, **how: Any
) -> tuple[Completed, Completed]:
    """The same by python itself and by `run`, whose SUMMARY line is taken off."""
    plain = run_python.run(arguments, cwd=cwd, **how)
    ours = run_python.run([*RUN, *arguments], cwd=cwd, **how)
    assert ours.stderr.endswith("SUMMARY: hpy.debug: no violations\n")
    ours.stderr = ours.stderr[: ours.stderr.rindex("SUMMARY:")]
    return plain, ours


def same(plain: Completed, ours: Completed) -> None:
    assert ours.stdout == plain.stdout
    assert ours.stderr == plain.stderr
    assert ours.returncode == plain.returncode


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "pkg").mkdir(parents=True)
    (folder / "sub").mkdir()
    (folder / "app").mkdir()
    for name in ("show.py", "pkg/show.py", "pkg/__main__.py", "sub/show.py", "app/__main__.py"):
        (folder / name).write_text(SHOW)
    (folder / "pkg" / "__init__.py").write_text("")
    (folder / "link.py").symlink_to("sub/show.py")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ["show.py"],
        ["show.py", "--report", "x", "-m", "--help", "--", "a b"],
        ["./sub/show.py", "1"],
        ["link.py"],
        ["app"],
        ["-m", "show", "--modules", "x"],
        ["-m", "pkg.show", "-o"],
        ["-m", "pkg", "a"],
    ],
    ids=" ".join,
)
def test_program_sees_what_it_sees_under_python(
    run_python: PythonRunner, project: Path, command: list[str]
) -> None:
    plain, ours = both(run_python, command, project)
    assert plain.returncode == 0
    same(plain, ours)


def test_zip_file(run_python: PythonRunner, project: Path) -> None:
    import zipfile

    with zipfile.ZipFile(project / "app.zip", "w") as archive:
        archive.write(project / "app" / "__main__.py", "__main__.py")
    plain, ours = both(run_python, ["app.zip", "a"], project)
    assert plain.returncode == 0, plain.stderr
    same(plain, ours)


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit()",
        "import sys; sys.exit(0)",
        "import sys; sys.exit(3)",
        "import sys; sys.exit(True)",
        "import sys; sys.exit('text')",
        "import sys; sys.exit((1, 2))",
        "raise SystemExit",
        "def f():\n    raise ValueError('x')\nf()",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError from e",
        "this is no Python",
        "def f(:\n  pass",
        "import sys\nsys.excepthook = lambda *a: print(a[0], a[2].tb_frame.f_code.co_name)\n1/0",
        "import atexit; atexit.register(print, 'at the end')\nprint('first')",
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(.2), print('thread'))).start()\nprint('main')",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "p = ThreadPoolExecutor(2)\nprint(p.submit(pow, 2, 3).result())",
        "import pickle\nclass A: pass\nprint(pickle.loads(pickle.dumps(A())).__class__)",
        "import inspect\ndef f(): pass\nprint(inspect.getsource(f))",
        "# coding: latin-1\nprint(ascii('\xe9'))",
        "import os\nos._exit(4)",
    ],
)
def test_ends_as_under_python(run_python: PythonRunner, tmp_path: Path, code: str) -> None:
    (tmp_path / "script.py").write_bytes(code.encode("latin-1"))
    if "os._exit" in code:
        done = run_python.run([*RUN, "script.py"], cwd=tmp_path)
        assert (done.returncode, done.stderr) == (4, "")
        return
    same(*both(run_python, ["script.py"], tmp_path))


def test_interrupt_ends_by_the_signal(run_python: PythonRunner, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("raise KeyboardInterrupt")
    plain, ours = both(run_python, ["script.py"], tmp_path)
    assert plain.returncode == -signal.SIGINT
    same(plain, ours)


def test_isolated_interpreter(run_python: PythonRunner, tmp_path: Path) -> None:
    """With -I the folder of the script is not put on sys.path, and nothing is taken off it."""
    (tmp_path / "script.py").write_text("import sys; print(sys.path)")
    code = "import sys; sys.path.insert(0, {0!r}); import runpy\nsys.argv[1:] = {1!r}\n"
    code += "runpy.run_module('hpy.debug', run_name='__main__')"
    arguments = ["run", "script.py"]
    done = run_python.run(["-I", "-c", code.format(str(tree.STAGED), arguments)], cwd=tmp_path)
    assert done.stdout.startswith(f"['{tree.STAGED}', "), done.stderr


# With debug mode on.


def test_status_70_and_the_report(run: Any) -> None:
    done = run([], mistakes.SCRIPT, "use", "leak")
    assert done.returncode == 70
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[-1] == "SUMMARY: hpy.debug: 1 use-after-close, 1 handle-leak"
    assert "script.py:7: HPyDebugWarning: error[use-after-close]: HPy_Add was given" in lines[0]
    text = done.stderr
    for shown in (
        "= python: script.py:7 in <module>\n",
        f"{line_of(mistakes.SOURCE, '/* leak */')} |     HPy_Dup(ctx, arg);  /* leak */",
        "^^^^^^^ used here",
    ):
        assert shown in text
    # The excerpt is shown once: the warning is short.
    assert text.count("used here") == 1


def test_nothing_found(run: Any) -> None:
    done = run([], "import mytest; print(mytest.good(5))")
    assert (done.returncode, done.stdout) == (0, "5\n")
    assert done.stderr == "SUMMARY: hpy.debug: no violations\n"


@pytest.mark.parametrize(
    ("end", "status"),
    [("sys.exit(0)", 70), ("sys.exit(3)", 3), ("sys.exit('no')", 1), ("1 / 0", 1), ("", 70)],
)
def test_program_that_did_not_end_well_keeps_its_status(run: Any, end: str, status: int) -> None:
    done = run([], f"import sys, mytest\nmytest.leak(1)\n{end}")
    assert done.returncode == status
    assert done.stderr.endswith("SUMMARY: hpy.debug: 1 handle-leak\n")


@pytest.mark.parametrize(
    "code",
    [
        "import atexit, mytest\natexit.register(mytest.leak, 1)",
        "import threading, mytest\nthreading.Timer(0.2, mytest.leak, [1]).start()",
    ],
)
def test_leaks_at_the_end_of_the_program(run: Any, code: str) -> None:
    done = run([], code)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        70,
        "SUMMARY: hpy.debug: 1 handle-leak",
    )


def test_a_mistake_made_often_is_shown_once_with_a_count(run: Any) -> None:
    done = run([], "import mytest\nfor i in range(30):\n    mytest.leak(1)\n    mytest.twice(1)")
    assert "= count: 30 times with the same stacks" in done.stderr
    assert done.stderr.endswith("30 double-close (1 site), 30 handle-leak (1 site)\n")


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_policy(run: Any, way: str) -> None:
    code = "import mytest\ntry:\n    mytest.twice(1)\nexcept Exception as e:\n    print(type(e))"
    flags = ["--on-violation", "raise"] if way == "flag" else []
    env = {"HPY_DEBUG_ON_VIOLATION": "raise"} if way == "variable" else {}
    done = run(flags, code, env=env)
    assert done.stdout == "<class 'hpy.debug.leakdetector.HPyDebugError'>\n"
    # It was caught, and is shown at the end all the same.
    assert "closed again here" in done.stderr
    assert done.returncode == 70
    done = run(["--on-violation=abort"], "import mytest; mytest.twice(1)")
    assert done.returncode == -signal.SIGABRT
    assert "Invalid usage of already closed handle" in done.stderr


def test_leak_detector_of_the_program_is_not_doubled(run: Any) -> None:
    code = """
import mytest, hpy.debug
try:
    with hpy.debug.LeakDetector():
        mytest.leak(1)
except hpy.debug.HPyLeakError:
    print("caught")
"""
    done = run([], code)
    assert done.stdout == "caught\n"
    assert done.stderr.endswith("SUMMARY: hpy.debug: 1 handle-leak\n")


def test_report_file(run: Any, tmp_path: Path) -> None:
    done = run(["--report", "out-{pid}.jsonl"], mistakes.SCRIPT, "use", "leak")
    (path,) = (tmp_path / "work").glob("out-*.jsonl")
    assert re.fullmatch(r"out-\d+\.jsonl", path.name)
    assert done.stderr.endswith(f", report: {path}\n")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["use-after-close", "handle-leak"]
    # No frame of this package, nor of what started it.
    assert [frame["file"] for line in lines for frame in line["opened"]["python"]] == [
        str(tmp_path / "work" / "script.py")
    ] * 2


def test_report_file_of_a_run_without_a_violation_is_empty(run: Any, tmp_path: Path) -> None:
    done = run(["--report", "out.jsonl"], "")
    assert done.returncode == 0
    assert (tmp_path / "work" / "out.jsonl").read_text() == ""


def test_children_are_in_debug_mode_too(run: Any, tmp_path: Path) -> None:
    code = """
import subprocess, sys
if len(sys.argv) == 1:
    subprocess.run([sys.executable, __file__, "child"], check=True)
else:
    import mytest
    mytest.twice(1)
"""
    done = run(["--report", "out.jsonl"], code)
    assert done.returncode == 0  # it is not the program itself
    (line,) = (tmp_path / "work" / "out.jsonl").read_text().splitlines()
    assert json.loads(line)["kind"] == "double-close"


def test_forked_child_keeps_its_status(run: Any) -> None:
    code = """
import os, sys, mytest
mytest.twice(1)
pid = os.fork()
if pid == 0:
    mytest.leak(1)
    sys.exit(0)
print(os.waitpid(pid, 0)[1])
"""
    done = run([], code)
    assert done.stdout == "0\n"
    summaries = [line for line in done.stderr.splitlines() if line.startswith("SUMMARY")]
    assert summaries == [
        "SUMMARY: hpy.debug: 1 handle-leak",
        "SUMMARY: hpy.debug: 1 double-close",
    ]
    assert done.returncode == 70


# --modules.


def test_modules(run: Any) -> None:
    assert run(["--modules", "mytest"], "import mytest; mytest.leak(1)").returncode == 70
    done = run(["--modules", "other,pkg.mytest"], "import mytest; mytest.leak(1)")
    assert done.returncode == 0
    assert done.stderr == (
        "hpy.debug: the module other of --modules was never loaded\n"
        "hpy.debug: the module pkg.mytest of --modules was never loaded\n"
        "SUMMARY: hpy.debug: no violations\n"
    )


def test_module_that_has_no_debug_mode(run: Any) -> None:
    done = run(["--modules", "mytest,json,hpy_no"], "import mytest, json; mytest.good(1)")
    assert done.stderr.splitlines()[:-1] == [
        "hpy.debug: the module json of --modules is not an HPy module of the Universal or Hybrid "
        "ABI, so it has no debug mode: build it with --hpy-abi=universal",
        "hpy.debug: the module hpy_no of --modules was never loaded; in debug mode were mytest",
    ]


def test_variable_hpy_does_not_undo_it(run: Any) -> None:
    done = run([], "import mytest; mytest.leak(1)", env={"HPY": "universal"})
    assert done.returncode == 70


# Suppressions.


def test_suppressions(run: Any, tmp_path: Path) -> None:
    (tmp_path / "known.txt").write_text("handle-leak function=leak\ndouble-close\nbuilder-leak\n")
    code = "import mytest\nmytest.leak(1)\nmytest.twice(1)\nmytest.leak(2)\n"
    done = run(["--suppressions", "../known.txt"], code)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "suppressed: 3 violations\n"
        f"       2 handle-leak function=leak ({tmp_path}/known.txt:1)\n"
        f"       1 double-close ({tmp_path}/known.txt:2)\n"
        f"   never builder-leak ({tmp_path}/known.txt:3)\n"
        "SUMMARY: hpy.debug: no violations\n"
    )
    done = run(["--suppressions", "../known.txt"], code + "mytest.leak_long(1)")
    assert done.returncode == 70
    assert done.stderr.endswith("\nSUMMARY: hpy.debug: 1 handle-leak\n")


def test_suppressions_of_pyproject(run: Any, tmp_path: Path) -> None:
    project = tmp_path / "work" / "pyproject.toml"
    project.write_text('[tool.hpy-debug]\nsuppressions = ["handle-leak module=mytest"]\n')
    assert run([], "import mytest\nmytest.leak(1)").returncode == 0


# Refused.


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "there is nothing to run; name a script or a module: run SCRIPT ARGS..., run -m"),
        (["missing.py"], "there is no script 'missing.py'. Name a Python file, or a module with"),
        (["."], "there is no __main__.py in '.', so it cannot be run; name a file in it"),
        (["-m", "missing_module"], "there is no module 'missing_module' to run with -m. It is lo"),
        (["-m", "json.missing"], "there is no module 'json.missing' to run with -m. It is lo"),
        (["-m", "collections"], "'collections' is a package without a __main__ and cannot be run"),
        (["-m", "a b"], "-m needs the name of a module, with dots; it is 'a b'"),
        (["-m", "math"], "the module 'math' "),
        (["-m"], "argument -m: expected one argument"),
        (["--modules", "1x", "s.py"], "a list of names of modules is wanted, such as pkg.mod_a,mo"),
        (["--modules", "", "s.py"], "a list of names of modules is wanted, such as pkg.mod_a,mod_"),
        (["--modules", "a,,b", "s.py"], "such as pkg.mod_a,mod_b; '' is none"),
        (
            ["--on-violation", "explode", "s.py"],
            "--on-violation must be one of abort, raise, warn;",
        ),
        (["--stack-depth", "99", "s.py"], "--stack-depth must be a whole number from 0 to 64; it"),
        (["--report", "/no/such/out", "s.py"], "--report must be the path of a file in a folder t"),
        (["--report", "/proc/out", "s.py"], "cannot write the report '/proc/out': "),
        (["--suppressions", "missing", "s.py"], "--suppressions must be the path of a file of sup"),
        (["--suppressions", "bad.txt", "s.py"], "bad.txt:2: there is no kind of violation 'non'"),
        (["--unknown", "s.py"], "unrecognized arguments: --unknown"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused(run_python: PythonRunner, tmp_path: Path, arguments: list[str], told: str) -> None:
    (tmp_path / "s.py").write_text("print('it ran')")
    (tmp_path / "bad.txt").write_text("handle-leak\nnon sense\n")
    done = run_python.run([*RUN, *arguments], cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_script_that_is_no_text(run_python: PythonRunner, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_bytes(b"a\0b")
    done = run_python.run([*RUN, "script.py"], cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert "null bytes" in done.stderr


def test_wrong_pyproject_is_refused_before_the_program_runs(run: Any, tmp_path: Path) -> None:
    project = tmp_path / "work" / "pyproject.toml"
    project.write_text("[tool.hpy-debug]\nsuppressions = ['nonsense']\n")
    done = run([], "print('it ran')")
    assert (done.returncode, done.stdout) == (2, "")
    assert "suppressions[0]: there is no kind of violation 'nonsense'" in done.stderr


def test_broken_pipe_is_quiet(run_python: PythonRunner) -> None:
    command = f"{sys.executable} -m hpy.debug explain | head -1"
    env = {**os.environ, "PYTHONPATH": str(tree.STAGED)}
    done = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("error[handle-leak]")
    assert done.stderr == ""
