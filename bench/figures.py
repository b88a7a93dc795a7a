"""Figures as tables: what operations take, their ratios, targets met and missed."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

# Variant, row: its samples.
Figures = dict[str, dict[str, list[float]]]

# design.md, section 8: (operation, ours, of theirs, at most).
TARGETS = [
    ("HPy_Dup + HPy_Close", "debug", "0.9 debug", 1.0),
    ("the same, 10 000 sites", "debug", "0.9 debug", 3.0),
    ("FromLong + AsLong + close", "debug", "0.9 debug", 1.0),
    ("call, no arguments", "debug", "0.9 debug", 0.7),
    ("call, one argument", "debug", "0.9 debug", 0.5),
    ("call, three arguments", "debug", "0.9 debug", 0.5),
    ("UTF-8 pointer, read, close", "debug", "0.9 debug", 1 / 6),
    ("UTF-8 pointer, read, close", "debug, adaptive", "0.9 debug", 1 / 30),
]
# Nanoseconds. Less, a few cycles, is a matter of where a loop happens to lie: it counts as this.
RESOLUTION = 1.0
# By how much two runs of one binary differ: "not slower" is not more than this.
SAME = 1.05
# Of a whole program it is all of it that counts.
WHOLE = "all three"

# Row, ours, of theirs.
Key = tuple[str, str, str]


def rows_of(figures: Figures) -> list[str]:
    return list(dict.fromkeys(row for found in figures.values() for row in found))


def number(value: float) -> str:
    """Three digits or more, or a whole number."""
    if value == int(value) and abs(value) < 1000:
        return str(int(value))
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """The first `words` columns are words, the others are figures."""
    lines = ["| " + " | ".join(heads) + " |"]
    lines.append("|" + "---|" * words + "---:|" * (len(heads) - words))
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def quiet(samples: Iterable[float]) -> float:
    """The mean of the half that was faster: a neighbour on the same core can make a sample last
    twice as long, and the next one not. One quantile of them would jump between the times that an
    operation has by where its process happens to lie."""
    fastest = sorted(samples)
    return statistics.mean(fastest[: max(1, len(fastest) // 2)])


def table(figures: Figures, unit: str) -> str:
    rows = []
    for row in rows_of(figures):
        cells = [number(quiet(f[row])) if row in f else "-" for f in figures.values()]
        rows.append([row, *cells])
    return markdown([unit, *figures], rows)


def ratio(figures: Figures, row: str, ours: str, theirs: str) -> float:
    """That of what a table shows of them."""
    both = [max(quiet(figures[variant][row]), RESOLUTION) for variant in (ours, theirs)]
    return both[0] / both[1]


def _has(figures: Figures, row: str, *variants: str) -> bool:
    return all(row in figures.get(variant, {}) for variant in variants)


def ratios(figures: Figures, program: Figures) -> list[tuple[str, str, str, float, float]]:
    """Row, ours, of theirs, what was found, at most: as far as both were measured."""
    found = []
    for row, ours, theirs, most in TARGETS:
        if _has(figures, row, ours, theirs):
            found.append((row, ours, theirs, ratio(figures, row, ours, theirs), most))
    for ours in ("universal", "cpython"):
        theirs = f"0.9 {ours}"
        for row in rows_of(figures):
            if _has(figures, row, ours, theirs):
                found.append((row, ours, theirs, ratio(figures, row, ours, theirs), SAME))
    for ours, theirs in (
        ("universal", "cpython"),
        ("universal", "0.9 universal"),
        ("cpython", "0.9 cpython"),
    ):
        if _has(program, WHOLE, ours, theirs):
            value = ratio(program, WHOLE, ours, theirs)
            found.append((f"examples/json, {WHOLE}", ours, theirs, value, SAME))
    return found


def instruction_ratios(counted: Figures) -> dict[Key, float]:
    """Of the targets that say "not slower"."""
    return {
        (row, ours, f"0.9 {ours}"): ratio(counted, row, ours, f"0.9 {ours}")
        for ours in ("universal", "cpython")
        for row in rows_of(counted)
        if _has(counted, row, ours, f"0.9 {ours}")
    }


def verdict(value: float, most: float, least: float = 0.0) -> str:
    """`least`: of the programs that do nothing else, said where it misses the target too."""
    if value <= most:
        return "met"
    return f"**missed** (the least: {least:.2f})" if least > most else "**missed**"


def instructions_cell(instructions: float | None) -> str:
    return "-" if instructions is None else f"{instructions:.2f}"


def targets(
    figures: Figures, program: Figures, least: dict[Key, float], counted: Figures | None = None
) -> str:
    by_key = instruction_ratios(counted or {})
    rows = []
    for row, ours, theirs, value, most in ratios(figures, program):
        key = row, ours, theirs
        cell = instructions_cell(by_key.get(key))
        end = verdict(value, most, least.get(key, 0.0))
        rows.append([*key, f"{value:.2f}", f"{most:.2f}", cell, end])
    return markdown(["target", "ours", "of", "ratio", "at most", "instructions", ""], rows, 3)
