"""Ten thousand random right sequences of API calls get no report; each planted mistake gets one.

The programs are those of support.generator: handles, builders, trackers, containers, fields,
globals, strings, leaving and re-entering, exceptions, and calls of the extension by itself.
"""

import random
from collections.abc import Iterator
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError
from hpy.debug.violation import Violation
from hpy.universal import _debug
from support.extension import ModuleFactory
from support.generator import Case, Expected, make_case
from support.generator_mistakes import MISTAKES
from support.generator_source import EFFECTS, LOOKS, NUMBERS, SOURCE, VALUES

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

RIGHT = 10_000
EACH = 200  # planted of each kind, and as many right ones between them


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE, cflags=["-O0"])


@pytest.fixture
def found() -> Iterator[list[Violation]]:
    """Everything that is reported under the policy raise."""
    violations: list[Violation] = []
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
    planted = case.expected.kind if case.expected is not None else "-leak"
    assert kind == (None if planted.endswith("-leak") else planted), case.text
    return hpy.debug.leaks(generation)


def told(violation: Violation) -> Expected:
    """What a report says, in the words of Expected."""
    lines = []
    for stack in (violation.at, violation.opened, violation.closed):
        frames = stack.native if stack is not None else []
        # HPyType_HELPERS makes a function of the extension's, which calls the API.
        own = [frame.line for frame in frames if frame.function != "Box_AsStruct"]
        lines.append(own[0] or -1 if own else 0)
    return Expected(violation.kind, *lines)


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
        leaks = run(mod, case)
        expected = [case.expected] if case.expected is not None else []
        assert [told(violation) for violation in [*found, *leaks]] == expected, case.text
        found.clear()
