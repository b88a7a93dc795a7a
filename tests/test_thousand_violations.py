"""After a thousand violations in one process, of every kind that can go on, the process is sound.

Nothing is lost on the way: hpy.debug counts a thousand, and so do the lines of the report file.
"""

import contextlib
import gc
import json
import random
import resource
import warnings
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyDebugWarning
from hpy.debug.native import native
from hpy.universal import _debug
from support.child import PythonRunner
from support.extension import Extension, ModuleFactory
from support.generator import make_case
from support.generator_mistakes import MISTAKES
from support.generator_source import SOURCE

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

THOUSAND = 1000
# A leak is reported when a detector stops; tests/test_leakdetector.py counts them.
KINDS = [kind for kind in MISTAKES if not kind.endswith("-leak")]


class Object:
    """What a weak reference can be made to."""


def make_one(mod: Any, rng: random.Random, kind: str) -> None:
    """A program with that mistake. Under warn it may end well, or with its own exception."""
    case = make_case(rng, MISTAKES[kind], 1.0 if kind == "stale-context" else 0.3)
    mod.save()  # the context that is stale then
    with contextlib.suppress(HPyDebugError, ValueError):
        case.run(mod)


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def open_handles() -> int:
    return len(_debug.get_open_handles(0))


@pytest.mark.parametrize("policy", ["raise", "warn"])
def test_thousand(hpy_module: ModuleFactory, tmp_path: Path, policy: str) -> None:
    mod = hpy_module(SOURCE, cflags=["-O0"])
    report = tmp_path / "report.jsonl"
    rng = random.Random(20260731)
    kinds = [KINDS[number % len(KINDS)] for number in range(THOUSAND)]
    rng.shuffle(kinds)
    assert min(Counter(kinds).values()) >= 25
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HPyDebugWarning)
        with hpy.debug.configure(on_violation=policy, closed_handles=1024):
            for kind in kinds:  # what is made once: stories, and what is known of the binaries
                make_one(mod, rng, kind)
        gc.collect()
        before, handles, count = len(gc.get_objects()), open_handles(), native().violation_count()
        memory = resident()
        with hpy.debug.configure(on_violation=policy, report=report, closed_handles=1024):
            for kind in kinds:
                make_one(mod, rng, kind)
    gc.collect()
    assert resident() - memory < 2 << 20
    assert native().violation_count() - count == THOUSAND
    lines = report.read_text("utf-8").splitlines()
    assert Counter(json.loads(line)["kind"] for line in lines) == Counter(kinds)
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


@pytest.mark.parametrize("kind", KINDS)
def test_abort(extension: Extension, run_python: PythonRunner, tmp_path: Path, kind: str) -> None:
    """One a process, for each kind: the report, its line, and the end."""
    report = tmp_path / "report.jsonl"
    case = make_case(random.Random(kind), MISTAKES[kind], float(kind == "stale-context"))
    assert case.expected is not None
    done = run_python(
        f"""
        import mytest
        mytest.save()
        programs = (*{case.programs!r}, mytest.Bare)
        mytest.run({case.code!r}, mytest.run, mytest.Box, programs, 7, "key", {{"key": 1}}, [7],
                   b"bytes")
        print("not reached")
        """,
        module=extension,
        env={"HPY_DEBUG_REPORT": str(report), "HPY_DEBUG_ON_VIOLATION": "abort"},
    )
    if kind == "null-argument" and done.returncode == 1:
        assert "HPyDebugError" in done.stderr  # where universal itself raises
    else:
        assert done.returncode == -6, done.stderr
        assert "Fatal Python error: " in done.stderr
    assert f"error[{kind}]: " in done.stderr
    assert "not reached" not in done.stdout
    (line,) = report.read_text("utf-8").splitlines()
    assert json.loads(line)["kind"] == kind


@pytest.fixture
def extension(hpy_module: ModuleFactory) -> Extension:
    return hpy_module.build(SOURCE, cflags=["-O0"])
