"""Each kind of mistake at three functions of the API at least, or three boundaries.

The table is that of support/three_functions.py. Each row is run under the three policies, in a
process of its own, a fork. Stated is all that the contract asks for: the kind, the lines of C, the
line of Python, and what the policy does.
"""

import json
import signal
from pathlib import Path
from typing import Any, Optional

import pytest

from hpy.debug import kinds
from hpy.debug.violation import Stack, Violation
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of
from support.three_functions import FEW_FUNCTIONS, ROWS, SOURCE
from support.three_row import FAULT, LEAK, NOTE, RAISED, STACKS, UNRAISABLE, Row

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

POLICIES = ["abort", "raise", "warn"]

# Each row writes NAME.jsonl, its report, NAME.err, and NAME.json: what became of it.
SCRIPT = """
import gc, json, os, sys, time, warnings
import hpy.debug
import mytest as module

live = []
rows = {rows}


def keep(thing):
    live.append(thing)
    return thing


def act(call, scope):
    exec(call, scope)  # the call that is wrong


def kind_of(error):
    violation = getattr(error, "violation", None)
    return "none" if violation is None else violation.kind


def run(name, call, leaks, note):
    unraisable, warned, told = [], [], []
    sys.unraisablehook = lambda u: unraisable.append(kind_of(u.exc_value))
    hpy.debug.configure(report=name + ".jsonl", long_lived=note)
    hpy.debug.on_violation(lambda violation: told.append(violation.kind)).__enter__()
    code = compile(call, "<call>", "exec")
    scope = {{"module": module, "gc": gc, "live": live, "keep": keep}}
    detector = hpy.debug.LeakDetector()
    module.save()
    outcome = "returned"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if leaks:
            detector.start()
        try:
            act(code, scope)
            time.sleep(0)  # CPython 3.9 looks for pending calls when it takes the GIL
            if leaks:
                detector.stop()
        except hpy.debug.HPyLeakError as error:
            outcome = "leak " + " ".join(violation.kind for violation in error.violations)
        except hpy.debug.HPyDebugError as error:
            outcome = "raised " + kind_of(error)
        warned = [kind_of(warning.message) for warning in caught]
    with open(name + ".json", "w") as file:
        json.dump([outcome, warned, unraisable, told], file)


gc.disable()
statuses = {{}}
for name, *how in rows:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(name + ".err", os.O_WRONLY | os.O_CREAT), 2)
        run(name, *how)
        os._exit(0)
    statuses[name] = os.waitpid(child, 0)[1]
print(json.dumps(statuses))
"""


class Results:
    """What became of the rows under a policy."""

    def __init__(
        self, run: PythonRunner, factory: ModuleFactory, folder: Path, policy: str
    ) -> None:
        folder.mkdir()
        self._folder = folder
        script = folder / "script.py"
        rows = [[row.name, row.call, row.end == LEAK, row.end == NOTE] for row in ROWS]
        script.write_text(SCRIPT.format(rows=rows))
        extension = factory.build(SOURCE, cflags=["-O0"])
        done = run.run([script.name], {"HPY_DEBUG_ON_VIOLATION": policy}, extension, cwd=folder)
        assert done.returncode == 0, done.stderr
        self._statuses: dict[str, int] = json.loads(done.stdout)
        self.call_line = line_of(script.read_text(), "  # the call that is wrong")

    def report(self, row: Row) -> Violation:
        """The one line of its report file."""
        (line,) = (self._folder / f"{row.name}.jsonl").read_text().splitlines()
        return Violation.from_json(line)

    def signal(self, row: Row) -> int:
        return self._statuses[row.name] & 0x7F

    def errors(self, row: Row) -> str:
        return (self._folder / f"{row.name}.err").read_text()

    def outcome(self, row: Row) -> Any:
        """How the call ended, and what was warned of, unraisable, and told to subscribers."""
        return json.loads((self._folder / f"{row.name}.json").read_text())


@pytest.fixture(scope="module")
def made() -> dict[str, Optional[Results]]:
    """Those of this module, by policy: they are made once. None: that failed."""
    return {}


@pytest.fixture
def results(
    made: dict[str, Optional[Results]],
    hpy_module: ModuleFactory,
    run_python: PythonRunner,
    tmp_path: Path,
    policy: str,
) -> Results:
    if policy not in made:
        made[policy] = None
        made[policy] = Results(run_python, hpy_module, tmp_path / policy, policy)
    found = made[policy]
    assert found is not None, "the first test with this policy says why"
    return found


def first_line(stack: Stack) -> int:
    """That of the innermost frame of the row's; 0 where there is none."""
    # HPyType_HELPERS makes a function of the extension's, which calls the API.
    own = [frame for frame in stack.native if not frame.function.endswith("_AsStruct")]
    assert all(frame.file.endswith("/mytest.c") for frame in own[:1])
    return own[0].line if own else 0


@pytest.mark.promise("DBG-38")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("policy", POLICIES)
def test_report(results: Results, row: Row) -> None:
    found = results.report(row)
    assert (found.kind, found.api, found.function) == (row.kind, row.api, row.function)
    assert found.module == (None if row.function is None else "mytest")
    assert (found.count, found.severity) == (1, "note" if row.end == NOTE else "error")
    for name, line in row.lines(SOURCE).items():
        stack = found[name]
        assert (stack is None) == (line is None), name
        if stack is not None:
            assert first_line(stack) == line, name
    told = found.at or found.opened
    assert told is not None
    if row.kind == "wrong-thread":
        assert told.python == ()
    else:
        frame = next(frame for frame in told.python if frame.file.endswith("script.py"))
        assert (frame.function, frame.line) == ("act", results.call_line)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("policy", POLICIES)
def test_policy(results: Results, policy: str, row: Row) -> None:
    end, kind = row.end, row.kind
    if end == FAULT or (policy == "abort" and end in (RAISED, UNRAISABLE)):
        assert results.signal(row) == (signal.SIGSEGV if end == FAULT else signal.SIGABRT)
        assert f"error[{kind}]: " in results.errors(row)
        assert ("Fatal Python error: " in results.errors(row)) == (end != FAULT)
        return
    assert results.signal(row) == 0, results.errors(row)
    outcome, warned, unraisable, told = results.outcome(row)
    if end == NOTE:
        assert (outcome, warned, unraisable, told) == ("returned", [], [], [])
    elif end == LEAK:
        assert (outcome, warned, unraisable, told) == (f"leak {kind}", [], [], [kind])
    elif policy == "warn":
        expected = "returned" if row.goes_on or end == UNRAISABLE else f"raised {kind}"
        assert (outcome, warned, unraisable, told) == (expected, [kind], [], [kind])
    elif end == UNRAISABLE:
        assert (outcome, warned, unraisable, told) == ("returned", [], [kind], [kind])
    else:
        assert (outcome, warned, unraisable, told) == (f"raised {kind}", [], [], [kind])


@pytest.mark.parametrize("kind", [kind.name for kind in kinds.all_kinds()])
def test_three_of_each(kind: str) -> None:
    rows = [row for row in ROWS if row.kind == kind]
    assert kind in STACKS
    assert len(rows) >= 3
    if kind in FEW_FUNCTIONS:
        # Other boundaries then; what is found at other moments differs in what Python does.
        assert len({row.api for row in rows}) < 3
        assert len({(row.api, row.boundary, row.call.replace(row.name, "")) for row in rows}) >= 3
    elif kind in ("handle-leak", "long-lived-handle"):
        # A leak names no function of the API: the line that opened it does.
        assert len({row.body for row in rows}) >= 3
    else:
        assert len({row.api for row in rows}) >= 3
