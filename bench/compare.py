"""`make bench`: what each operation costs in each ABI and mode, beside HPy 0.9.

    make bench                                      everything, some minutes
    make bench BENCH='--only HPy_Dup,call'          operations whose names contain one of these
    make bench BENCH='--variants "debug;0.9 debug" --rounds 3'
    make bench BENCH='--sections instructions,scale'

While something is made faster, name the operations and the variants that matter: a round then takes
half a second a variant. `--list` prints the names; a list of names that have commas is separated by
semicolons. Nothing but the operations is measured then,
unless --sections says more.

Each round starts a process of every variant, and they take turns: one sample of 3 milliseconds of
an operation each, then the next sample. So a machine whose speed changes changes for all. What is
printed, and compared, is the mean of the faster half of a variant's samples: what goes on elsewhere
on the machine is no property of the operation. Many rounds, for where a process happens to lie in
memory makes a call from Python faster or slower by a tenth and more.
Prints tables and writes FOLDER/bench.json, or FOLDER/partial.json if not everything was measured.
bench/document.py puts the tables of complete runs into docs/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import figures
import instructions
import limits
import micro
import report_time
import scale
import variants
import worker
from figures import Figures
from variants import Variant

SECTIONS = ("operations", "program", "scale", "instructions", "report", "micro")
# HPy 0.9 takes 64 microseconds a handle when it notes stacks.
OF_SLOW_ONE = [row for row, *_ in figures.TARGETS if "sites" not in row]


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"{text:<70}", end="\r", file=sys.stderr, flush=True)


def answer_of(process: subprocess.Popen[str]) -> str:
    """The next line of bench/worker.py's answer(); empty when there are no more."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # what happened is said below
        os.write(process.stdin.fileno(), b"\n")
    line = process.stdout.readline()
    if not line and process.wait():
        raise SystemExit(f"{process.args} ended with {process.returncode}")
    return line


def in_turn(running: dict[str, subprocess.Popen[str]]) -> Figures:
    """Each process's samples: A B A B, so a machine that is slow for a while is so for all."""
    found: Figures = {name: {} for name in running}
    while True:
        lines = {name: answer_of(process) for name, process in running.items()}
        if not any(lines.values()):
            return found
        samples = {name: json.loads(line or "{}") for name, line in lines.items()}
        if len({tuple(sample) for sample in samples.values()}) != 1:
            raise SystemExit(f"our own mistake: not all at the same operation: {samples}")
        for name, sample in samples.items():
            for row, value in sample.items():
                found[name].setdefault(row, []).append(value)


def collect(
    chosen: list[Variant], rounds: int, script: str, module: str, arguments: list[str]
) -> Figures:
    """All samples of each variant, round after round; every other round the other way round."""
    found: Figures = {variant.name: {} for variant in chosen}
    for count in range(rounds):
        progress(f"{script}, round {count + 1} of {rounds}")
        with contextlib.ExitStack() as stack:
            running = {}
            for variant in chosen if count % 2 == 0 else chosen[::-1]:
                library = str(variant.libraries[module])
                process = stack.enter_context(variant.start(script, library, *arguments))
                answer_of(process)  # it is ready, and waits
                running[variant.name] = process
            for name, samples in in_turn(running).items():
                for row, values in samples.items():
                    found[name].setdefault(row, []).extend(values)
    progress("")
    return found


def operations(chosen: list[Variant], options: argparse.Namespace) -> Figures:
    """HPy 0.9 with stacks by itself: it has fewer operations, so it would be at another one."""
    names = [name for name in worker.NAMES if any(o in name for o in options.only)]
    few = [name for name in names if name in OF_SLOW_ONE]
    fast = [variant for variant in chosen if variant.mode != "debug-stacks"]
    slow = [variant for variant in chosen if variant not in fast]
    found: Figures = {}
    for group, rows in ((fast, names), (slow, few)):
        words = ["--samples", str(options.samples), "--only", ";".join(rows)]
        if rows:
            found |= collect(group, options.rounds, "worker.py", "ops", words)
    return found


def program(chosen: list[Variant], options: argparse.Namespace) -> Figures:
    """The slow modes once, and HPy 0.9 with stacks, which takes three minutes, not at all."""
    fast = [v for v in chosen if v.mode in ("cpython", "universal")]
    slow = [v for v in chosen if v not in fast and v.mode != "debug-stacks"]
    found = collect(fast, options.rounds, "program.py", "hpyjson", [])
    return found | collect(slow, 1, "program.py", "hpyjson", ["--samples", "1"])


def counted(chosen: list[Variant], options: argparse.Namespace) -> Figures:
    names = [name for name in instructions.NAMES if any(o in name for o in options.only)]
    found: Figures = {}
    for variant in chosen:
        if names and variant.mode != "debug-stacks":
            progress(f"valgrind: {variant.name}")
            found[variant.name] = instructions.count(variant, names)
    progress("")
    return found


