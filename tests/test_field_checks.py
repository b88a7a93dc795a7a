"""Fields: what is stored must be visited, what is visited must have been stored, and where.

The kinds field-not-visited, field-not-owned, field-without-traverse and field-on-stack, and correct
extensions that do the same things rightly.
"""

import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyDebugWarning
from hpy.debug.violation import Violation
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of
from support.field_source import SOURCE

HPY_ABIS = ["debug", "hybrid-debug"]
pytestmark = pytest.mark.no_leak_check

SKIP_SECOND, VISIT_OTHER, VISIT_TWICE = 1, 2, 4


class Thing:
    pass


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    with hpy.debug.configure(on_violation="raise"):
        yield


def misuse(function: Any, *args: Any) -> Violation:
    with pytest.raises(HPyDebugError) as caught:
        function(*args)
    violation = caught.value.violation
    assert violation is not None
    return violation


def check(violation: Violation, kind: str, mark: str, function: str, frame: str) -> None:
    assert violation.kind == kind
    assert (violation.module, violation.function) == ("mytest", function)
    assert violation.at is not None
    first = violation.at.native[0]
    assert (first.function, first.line) == (frame, line_of(SOURCE, mark))
    assert violation.opened is None
    assert violation.closed is None


def here() -> int:
    return sys._getframe(1).f_lineno


# field-not-visited


@pytest.mark.promise("DBG-17")
def test_not_visited(mod: Any) -> None:
    node = mod.Node(SKIP_SECOND)
    node.set(0, Thing())
    line = here() + 1
    violation = misuse(node.set, 1, Thing())
    check(violation, "field-not-visited", "/* stores the second", "Node.set", "Node_set_impl")
    assert violation.api == "HPyField_Store"
    assert "'mytest.Node'" in violation.message
    python = violation.at.python  # type: ignore[union-attr]
    assert [frame.function for frame in python][:2] == ["misuse", "test_not_visited"]
    assert python[1].line == line
    node.set(0, Thing())  # it is reported once
    gc.collect()


def test_last_store_is_told(mod: Any) -> None:
    violation = misuse(mod.Node(SKIP_SECOND).set_twice, Thing())
    check(
        violation, "field-not-visited", "/* stores again", "Node.set_twice", "Node_set_twice_impl"
    )


def test_traverse_of_a_subclass_that_forgets_the_base(mod: Any) -> None:
    node = mod.Careless()
    node.set_more(Thing())
    violation = misuse(node.set, 1, Thing())
    check(violation, "field-not-visited", "/* stores the second", "Node.set", "Node_set_impl")
    assert "'mytest.Careless'" in violation.message


