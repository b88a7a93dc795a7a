"""What grows: handles that are open, leak checks, and a whole program.

python scale.py MODE BINARY LIVE...      (a worker, as bench/worker.py)
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import worker

if TYPE_CHECKING:
    from variants import Variant

TESTS = 5000


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


def work(mode: str, library: str, live: list[int]) -> dict[str, float]:
    import hpy.debug

    ops: Any = worker.load(mode, library)
    run = worker.loop(ops.dup_close, 1234)
    value = object()
    found: dict[str, float] = {}
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
        ops.keep_handles(number - opened, value)
        opened = number
        found[f"ns of HPy_Dup + HPy_Close, {number:,} open"] = worker.measure(run, 5)
        found[f"us of an empty leak check, {number:,} open"] = _leak_check(hpy.debug) * 1e6
    # 8 of these bytes are the array in bench/ops that holds the handles.
    found["bytes for an open handle"] = (_resident() - before) / opened - 8
    ops.release_handles(opened)
    return found


def measure(chosen: list[Variant]) -> dict[str, dict[str, float]]:
    """HPy 0.9 is left at a million: its leak check walks them all."""
    sizes: dict[str, dict[str, float]] = {}
    for name, live in (("debug", [1000, 1_000_000, 10_000_000]), ("0.9 debug", [1000, 1_000_000])):
        for variant in chosen:
            if variant.name == name:
                library = str(variant.libraries["ops"])
                sizes[name] = json.loads(variant.run("scale.py", library, *map(str, live)))
    return sizes


def table(sizes: dict[str, dict[str, float]]) -> str:
    lines = ["| what grows | " + " | ".join(sizes) + " |", "|---|" + "---:|" * len(sizes)]
    rows = list(dict.fromkeys(row for found in sizes.values() for row in found))
    for row in rows:
        cells = [f"{found[row]:.1f}" if row in found else "-" for found in sizes.values()]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    json.dump(work(sys.argv[1], sys.argv[2], [int(x) for x in sys.argv[3:]]), sys.stdout)
