"""Writes the tables of the last `make bench` into a page, between its markers.

    python bench/document.py build/bench/ops docs/performance.md

A table stands between `<!-- bench: NAME -->` and `<!-- end -->`; all else of the page is prose, and
stays. Ratios to targets are those of the last three complete runs, so run `make bench` three times.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Callable

import figures
import limits
import micro
import report_time
import scale

Run = dict[str, Any]
RUNS = 3


def _machine(run: Run) -> str:
    rows = [[key, value] for key, value in run["machine"].items()]
    return figures.markdown(["", ""], rows, 2)


TABLES: dict[str, Callable[[Run], str]] = {
    "machine": _machine,
    "operations": lambda run: figures.table(run["operations"], "nanoseconds"),
    "program": lambda run: figures.table(run["program"], "milliseconds"),
    "scale": lambda run: scale.table(run["scale"]),
    "instructions": lambda run: figures.table(run["instructions"], "instructions"),
    "report": lambda run: report_time.table(run["report"]),
    "micro": lambda run: micro.table(run["micro"]),
    "limits": lambda run: limits.table(run["operations"], run["micro"]),
}


def _targets(runs: list[Run]) -> str:
    """Of each target the ratio in each run; met, if it was met in all of them."""
    found: dict[figures.Key, list[float]] = {}
    most: dict[figures.Key, float] = {}
    least: dict[figures.Key, list[float]] = {}
    counted = figures.instruction_ratios(runs[-1].get("instructions", {}))
    for run in runs:
        for key, value in limits.least_of_targets(run["operations"], run.get("micro", {})).items():
            least.setdefault(key, []).append(value)
        for row, ours, theirs, value, limit in figures.ratios(run["operations"], run["program"]):
            found.setdefault((row, ours, theirs), []).append(value)
            most[(row, ours, theirs)] = limit
        for row, value, limit in scale.targets(run["scale"]):
            found.setdefault((row, "debug", ""), []).append(value)
            most[(row, "debug", "")] = limit
        seconds = ("s for a report of 10 000 stacks", "debug", "")
        found.setdefault(seconds, []).append(run["report"]["seconds"])
        most[seconds] = report_time.LIMIT
    rows = []
    for key, values in found.items():
        in_each = least.get(key, [0.0])
        in_all = min(in_each) if len(in_each) == len(values) else 0.0
        end = figures.verdict(max(values), most[key], in_all)
        numbers = [f"{value:.2f}" for value in values] + ["-"] * (len(runs) - len(values))
        cell = figures.instructions_cell(counted.get(key))
        rows.append([*key, *numbers, f"{most[key]:.2f}", cell, end])
    numbered = (f"run {i + 1}" for i in range(len(runs)))
    heads = ["target", "ours", "of", *numbered, "at most", "instructions", ""]
    return figures.markdown(heads, rows, 3)


def render(page: str, runs: list[Run]) -> str:
    """The page with the tables of the last run, and the targets of all of them."""

    def table(match: re.Match[str]) -> str:
        name = match[1]
        if name == "targets":
            text = _targets(runs)
        elif name not in TABLES:
            raise SystemExit(f"table {name!r} is none of: targets, {', '.join(TABLES)}")
        elif name in runs[-1] or name == "limits":
            text = TABLES[name](runs[-1])
        else:
            return match[0]  # without valgrind there are no instructions
        return f"<!-- bench: {name} -->\n\n{text}\n\n<!-- end -->"

    return re.sub(r"<!-- bench: (\w+) -->.*?<!-- end -->", table, page, flags=re.S)


def main() -> None:
    folder, page = map(Path, sys.argv[1:])
    files = sorted((folder / "runs").glob("*.json"))[-RUNS:]
    if not files:
        raise SystemExit(f"{folder}/runs is empty: run make bench, without BENCH")
    runs = [json.loads(path.read_text("utf-8")) for path in files]
    page.write_text(render(page.read_text("utf-8"), runs), "utf-8")
    print(f"{page}: {len(runs)} runs, the last of them {files[-1].stem}")


if __name__ == "__main__":
    main()
