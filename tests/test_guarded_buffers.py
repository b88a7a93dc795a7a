"""Memory behind a pointer from HPyUnicode_AsUTF8AndSize and its like: wrong accesses are reported.

The report names the faulting line, the API call that handed out the pointer and the closing of the
handle. The process then ends by SIGSEGV, after any handler that was there before.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from support import tree
from support.child import Completed, PythonRunner
from support.extension import ModuleFactory, line_of
from support.fault_source import SOURCE

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SIGSEGV = -11
GUARDS = ["strict", "adaptive"]
APIS = [
    ("'hello'", 0, "HPyUnicode_AsUTF8AndSize", "gives utf8"),
    ("b'hello'", 1, "HPyBytes_AsString", "gives bytes"),
    ("b'hello'", 2, "HPyBytes_AS_STRING", "gives BYTES"),
    ("type('hello', (), {})", 3, "HPyType_GetName", "gives name"),
]
api = pytest.mark.parametrize(("obj", "which", "name", "gives"), APIS, ids=[a[2] for a in APIS])
guard = pytest.mark.parametrize("guard", GUARDS)


class Case:
    """Runs a script that ends by a fault, and checks what must always be so."""

    def __init__(self, factory: ModuleFactory, run: PythonRunner, folder: Path) -> None:
        self._module = factory.build(SOURCE)
        self._run = run
        self._report = folder / "report.jsonl"

    def __call__(
        self, code: str, *, options: tuple[str, ...] = (), **variables: str
    ) -> tuple[Completed, list[Any]]:
        env = {"HPY_DEBUG_REPORT": str(self._report), **variables}
        done = self._run("import mytest\n" + code, module=self._module, env=env, options=options)
        text = self._report.read_text() if self._report.exists() else ""
        return done, [json.loads(line) for line in text.splitlines()]

    def fault(self, code: str, kind: str, **variables: str) -> tuple[Completed, Any]:
        done, lines = self(code, **variables)
        assert done.returncode == SIGSEGV, done.stderr
        assert done.stderr.startswith(f"hpy.debug: {kind}: "), done.stderr
        assert f"error[{kind}]: " in done.stderr
        (line,) = lines
        assert line["kind"] == kind
        assert line["message"].split(";")[0] in done.stderr
        assert line["count"] == 1
        return done, line


@pytest.fixture
def case(hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path) -> Case:
    return Case(hpy_module, run_python, tmp_path)


def first(stack: Any) -> tuple[str, int]:
    assert stack["native"][0]["file"].endswith("/mytest.c")
    return stack["native"][0]["function"], stack["native"][0]["line"]


def line(mark: str) -> int:
    return line_of(SOURCE, f"/* {mark} */")


def lines(stack: Any) -> list[int]:
    return [frame["line"] for frame in stack["native"]]


@pytest.mark.promise("DBG-09")
@api
@guard
@pytest.mark.parametrize("write", [0, 1], ids=["read", "write"])
def test_access_after_close(
    case: Case, obj: str, which: int, name: str, gives: str, guard: str, write: int
) -> None:
    done, found = case.fault(
        f"mytest.after({obj}, {which}, {write})", "buffer-after-close", HPY_DEBUG_GUARD=guard
    )
    assert found["api"] == name
    assert (found["module"], found["function"]) == ("mytest", "after")
    assert lines(found["at"]) == [line("writes" if write else "reads"), line("touches after")]
    assert lines(found["opened"]) == [line(gives), line("asks after")]
    assert lines(found["closed"]) == [line("closes after")]
    for stack in "at", "opened", "closed":
        assert found[stack]["python"][0]["line"] == 2
    assert f"memory from {name} was {'written to' if write else 'read'} after" in done.stderr
    assert "memory obtained here" in done.stderr
    assert "handle closed here" in done.stderr
    assert "script.py:2 in <module>" in done.stderr


@pytest.mark.promise("DBG-10")
@api
@guard
def test_write(case: Case, obj: str, which: int, name: str, gives: str, guard: str) -> None:
    done, found = case.fault(
        f"mytest.during({obj}, {which}, 1, 1)", "buffer-write", HPY_DEBUG_GUARD=guard
    )
    assert found["api"] == name
    assert lines(found["at"]) == [line("writes"), line("touches during")]
    assert lines(found["opened"]) == [line(gives), line("asks during")]
    assert found["closed"] is None
    assert found["at"]["python"][0]["line"] == 2
    assert found["handle"]["type"] == ("type" if which == 3 else "bytes" if which else "str")
    assert found["handle"]["repr"] == (None if which == 3 else obj)
    assert "written here" in done.stderr


@api
@guard
@pytest.mark.parametrize("write", [0, 1], ids=["read", "write"])
def test_overrun(
    case: Case, obj: str, which: int, name: str, gives: str, guard: str, write: int
) -> None:
    done, found = case.fault(
        f"mytest.during({obj}, {which}, 6, {write})", "buffer-overrun", HPY_DEBUG_GUARD=guard
    )
    assert found["api"] == name
    assert lines(found["at"]) == [line("writes" if write else "reads"), line("touches during")]
    assert lines(found["opened"]) == [line(gives), line("asks during")]
    assert found["closed"] is None
    assert "at byte 6, and its 6 bytes" in done.stderr


def test_the_terminating_nul_belongs_to_it(case: Case) -> None:
    done, found = case("mytest.during('hello', 0, 5, 0)\nmytest.during('h' * 9999, 0, 9999, 0)")
    assert (done.returncode, done.stderr, found) == (0, "", [])


def test_large_ones(case: Case) -> None:
    text = "'h' * 100_000"
    case.fault(f"mytest.during({text}, 0, 100_001, 0)", "buffer-overrun")


def test_large_one_after_close(case: Case) -> None:
    _, found = case.fault("mytest.after('h' * 100_000, 0, 0)", "buffer-after-close")
    assert lines(found["closed"]) == [line("closes after")]


def test_argument_ends_with_its_call(case: Case) -> None:
    done, found = case.fault("mytest.keep('hello', 0)\nmytest.touch_kept(0)", "buffer-after-close")
    assert found["function"] == "touch_kept"
    assert lines(found["opened"]) == [line("gives utf8"), line("asks keep")]
    assert first(found["closed"])[0] == "keep_impl"
    assert found["at"]["python"][0]["line"] == 3
    assert "by the return of the function" in done.stderr


@pytest.mark.parametrize(
    ("call", "mark", "note"),
    [
        ("copy_kept", "copies kept", ", called from here, made the access"),
        ("give_kept", "passes kept", "the API function that was called here made the access"),
    ],
)
def test_the_line_is_the_extensions(case: Case, call: str, mark: str, note: str) -> None:
    done, found = case.fault(f"mytest.keep('hello', 0)\nmytest.{call}()", "buffer-after-close")
    assert lines(found["at"]) == [line(mark)]
    assert note in done.stderr


def test_thread_that_python_does_not_know(case: Case) -> None:
    code = "mytest.keep('hello', 0)\nmytest.touch_in_thread()"
    _, found = case.fault(code, "buffer-after-close")
    assert lines(found["at"])[:2] == [line("reads"), line("touches in a thread")]
    assert found["at"]["python"] == []
    assert found["function"] is None


@guard
def test_in_a_process_that_has_had_threads(case: Case, guard: str) -> None:
    """Protection keys are for a thread that is alone: without them it is found as well."""
    code = "import threading\nt = threading.Thread()\nt.start()\nt.join()\n"
    _, found = case.fault(
        code + "mytest.right('hello', 500)\nmytest.after('hello', 0, 0)",
        "buffer-after-close",
        HPY_DEBUG_GUARD=guard,
    )
    assert lines(found["at"]) == [line("reads"), line("touches after")]


@guard
@pytest.mark.parametrize("warm", [0, 1, 11, 12, 13, 40], ids="after {} others".format)
def test_after_others_were_closed(case: Case, guard: str, warm: int) -> None:
    case.fault(
        f"mytest.keep('hello', 0)\nmytest.right('hello', {warm})\nmytest.touch_kept(0)",
        "buffer-after-close",
        HPY_DEBUG_GUARD=guard,
    )


@guard
def test_signal_handler(case: Case, guard: str) -> None:
    """It may read what is open, though the kernel takes protection keys away from it."""
    done, found = case("mytest.in_handler('hello', 0)", HPY_DEBUG_GUARD=guard)
    assert (done.returncode, done.stderr, found) == (0, "", [])
    _, wrong = case.fault(
        "mytest.in_handler('hello', 1)", "buffer-after-close", HPY_DEBUG_GUARD=guard
    )
    assert lines(wrong["at"])[:2] == [line("reads"), line("touches in a handler")]


def test_without_the_interpreter(case: Case) -> None:
    code = "mytest.keep('hello', 0)\nmytest.touch_outside()"
    _, found = case.fault(code, "buffer-after-close")
    assert lines(found["at"]) == [line("reads"), line("touches outside")]
    assert found["at"]["python"] == []


@pytest.mark.parametrize("policy", ["abort", "raise", "warn"])
def test_every_policy_ends_by_the_fault(case: Case, policy: str) -> None:
    code = "try:\n    mytest.after('hello', 0, 0)\nexcept BaseException:\n    pass"
    case.fault(code, "buffer-after-close", HPY_DEBUG_ON_VIOLATION=policy)


# Who else wants to know of the fault.


def test_faulthandler_that_was_there_before(case: Case) -> None:
    done, found = case("import faulthandler\nfaulthandler.enable()\nmytest.after('hello', 0, 0)\n")
    assert done.returncode == SIGSEGV
    assert len(found) == 1
    ours = done.stderr.index("error[buffer-after-close]")
    assert ours < done.stderr.index("Fatal Python error: Segmentation fault")


def test_faulthandler_that_is_enabled_later(case: Case) -> None:
    """Nothing is handed out in between that would put our handler on top again."""
    done, found = case(
        "import faulthandler\nmytest.keep('hello', 0)\nfaulthandler.enable()\n"
        "mytest.touch_kept(0)\n"
    )
    assert done.returncode == SIGSEGV
    assert len(found) == 1
    assert "error[buffer-after-close]" in done.stderr
    assert done.stderr.count("Fatal Python error: Segmentation fault") == 1


def test_handler_of_the_extension_comes_after_ours(case: Case) -> None:
    done, found = case("mytest.handle()\nmytest.after('hello', 0, 0)")
    assert done.returncode == SIGSEGV
    assert len(found) == 1
    ours = done.stderr.index("error[buffer-after-close]")
    assert ours < done.stderr.index("the extension's own handler")


@pytest.mark.parametrize("call", ["foreign", "raise_segv"])
def test_other_faults_are_not_ours(case: Case, call: str) -> None:
    done, found = case(f"mytest.keep('hello', 0)\nmytest.{call}()")
    assert (done.returncode, done.stderr, found) == (SIGSEGV, "", [])


@pytest.mark.parametrize("call", ["foreign", "raise_segv"])
def test_other_faults_go_on_to_faulthandler(case: Case, call: str) -> None:
    code = f"mytest.keep('hello', 0)\nmytest.{call}()"
    done, found = case(code, options=("-X", "faulthandler"))
    assert (done.returncode, found) == (SIGSEGV, [])
    assert done.stderr.startswith("Fatal Python error: Segmentation fault")
    assert done.stderr.count("Fatal Python error") == 1
    assert "hpy.debug: " not in done.stderr


# What must not keep the report back.


@pytest.mark.skipif(tree.HAS_ASAN, reason="AddressSanitizer ends it where the heap is damaged")
@pytest.mark.parametrize("name", ["x" * length for length in range(0, 16, 2)])
def test_damaged_heap(case: Case, name: str) -> None:
    """What lies in front of damaged blocks depends on how long the paths are, and on `name` so."""
    done, found = case("mytest.keep('hello', 0)\nmytest.damage_and_touch()")
    assert done.returncode == SIGSEGV
    assert done.stderr.startswith("hpy.debug: buffer-after-close: reading 0x")
    assert "error[buffer-after-close]" in done.stderr
    for mark in ("gives utf8", "asks keep", "reads", "touches damaged"):
        assert f"mytest.c:{line(mark)})" in done.stderr
    # The path of the report file lies on the heap too: damaged, it leaves the text alone.
    for row in found:
        assert row["api"] == "HPyUnicode_AsUTF8AndSize"
        assert lines(row["opened"]) == [line("gives utf8"), line("asks keep")]
        assert lines(row["at"]) == [line("reads"), line("touches damaged")]


def test_closed_standard_error(case: Case) -> None:
    done, found = case("import os\nos.close(2)\nmytest.after('hello', 0, 0)")
    assert (done.returncode, done.stderr) == (SIGSEGV, "")
    assert lines(found[0]["closed"]) == [line("closes after")]


def test_standard_error_nobody_reads(case: Case) -> None:
    """A closed pipe, with the signal that kills for it."""
    done, found = case(
        "import os, signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "r, w = os.pipe()\nos.close(r)\nos.dup2(w, 2)\nmytest.after('hello', 0, 0)"
    )
    assert done.returncode == SIGSEGV
    assert len(found) == 1


def test_full_disk(case: Case) -> None:
    done, _ = case(
        "import os\nos.dup2(os.open('/dev/full', os.O_WRONLY), 2)\nmytest.after('hello', 0, 0)",
        HPY_DEBUG_REPORT="/dev/full",
    )
    assert done.returncode == SIGSEGV


def test_no_descriptors_left(case: Case) -> None:
    _, found = case.fault(
        "import resource\nmytest.keep('hello', 0)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "files = []\ntry:\n    while True: files.append(open('/dev/null'))\n"
        "except OSError: pass\nmytest.touch_kept(0)",
        "buffer-after-close",
    )
    assert lines(found["at"]) == [line("reads"), line("touches kept")]


def test_forked_child(case: Case) -> None:
    done, found = case(
        "import os\nmytest.keep('hello', 0)\npid = os.fork()\n"
        "if pid == 0:\n    mytest.after('child', 0, 0)\n    os._exit(0)\n"
        "_, status = os.waitpid(pid, 0)\nprint(os.WTERMSIG(status))\n"
    )
    assert (done.returncode, done.stdout) == (0, "11\n")
    assert len(found) == 1
    assert lines(found[0]["at"]) == [line("reads"), line("touches after")]


def test_thousand_live_buffers_over_fork(case: Case) -> None:
    done, found = case(
        "import multiprocessing\n"
        "texts = [f'text {i}' for i in range(1000)]\n"
        "for text in texts: mytest.hold(text)\n"
        "def child(pipe):\n"
        "    assert pipe.recv() == 'changed'\n"
        "    ok = mytest.held_texts() == texts\n"
        "    mytest.release()\n"
        "    for i in range(1000): mytest.hold(f'child {i}')\n"
        "    pipe.send((ok, mytest.right('child', 1000)))\n"
        "    pipe.recv()\n"
        "    mytest.release()\n"
        "here, there = multiprocessing.Pipe()\n"
        "process = multiprocessing.get_context('fork').Process(target=child, args=(there,))\n"
        "process.start()\n"
        "mytest.release()\n"
        "for i in range(1000): mytest.hold(f'parent {i}')\n"
        "here.send('changed')\n"
        "assert here.recv()[0] is True\n"
        "assert mytest.held_texts() == [f'parent {i}' for i in range(1000)]\n"
        "here.send('end')\n"
        "process.join()\n"
        "mytest.release()\n"
        "print(process.exitcode)\n"
    )
    assert (done.returncode, done.stdout, found) == (0, "0\n", []), done.stderr


def test_subprocesses_are_left_alone(case: Case) -> None:
    done, found = case(
        "import subprocess, sys\nmytest.hold('hello')\n"
        "for i in range(5): subprocess.run([sys.executable, '-c', ''], check=True)\n"
        "print(mytest.held_texts())\nmytest.release()"
    )
    assert (done.returncode, done.stdout, found) == (0, "['hello']\n", [])


# No false reports.


@pytest.mark.parametrize("guard", [*GUARDS, "heap"])
def test_right_uses(case: Case, guard: str) -> None:
    done, found = case(
        "mytest.right('hello', 10_000)\nmytest.right('h' * 4095, 3000)\n"
        "mytest.right('h' * 9000, 99)",
        HPY_DEBUG_GUARD=guard,
    )
    assert (done.returncode, done.stderr, found) == (0, "", [])


def test_adaptive_finds_the_first_mistake_of_a_site(case: Case) -> None:
    """Ten thousand right uses elsewhere have not made this pair of sites a trusted one."""
    case.fault(
        "mytest.right('hello', 10_000)\nmytest.after('hello', 0, 0)",
        "buffer-after-close",
        HPY_DEBUG_GUARD="adaptive",
    )
