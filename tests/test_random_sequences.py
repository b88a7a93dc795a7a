"""Ten thousand random right sequences of API calls get no report; each planted mistake gets one.

Faults in guarded memory end a process each: see test_thousand_violations.py.

The programs are those of support.generator: handles, builders, trackers, containers, fields,
globals, strings, leaving and re-entering, exceptions, and calls of the extension by itself.
"""

import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError
from hpy.debug.violation import Violation
from hpy.universal import _debug
from support.extension import ModuleFactory
from support.generator import Case, make_case
from support.generator_mistakes import MISTAKES, is_raised, told
from support.generator_source import EFFECTS, LOOKS, NUMBERS, SOURCE, VALUES

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

RIGHT = 10_000
EACH = 200  # planted of each kind, and as many right ones between them


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE, cflags=["-O0"])


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Violation]]:
    """Everything that is reported under the policy raise."""
    violations: list[Violation] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    with (
        hpy.debug.configure(on_violation="raise", closed_handles=1024),
        hpy.debug.on_violation(violations.append),
    ):
        yield violations


def run(mod: Any, case: Case) -> list[Violation]:
    """The leaks of a run: to its good end, or an error of debug mode where there is a mistake."""
    generation = _debug.new_generation()
    kind = None
    try:
        case.run(mod)
    except HPyDebugError as error:
        kind = error.violation.kind if error.violation is not None else "unknown"
    time.sleep(0)  # CPython 3.9 looks for pending calls when it takes the GIL
    planted = case.expected.kind if case.expected is not None else ""
    assert kind == (planted if is_raised(planted) else None), case.text
    is_note = planted == "long-lived-handle"
    leaks = hpy.debug.leaks(generation, long_lived=is_note)
    mod.drop()
    # A handle that is open still is one that outlived its call too.
    return [leak for leak in leaks if not is_note or leak.severity == "note"]


def test_right_ones_get_no_report(mod: Any, found: list[Violation]) -> None:
    rng = random.Random(20260731)
    used: set[int] = set()
    for _ in range(RIGHT):
        case = make_case(rng)
        used.update(case.code[::5])
        leaks = run(mod, case)
        assert (found, leaks) == ([], []), case.text
    names = {name for name, number in NUMBERS.items() if number in used}
    assert names >= {*VALUES, *EFFECTS, *LOOKS}


@pytest.mark.parametrize("kind", list(MISTAKES))
def test_one_mistake_gets_one_report(mod: Any, found: list[Violation], kind: str) -> None:
    rng = random.Random(kind)
    for number in range(2 * EACH):
        within = 1.0 if kind == "stale-context" else 0.3
        case = make_case(rng, MISTAKES[kind] if number % 2 else None, within)
        mod.save()  # the context that is stale then
        # What threads and slots do wrong is reported once, until the settings change.
        with hpy.debug.configure(on_violation="raise"):
            leaks = run(mod, case)
        expected = [case.expected] if case.expected is not None else []
        assert [told(violation) for violation in [*found, *leaks]] == expected, case.text
        found.clear()
