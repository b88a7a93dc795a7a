"""What grows: handles that are open, leak checks, and a whole program.

python scale.py MODE BINARY LIVE...      (a worker, as bench/worker.py)
"""

from __future__ import annotations

import functools
import itertools
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import figures
import worker

if TYPE_CHECKING:
    from variants import Variant

TESTS = 5000
LIVE = [1000, 1_000_000, 10_000_000]


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def _leak_check(debug: Any) -> float:
    """Seconds for one that finds nothing."""
    best = 1e9
    for _ in range(20):
        detector = debug.LeakDetector()
        detector.start()
        start = time.perf_counter()
        detector.stop()
        best = min(best, time.perf_counter() - start)
    return best


def _leaks_of_one_line(ops: Any, debug: Any, number: int) -> float:
    """Seconds for the report of so many."""
    detector = debug.LeakDetector()
    detector.start()
    ops.keep_handles(number, object())
    start = time.perf_counter()
    told = []
    try:
        detector.stop()
    except debug.HPyLeakError as e:
        told = [violation.count for violation in e.violations]
    seconds = time.perf_counter() - start
    if told != [number]:
        raise SystemExit(f"{number} leaks of one line were told as {told[:10]}")
    ops.release_handles(number)
    return seconds


def work(mode: str, binary: str, live: list[int]) -> dict[str, float]:
    import hpy.debug

    ops: Any = worker.load(mode, binary)
    value = object()
    found: dict[str, float] = {}
    sites = worker.OPERATIONS["the same, 10 000 sites"](ops)
    found["ns at a call site seen for the first time"] = sites.run(10_000) / 10_000 * 1e9
    start = time.perf_counter()
    for _ in range(TESTS):
        with hpy.debug.LeakDetector():
            ops.call_noargs()
    found[f"us of a test with a leak check, {TESTS} tests"] = (
        (time.perf_counter() - start) / TESTS * 1e6
    )
    ops.keep_handles(1, value)
    before, opened = _resident(), 1
    for number in live:
        start = time.perf_counter()
        ops.keep_handles(number - opened, value)
        opening = (time.perf_counter() - start) / (number - opened) * 1e9
        found[f"ns to open each, up to {number:,}"] = opening
        opened = number
        samples = itertools.islice(
            worker.measure(functools.partial(worker.loop, ops.dup_close, 1234)), 5
        )
        found[f"ns of HPy_Dup + HPy_Close, {number:,} open"] = min(samples)
        found[f"us of an empty leak check, {number:,} open"] = _leak_check(hpy.debug) * 1e6
    # 8 of these bytes are the array in bench/ops that holds the handles.
    found["bytes for an open handle"] = (_resident() - before) / opened - 8
    ops.shuffle_handles()
    start = time.perf_counter()
    ops.release_handles(opened)
    found[f"ns to close each of {opened:,} in random order"] = (
        (time.perf_counter() - start) / opened * 1e9
    )
    if hasattr(hpy.debug, "configure"):  # HPy 0.9 prints each
        seconds = _leaks_of_one_line(ops, hpy.debug, opened)
        found[f"s for the report of {opened:,} leaks of one line"] = seconds
    return found


def measure(chosen: list[Variant]) -> dict[str, dict[str, float]]:
    """HPy 0.9 is left at a million: its leak check walks them all."""
    sizes: dict[str, dict[str, float]] = {}
    for name, live in (("debug", LIVE), ("0.9 debug", LIVE[:-1])):
        for variant in chosen:
            if variant.name == name:
                library = str(variant.libraries["ops"])
                sizes[name] = json.loads(variant.run("scale.py", library, *map(str, live)))
    return sizes


def table(sizes: dict[str, dict[str, float]]) -> str:
    rows = list(dict.fromkeys(row for found in sizes.values() for row in found))
    cells = [
        [row, *(figures.number(f[row]) if row in f else "-" for f in sizes.values())]
        for row in rows
    ]
    return figures.markdown(["what grows", *sizes], cells)


def targets(sizes: dict[str, dict[str, float]]) -> list[tuple[str, float, float]]:
    """What was found, and at most."""
    found = sizes.get("debug")
    if found is None:
        return []
    flat, ends = "ns of HPy_Dup + HPy_Close, {:,} open", (LIVE[0], LIVE[-1])
    few, many = (found[flat.format(number)] for number in ends)
    check = f"us of an empty leak check, {LIVE[-1]:,} open"
    leaks = f"s for the report of {LIVE[-1]:,} leaks of one line"
    return [
        (f"a new handle, {LIVE[-1]:,} open to {LIVE[0]:,} open", many / few, 1.5),
        (check, found[check], 1000.0),
        ("bytes for an open handle", found["bytes for an open handle"], 48.0),
        (leaks, found[leaks], 10.0),
    ]


if __name__ == "__main__":
    worker.stay()
    json.dump(work(sys.argv[1], sys.argv[2], [int(x) for x in sys.argv[3:]]), sys.stdout)
