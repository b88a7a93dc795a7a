"""The least that debug mode can cost on this machine, row by row, and how far it is from that.

A row's least is what the operation costs in universal mode, and for each call that passes through
the debug context one more indirect call, and for each handle the four words that must be read,
changed and written back: its object, its generation, its order, the queue of closed ones. A
guarded buffer adds what a program needs that only has pages read and takes them away.
All of these are measured in the same run (bench/limits_bench.cc).
"""

from __future__ import annotations

import figures
from figures import Figures

WORDS = 4  # of each handle

# Operation: calls that pass through the debug context, handles that are made and ended.
PARTS = {
    "HPy_Dup + HPy_Close": (2, 1),
    "the same, 10 000 sites": (2, 1),
    "the same, a helper with 100 callers": (2, 1),
    "the same, 64 frames deep": (2, 1),
    "FromLong + AsLong + close": (3, 1),
    "UTF-8 pointer, read, close": (3, 1),
    "attribute": (2, 1),
    "sum of a list, per item": (3, 1),
    "tuple of three": (2, 1),
    "list builder, ten items": (13, 2),
    "string, concatenated": (4, 2),
    "dict, set and get": (5, 2),
    "instance, from C": (2, 1),
    "call, no arguments": (2, 2),
    "call, one argument": (2, 3),
    "call, three arguments": (2, 5),
    "method": (3, 2),
    "recursion, a hundred levels, each": (7, 6),
    "HPy_Dup + HPy_Close, two threads": (2, 1),
}

# What a guarded buffer needs, by variant: pages are taken away one by one, or by keys where the
# machine has them, or so many at once.
BUFFERS = "UTF-8 pointer, read, close"
GUARDS = {
    "debug": ("GuardedBuffer/1/1", "GuardedBuffer/1/34", "KeyedBuffer/12"),
    "debug, adaptive": ("GuardedBuffer/128/1",),
}


def guard(machine: dict[str, float], variant: str) -> float | None:
    return min((machine[name] for name in GUARDS.get(variant, ()) if name in machine), default=None)


def least(operations: Figures, micro: dict[str, dict[str, float]]) -> dict[str, float]:
    machine = micro["limits"]
    found = {}
    for row, (calls, handles) in PARTS.items():
        if row in operations.get("universal", {}) and row in operations.get("debug", {}):
            found[row] = (
                figures.quiet(operations["universal"][row])
                + calls * machine["IndirectCall"]
                + handles * WORDS * machine["StoreThenLoad"]
                + ((guard(machine, "debug") or 0.0) if row == BUFFERS else 0.0)
            )
    return found


def least_of_targets(
    operations: Figures, micro: dict[str, dict[str, float]]
) -> dict[tuple[str, str, str], float]:
    """Row, ours, of theirs: what a program has there that does nothing else."""
    found = {}
    for row, ours, theirs, _ in figures.TARGETS:
        needed = guard(micro.get("limits", {}), ours)
        if row == BUFFERS and needed is not None and row in operations.get(theirs, {}):
            found[row, ours, theirs] = needed / figures.quiet(operations[theirs][row])
    return found


def table(operations: Figures, micro: dict[str, dict[str, float]]) -> str:
    rows = []
    for row, limit in least(operations, micro).items():
        ours = figures.quiet(operations["debug"][row])
        calls, handles = PARTS[row]
        shares = [str(calls), str(handles), figures.number(limit), figures.number(ours)]
        rows.append([row, *shares, f"{ours / limit:.1f}"])
    heads = ["nanoseconds", "calls", "handles", "least", "debug", "times the least"]
    return figures.markdown(heads, rows)