def machine(python: Path) -> dict[str, str]:
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [x for x in info.read_text("utf-8").splitlines() if x.startswith("model name")]
        cpu = models[0].split(":")[1].strip() if models else cpu
    version = subprocess.run([str(python), "-V"], capture_output=True, text=True, check=True).stdout
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=variants.REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "load at the start": f"{os.getloadavg()[0]:.1f}",
        "system": platform.platform(),
        "python": version.strip(),
        "compiler": compiler.stdout.splitlines()[0],
        "hpy": commit.stdout.strip() or "?",
    }


def split(text: str) -> list[str]:
    """At semicolons, or where there are none at commas: "debug, no stacks" has one itself."""
    return [part.strip() for part in text.split(";" if ";" in text else ",") if part.strip()]


def named(names: list[str], among: Iterable[str], what: str) -> list[str]:
    """The names, unless one is none of those that there are."""
    known = list(among)
    for name in names:
        if name not in known:
            raise SystemExit(f"{what} {name!r} is none of: {'; '.join(known)}")
    return names


def choose(found: list[Variant], text: str) -> list[Variant]:
    if not text:
        return found
    known = [variant.name for variant in found]
    names = named([text] if text in known else split(text), known, "variant")
    return [variant for variant in found if variant.name in names]


def written_to(folder: Path, whole: bool) -> list[Path]:
    """Complete runs are kept, for bench/document.py."""
    if not whole:
        return [folder / "partial.json"]
    now = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    return [folder / "bench.json", folder / "runs" / f"{now}.json"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--package", type=Path, required=True, help="the staged tree")
    parser.add_argument("--folder", type=Path, required=True, help="for what is built and written")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--samples", type=int, default=7, help="of each operation in a round")
    parser.add_argument("--only", default="", metavar="TEXT,...", help="parts of operations' names")
    parser.add_argument("--variants", default="", metavar="NAME;...", help="names of variants")
    parser.add_argument("--sections", default="", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--list", action="store_true", help="print the names, measure nothing")
    options = parser.parse_args()
    options.whole = not (options.only or options.variants or options.sections)
    options.sections = named(split(options.sections), SECTIONS, "section")
    if not options.sections:
        options.sections = list(SECTIONS if options.whole else SECTIONS[:1])
    options.only = split(options.only) or [""]
    for part in options.only:
        if not any(part in name for name in worker.NAMES):
            raise SystemExit(f"{part!r} is part of none of: {'; '.join(worker.NAMES)}")
    return options


def main() -> None:
    options = arguments()
    package, folder = options.package.resolve(), options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    progress("building the extensions")
    chosen = choose(variants.all_variants(package, folder), options.variants)
    if options.list:
        print("variants:  ", "; ".join(variant.name for variant in chosen))
        print("operations:", "; ".join(worker.NAMES))
        return
    everything: dict[str, Any] = {"machine": machine(chosen[0].python)}
    print(", ".join(f"{key}: {value}" for key, value in everything["machine"].items()), end="\n\n")
    if "operations" in options.sections:
        everything["operations"] = operations(chosen, options)
        print(figures.table(everything["operations"], "nanoseconds"), end="\n\n")
    if "program" in options.sections:
        everything["program"] = program(chosen, options)
        print(figures.table(everything["program"], "milliseconds"), end="\n\n")
    if "scale" in options.sections:
        everything["scale"] = scale.measure(chosen)
        print(scale.table(everything["scale"]), end="\n\n")
        rows = [
            [row, figures.number(value), figures.number(most), figures.verdict(value, most)]
            for row, value, most in scale.targets(everything["scale"])
        ]
        print(figures.markdown(["target", "found", "at most", ""], rows), end="\n\n")
    if "instructions" in options.sections and instructions.available():
        everything["instructions"] = counted(chosen, options)
        print(figures.table(everything["instructions"], "instructions"), end="\n\n")
    debug = [variant for variant in chosen if variant.name == "debug"]
    if "report" in options.sections and debug:
        progress("a report of 10 000 stacks")
        include = package / "hpy" / "devel" / "include"
        everything["report"] = report_time.measure(debug[0], include, folder / "report")
        progress("")
        print(report_time.table(everything["report"]), end="\n\n")
    if "micro" in options.sections:
        everything["micro"] = micro.measure(package.parent, progress)
        print(micro.table(everything["micro"]), end="\n\n")
    measured = everything.get("operations", {})
    if "micro" in everything and measured:
        print(limits.table(measured, everything["micro"]), end="\n\n")
    least = limits.least_of_targets(measured, everything.get("micro", {}))
    reached = figures.targets(
        measured, everything.get("program", {}), least, everything.get("instructions")
    )
    if reached.count("\n") > 1:
        print(reached, end="\n\n")
    for path in written_to(folder, options.whole):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(everything, indent=1), "utf-8")
        print(f"{time.monotonic() - start:.0f} s; written: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