@pytest.mark.promise("DBG-17")
def test_no_longer_visited(mod: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found in a garbage collection: at the return of the function during which it runs, or else
    through sys.unraisablehook."""
    caught: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: caught.append(args.exc_value))
    node, later = mod.Node(), mod.Node()
    node.append(Thing())
    node.shrink()
    violation = misuse(later.call, gc.collect)
    assert violation.kind == "field-not-visited"
    assert violation.function == "Node.append"
    assert gc.collect() >= 0
    assert caught == []
    later.append(Thing())
    later.shrink()
    gc.collect()
    for _ in range(1000):
        pass
    (error,) = caught
    assert error.violation.kind == "field-not-visited"
    gc.collect()
    assert len(caught) == 1


def test_end_of_the_owner(mod: Any) -> None:
    node = mod.Node()
    node.append(Thing())
    node.shrink()
    nodes = [node]
    del node
    violation = misuse(mod.Node().call, nodes.clear)
    assert violation.kind == "field-not-visited"


# field-not-owned


@pytest.mark.promise("DBG-17")
def test_not_owned(mod: Any) -> None:
    node, other = mod.Node(), mod.Node()
    other.set(0, Thing())
    node.meet(other, VISIT_OTHER)
    violation = misuse(node.call, gc.collect)
    mark = "/* visits the other's"
    check(violation, "field-not-owned", mark, "Node.HPy_tp_traverse", "Node_traverse_impl")
    assert violation.api is None
    gc.collect()  # it is reported once
    node.meet(other, 0)


def test_not_owned_at_a_return(mod: Any) -> None:
    node, other = mod.Node(), mod.Node()
    other.set(0, Thing())
    node.meet(other, VISIT_OTHER)
    violation = misuse(node.set, 0, Thing())
    mark = "/* visits the other's"
    check(violation, "field-not-owned", mark, "Node.HPy_tp_traverse", "Node_traverse_impl")
    node.meet(other, 0)


def test_not_owned_the_same_object(mod: Any) -> None:
    """It is in a field of both, and is visited twice by one of them."""
    node, other, thing = mod.Node(), mod.Node(), Thing()
    other.set(0, thing)
    node.set(0, thing)
    node.meet(other, VISIT_OTHER)
    violation = misuse(node.call, gc.collect)
    mark = "/* visits the other's"
    check(violation, "field-not-owned", mark, "Node.HPy_tp_traverse", "Node_traverse_impl")
    node.meet(other, 0)


# field-without-traverse


@pytest.mark.promise("DBG-42")
def test_without_traverse(mod: Any) -> None:
    bare = mod.Bare()
    for _ in range(2):
        violation = misuse(bare.set, Thing())
        mark = "/* stores without traverse"
        check(violation, "field-without-traverse", mark, "Bare.set", "Bare_set_impl")
        assert violation.api == "HPyField_Store"
    assert bare.get() is None  # it did not reach the interpreter
    bare.clear()


def test_without_traverse_subclass(mod: Any) -> None:
    """CPython gives it a tp_traverse that knows of no fields."""

    class Sub(mod.Bare):  # type: ignore[misc]
        pass

    assert misuse(Sub().set, Thing()).kind == "field-without-traverse"


def test_without_traverse_warned(mod: Any) -> None:
    bare, thing = mod.Bare(), Thing()
    with hpy.debug.configure(on_violation="warn"), pytest.warns(HPyDebugWarning) as caught:
        bare.set(thing)
    assert len(caught) == 1
    assert bare.get() is thing  # execution goes on
    bare.clear()


# field-on-stack


@pytest.mark.promise("DBG-40")
@pytest.mark.parametrize(
    ("method", "mark", "frame"),
    [
        ("local", "/* stores locally", "Node_local_impl"),
        ("local_array", "/* stores for its caller", "store"),
    ],
)
def test_on_stack(mod: Any, method: str, mark: str, frame: str) -> None:
    violation = misuse(getattr(mod.Node(), method), Thing())
    check(violation, "field-on-stack", mark, f"Node.{method}", frame)


def test_on_stack_of_a_thread(mod: Any) -> None:
    import threading

    found: list[Violation] = []
    node = mod.Node()
    thread = threading.Thread(target=lambda: found.append(misuse(node.local, Thing())))
    thread.start()
    thread.join()
    assert [violation.kind for violation in found] == ["field-on-stack"]


def test_on_stack_warned(mod: Any) -> None:
    thing = Thing()
    with hpy.debug.configure(on_violation="warn"), pytest.warns(HPyDebugWarning):
        assert mod.Node().local(thing) is thing


# null-argument


def test_loading_an_empty_field(mod: Any) -> None:
    violation = misuse(mod.Node().load_empty)
    mark = "/* loads nothing"
    check(violation, "null-argument", mark, "Node.load_empty", "Node_load_empty_impl")


# abort, warn and the report file


MISTAKES = [
    ("mytest.Node(1).set(1, [])", "field-not-visited", "/* stores the second"),
    ("mytest.Bare().set([])", "field-without-traverse", "/* stores without traverse"),
    ("mytest.Node().local([])", "field-on-stack", "/* stores locally"),
    ("visit_other(); gc.collect()", "field-not-owned", "/* visits the other's"),
]


@pytest.mark.parametrize(("code", "kind", "mark"), MISTAKES)
@pytest.mark.parametrize("policy", ["abort", "warn"])
def test_policies(
    hpy_module: ModuleFactory,
    run_python: PythonRunner,
    tmp_path: Path,
    code: str,
    kind: str,
    mark: str,
    policy: str,
) -> None:
    report = tmp_path / "report.jsonl"
    script = f"""
        import gc, mytest
        def visit_other():
            global node, other
            node, other = mytest.Node(), mytest.Node()
            other.set(0, [])
            node.meet(other, {VISIT_OTHER})
        {code}
        print("reached")
    """
    env = {"HPY_DEBUG_ON_VIOLATION": policy, "HPY_DEBUG_REPORT": str(report)}
    done = run_python(script, module=hpy_module.build(SOURCE), env=env)
    assert f"mytest.c:{line_of(SOURCE, mark)} in " in done.stderr
    assert f"error[{kind}]: " in done.stderr
    if policy == "abort":
        assert done.returncode == -6
        assert "Fatal Python error: " in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout == "reached\n"
        assert "HPyDebugWarning" in done.stderr
    kinds = [json.loads(line)["kind"] for line in report.read_text().splitlines()]
    assert kinds[0] == kind


# Correct extensions


@pytest.fixture
def silent(mod: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module; afterwards nothing has been reported, also not at the end of its objects."""
    caught: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", caught.append)
    report = tmp_path / "report.jsonl"
    with hpy.debug.configure(report=report):
        yield mod
        gc.collect()
        gc.collect()
    assert not report.exists() or report.read_text() == ""
    assert caught == []


@pytest.mark.parametrize("cls", ["Node", "Derived", "Untracked"])
def test_correct(silent: Any, cls: str) -> None:
    node, thing = getattr(silent, cls)(), Thing()
    for number in (0, 1, 2, 1, 0):
        node.set(number, thing)
        node.set(number, node)
        node.set(number, Thing())
    node.swap()
    node.borrow(thing)
    gc.collect()
    node.member = thing
    gc.collect()
    node.set(2, Thing())
    node.swap()
    del node.member
    node.set(0, thing)
    gc.collect()


def test_arrays_that_move(silent: Any) -> None:
    node = silent.Node()
    things = [Thing() for _ in range(200)]
    for thing in things:
        node.append(thing)
    for thing in [*things, node]:
        node.append(thing)
    gc.collect()


def test_stored_before_it_can_be_visited(silent: Any) -> None:
    node = silent.Node()

    def function() -> str:
        gc.collect()
        node.set(0, Thing())
        node.call(gc.collect)
        return "result"

    assert node.fill(function) == "result"


def test_cleared_by_the_end(silent: Any) -> None:
    node = silent.Node(SKIP_SECOND)
    node.borrow(Thing())
    node.borrow(node)


def test_visited_twice(silent: Any) -> None:
    node = silent.Node(VISIT_TWICE)
    node.set(0, gc)
    gc.get_referents(node)


def test_python_subclasses(silent: Any) -> None:
    class Sub(silent.Node):  # type: ignore[misc]
        pass

    class Slots(silent.Derived):  # type: ignore[misc]
        __slots__ = ("a", "b")

    class Both(Sub):
        __slots__ = ("c",)

    for cls in Sub, Slots, Both:
        node = cls()
        node.set(0, Thing())
        node.set(1, node)
        if cls is not Slots:
            node.attribute = Thing()
        else:
            node.a = node
        gc.collect()
        del node
        gc.collect()


def test_cycles_and_finalizers(silent: Any) -> None:
    kept = []

    class Back(silent.Node):  # type: ignore[misc]
        def __del__(self) -> None:
            kept.append(self)

    node = Back()
    node.set(0, node)
    node.set(1, Thing())
    del node
    gc.collect()
    (back,) = kept
    back.set(2, Thing())
    gc.collect()
    kept.clear()
    back.set(0, None)
    del back
    gc.collect()


def test_copied_context_and_other_types(silent: Any) -> None:
    """Objects that come and go at the same addresses."""
    for number in range(2000):
        node = silent.Node() if number % 3 else silent.Derived()
        node.set(number % 3, number)
        node.append(node)
        if number % 50 == 0:
            gc.collect()
