"""After a thousand violations in one process, of every kind that can go on, the process is sound.

Nothing is lost on the way: the report file counts a thousand, and so does hpy.debug with what it
does not count, leaks and notes. Faults in guarded memory are made in children, and the policy abort
ends one process for each kind.
"""

import contextlib
import gc
import json
import random
import re
import resource
import signal
import sys
import time
import warnings
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyDebugWarning, HPyLeakError, LeakDetector
from hpy.debug.native import native
from hpy.debug.violation import Violation
from hpy.universal import _debug
from support import tree
from support.child import Completed, PythonRunner
from support.extension import Extension, ModuleFactory
from support.generator import Case, make_case
from support.generator_mistakes import FAULTS, MISTAKES, told
from support.generator_source import SOURCE

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

THOUSAND = 1000
EACH = 25  # of each kind at least
# What ends nothing: a leak is reported when a detector stops, and a note is no mistake.
QUIET = ("handle-leak", "builder-leak", "tracker-leak", "long-lived-handle")


class Object:
    """What a weak reference can be made to."""


def make_one(mod: Any, rng: random.Random, kind: str, policy: str) -> None:
    """A program with that mistake. Under warn it may end well, or with its own exception."""
    case = make_case(rng, MISTAKES[kind], 1.0 if kind == "stale-context" else 0.3)
    mod.save()  # the context that is stale then
    # Setting the policy anew: what threads and slots do wrong is reported once with each.
    with hpy.debug.configure(on_violation=policy, long_lived=kind == "long-lived-handle"):
        detector = LeakDetector()
        detector.start()
        with contextlib.suppress(HPyDebugError, ValueError):
            case.run(mod)
        time.sleep(0)  # CPython 3.9 looks for pending calls when it takes the GIL
        if kind == "long-lived-handle":
            mod.drop()  # it is no leak
        with contextlib.suppress(HPyLeakError):
            detector.stop()
        mod.drop()


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def lines_of(report: Path) -> Counter[str]:
    """How many of each kind are in a report file, which folds what is the same."""
    kinds: Counter[str] = Counter()
    for line in report.read_text("utf-8").splitlines():
        violation = Violation.from_json(line)
        kinds[violation.kind] += violation.count
    return kinds


def open_handles() -> int:
    return len(_debug.get_open_handles(0))


@pytest.mark.parametrize("policy", ["raise", "warn"])
def test_thousand(
    hpy_module: ModuleFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    unraisable: list[BaseException] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda u: unraisable.append(u.exc_type))
    mod = hpy_module(SOURCE, cflags=["-O0"])
    report = tmp_path / "report.jsonl"
    rng = random.Random(20260731)
    names = list(MISTAKES)
    kinds = [names[number % len(names)] for number in range(THOUSAND)]
    rng.shuffle(kinds)
    wanted = Counter(kinds)
    assert min(wanted.values()) >= EACH
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HPyDebugWarning)
        with hpy.debug.configure(on_violation=policy, closed_handles=1024):
            for kind in kinds:  # what is made once: stories, and what is known of the binaries
                make_one(mod, rng, kind, policy)
        unraisable.clear()
        gc.collect()
        before, handles, count = len(gc.get_objects()), open_handles(), native().violation_count()
        memory = resident()
        with hpy.debug.configure(on_violation=policy, report=report, closed_handles=1024):
            for kind in kinds:
                make_one(mod, rng, kind, policy)
    gc.collect()
    if not tree.HAS_ASAN:  # which holds back the memory that was freed
        assert resident() - memory < 2 << 20
    quiet = sum(wanted[kind] for kind in QUIET)
    assert native().violation_count() - count + quiet == THOUSAND
    assert lines_of(report) == wanted
    # A warning is as good as any other, and a thread has no function that could raise.
    assert len(unraisable) == (wanted["wrong-thread"] if policy == "raise" else 0)
    # The interpreter, and what debug mode keeps.
    mod.save()
    obj = Object()
    there = weakref.ref(obj)
    programs = [make_case(rng) for _ in range(50)]
    for case in programs:
        case.run(mod)
    del obj
    gc.collect()
    assert there() is None
    assert open_handles() == handles
    assert len(gc.get_objects()) - before < 300


def run_cases(
    extension: Extension, run_python: PythonRunner, report: Path, policy: str, cases: list[Case]
) -> tuple[Completed, list[Violation]]:
    """Runs each in a child of its own, by fork. They print with which status they ended."""
    done = run_python(
        f"""
        import gc, os, mytest
        mytest.save()
        cases = [{", ".join(f"lambda: {case.script()}" for case in cases)}]
        for case in cases:
            child = os.fork()
            if child == 0:
                try:
                    case()
                except BaseException as error:
                    print(type(error).__name__, flush=True)
                os._exit(0)
            print(os.waitpid(child, 0)[1] & 0x7F, flush=True)
        """,
        module=extension,
        env={"HPY_DEBUG_REPORT": str(report), "HPY_DEBUG_ON_VIOLATION": policy},
    )
    assert done.returncode == 0, done.stderr
    return done, [Violation.from_json(line) for line in report.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("kind", FAULTS)
def test_faults(extension: Extension, run_python: PythonRunner, tmp_path: Path, kind: str) -> None:
    """Planted like the others, at a random place of a program."""
    rng = random.Random(kind)
    cases = [make_case(rng, FAULTS[kind]) for _ in range(EACH)]
    done, found = run_cases(extension, run_python, tmp_path / "report.jsonl", "raise", cases)
    assert done.stdout.splitlines() == [str(int(signal.SIGSEGV))] * EACH
    assert [told(violation) for violation in found] == [case.expected for case in cases]
    assert done.stderr.count(f"error[{kind}]: ") == EACH


@pytest.mark.parametrize("kind", [kind for kind in MISTAKES if kind not in QUIET])
def test_abort(extension: Extension, run_python: PythonRunner, tmp_path: Path, kind: str) -> None:
    """The whole report, with its lines, its line of JSON, and the end."""
    case = make_case(random.Random(kind), MISTAKES[kind], float(kind == "stale-context"))
    done, found = run_cases(extension, run_python, tmp_path / "report.jsonl", "abort", [case])
    assert [told(violation) for violation in found] == [case.expected]
    (violation,) = found
    if kind == "null-argument" and done.stdout == "HPyDebugError\n0\n":
        return  # where universal itself raises
    assert done.stdout == f"{int(signal.SIGABRT)}\n"
    line = json.dumps(violation.to_dict())
    text = words(native().render_text([line], 1, False, None, None).partition("\nSUMMARY: ")[0])
    report = words(done.stderr)
    assert report[: len(text)] == text
    end = report[len(text) :].lstrip("\n")
    assert end.startswith(
        ("Fatal Python error: ", "Error: Wrong HPy Context!\nFatal Python error: ")
    )


def words(text: str) -> str:
    """A report without what a line of JSON does not tell: which argument, and the how manieth."""
    text = re.sub(r" +\(\d+\w\w argument\)|, the \d+\w\w that was opened", "", text)
    text = re.sub(r"= handle: (0x\w+|the \d+\w\w that was opened)", "= handle: one", text)
    return re.sub(r"^( *\| ) *[-^]+ ", r"\1", text, flags=re.M)


@pytest.fixture
def extension(hpy_module: ModuleFactory) -> Extension:
    return hpy_module.build(SOURCE, cflags=["-O0"])
