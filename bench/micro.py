"""The Google Benchmarks of the C++ rooms, and what the machine itself needs (limits_bench)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Callable

import figures

MIN_SECONDS = 0.1


def measure(build: Path, progress: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Nanoseconds of processor time by room and name: of one item, where there are several."""
    found: dict[str, dict[str, float]] = {}
    for path in sorted(build.glob("*_bench")):
        progress(f"{path.name}")
        command = [str(path), f"--benchmark_min_time={MIN_SECONDS}", "--benchmark_format=json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stderr}")
        room = found.setdefault(path.name.removesuffix("_bench"), {})
        for run in json.loads(done.stdout)["benchmarks"]:
            if run.get("error_occurred"):
                raise SystemExit(f"{path.name}, {run['name']}: {run['error_message']}")
            each = run.get("items_per_second")
            room[run["name"].removeprefix("BM_")] = 1e9 / each if each else _nanoseconds(run)
    progress("")
    return found


def _nanoseconds(run: dict[str, float]) -> float:
    unit = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}[str(run["time_unit"])]
    return run["cpu_time"] * unit


def table(found: dict[str, dict[str, float]]) -> str:
    rows = [
        [room, f"`{name}`", figures.number(value)]
        for room, values in found.items()
        for name, value in values.items()
    ]
    return figures.markdown(["room", "micro-benchmark", "nanoseconds"], rows, 2)
