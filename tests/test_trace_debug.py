"""Trace mode around debug mode: hpy.trace.trace_debug_mode()."""

from collections.abc import Iterator
from typing import Any

import pytest

import hpy.trace
from hpy.debug import HPyLeakError, LeakDetector
from support.trace_source import SOURCE, calls_of

HPY_ABIS = ["debug"]


@pytest.fixture
def traced_debug_mod(hpy_module: Any) -> Iterator[Any]:
    module = hpy_module(SOURCE)
    hpy.trace.trace_debug_mode()
    yield module
    hpy.trace.trace_debug_mode(False)
    hpy.trace.set_trace_functions(None, None)


def test_debug_mode_is_traced(traced_debug_mod: Any) -> None:
    mod = traced_debug_mod
    assert calls_of(mod.add, 1, 2) == {"ctx_Add": 1}
    assert calls_of(mod.call, lambda: mod.add(1, 2)) == {"ctx_CallTupleDict": 1, "ctx_Add": 1}
    assert mod.name().startswith("HPy Debug Mode ABI")
    assert not mod.same_bits("x"), "handles are those of the debug mode"
    assert mod.leave() is None
    point = mod.Point(1)
    assert repr(point) == "Point of 1"


def test_debug_mode_is_traced_between_two_switches(hpy_module: Any) -> None:
    mod = hpy_module(SOURCE)
    for _ in range(100):
        assert calls_of(mod.add, 1, 2) == {}
    hpy.trace.trace_debug_mode()
    hpy.trace.trace_debug_mode(enabled=True)
    for _ in range(100):
        assert calls_of(mod.add, 1, 2) == {"ctx_Add": 1}
    hpy.trace.trace_debug_mode(enabled=False)
    hpy.trace.trace_debug_mode(False)
    for _ in range(100):
        assert calls_of(mod.add, 1, 2) == {}


def test_switched_on_and_off_by_a_call_in_progress(hpy_module: Any) -> None:
    mod = hpy_module(SOURCE)

    def callback(enabled: bool) -> None:
        hpy.trace.trace_debug_mode(enabled)
        mod.add(1, 2)

    assert calls_of(mod.call, lambda: callback(True)) == {"ctx_Add": 1}
    assert calls_of(mod.call, lambda: callback(False)) == {"ctx_CallTupleDict": 1}


@pytest.mark.no_leak_check
def test_reports_are_those_of_debug_mode(traced_debug_mod: Any) -> None:
    events: list[str] = []
    hpy.trace.set_trace_functions(events.append)
    detector = LeakDetector()
    detector.start()
    traced_debug_mod.leak(21)
    hpy.trace.set_trace_functions(None)
    with pytest.raises(HPyLeakError, match="1 unclosed handle") as caught:
        detector.stop()
    assert events == ["ctx_Add", "ctx_Dup"]
    [leak] = caught.value.violations
    frames = leak.opened.native
    assert [frame.function for frame in frames][:1] == ["leak_impl"]
    line = SOURCE.splitlines()[frames[0].line - 1]
    assert "the leak" in line
    assert not [frame for frame in frames if "hpy/trace" in (frame.library or "")]
