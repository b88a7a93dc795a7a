"""`make bench` measures what it says: every operation in every mode, the tables, the page."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import compiler, tree

BENCH = tree.REPOSITORY / "bench"
sys.path.insert(0, str(BENCH))

import compare  # noqa: E402
import document  # noqa: E402
import figures  # noqa: E402
import limits  # noqa: E402
import worker  # noqa: E402


def run(program: str, mode: str, abi: str, *arguments: str, lines: str = "") -> str:
    source = (BENCH / "ops" / "ops.c").read_text("utf-8")
    library = compiler.compile_extension(source, "ops", abi)
    command = [sys.executable, str(BENCH / program), mode, str(library), *arguments]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HPY", "PYTHON"))}
    env["PYTHONPATH"] = str(tree.STAGED)
    done = subprocess.run(
        command, env=env, input=lines, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def operations_of(mode: str, abi: str) -> Any:
    lines = "\n" * (1 + len(worker.NAMES) + 1)
    ready, *answers = run("worker.py", mode, abi, "--samples", "1", lines=lines).splitlines()
    assert ready == "ready"
    return {k: v for line in answers for k, v in json.loads(line).items()}


@pytest.mark.parametrize(
    ("mode", "abi"),
    [
        ("cpython", "cpython"),
        ("universal", "universal"),
        ("debug", "universal"),
        ("debug-no-stacks", "universal"),
        ("debug-adaptive", "universal"),
        ("trace", "universal"),
    ],
)
def test_every_operation_in_every_mode(mode: str, abi: str) -> None:
    found = operations_of(mode, abi)
    assert list(found) == worker.NAMES
    # Calls are timed less their empty loop: on a busy machine one sample may leave nothing.
    assert all(0 <= value < 1e6 for value in found.values()), found
    assert found["HPy_Dup + HPy_Close"] > 0


def test_what_grows() -> None:
    found = json.loads(run("scale.py", "debug", "universal", "10", "1000"))
    assert "us of an empty leak check, 1,000 open" in found
    assert "s for the report of 1,000 leaks of one line" in found
    assert found["ns of HPy_Dup + HPy_Close, 1,000 open"] > 0


def answering(text: str) -> "subprocess.Popen[str]":
    text = f"import sys; sys.path.insert(0, {str(BENCH)!r}); import worker\n{text}"
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", text], stdin=pipe, stdout=pipe, text=True)


def test_processes_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"
    text = (
        f"log = open({str(log)!r}, 'ab', buffering=0)\n"
        "worker.answer({'x': log.write(WHO)} for _ in range(3))"
    )
    with answering(text.replace("WHO", "b'a'")) as a, answering(text.replace("WHO", "b'bb'")) as b:
        assert [compare.answer_of(process) for process in (a, b)] == ["ready\n"] * 2
        found = compare.in_turn({"a": a, "b": b})
    assert found == {"a": {"x": [1, 1, 1]}, "b": {"x": [2, 2, 2]}}
    assert log.read_text("ascii") == "abbabbabb"


@pytest.mark.parametrize("before", ["", "sys.stdin.readline();"])
def test_a_process_that_fails_ends_the_run(before: str) -> None:
    with answering(f"{before}sys.exit(3)") as process:
        if not before:
            process.wait()
        with pytest.raises(SystemExit, match="ended with 3"):
            compare.in_turn({"a": process})


def test_processes_that_are_out_of_step_end_the_run() -> None:
    texts = ["worker.answer([{'x': 1}])", "worker.answer([{'x': 1}, {'x': 2}])"]
    with answering(texts[0]) as a, answering(texts[1]) as b:
        for process in (a, b):
            compare.answer_of(process)
        with pytest.raises(SystemExit, match="not all at the same operation"):
            compare.in_turn({"a": a, "b": b})


def test_a_mode_that_is_none() -> None:
    with pytest.raises(SystemExit, match="wanted one of"):
        worker.configure("debug-sometimes")


def test_ratios_are_those_when_the_machine_is_fast() -> None:
    # In many samples it was slow, by chance in more of ours.
    found: figures.Figures = {
        "debug": {"x": [20.0] * 6 + [11.0, 10.0, 9.0] * 2},
        "0.9 debug": {"x": [39.0, 41.0] + [80.0] * 5 + [40.0] * 4 + [41.0]},
        "slow": {"x": [1.0]},
    }
    assert figures.ratio(found, "x", "debug", "0.9 debug") == pytest.approx(10 / 40)
    assert "| x | 10 | 40 | 1 |" in figures.table(found, "ns")


def test_a_missed_target_is_called_so() -> None:
    row, ours, theirs, most = figures.TARGETS[0]
    slow: figures.Figures = {ours: {row: [10.0 * most + 1]}, theirs: {row: [10.0]}}
    assert "**missed**" in figures.targets(slow, {}, {})
    fast: figures.Figures = {ours: {row: [10.0 * most]}, theirs: {row: [10.0]}}
    assert "**missed**" not in figures.targets(fast, {}, {})


def test_a_target_that_the_least_program_misses_says_so() -> None:
    row, ours, theirs, most = next(t for t in figures.TARGETS if t[0] == limits.BUFFERS)
    found: figures.Figures = {ours: {row: [3000.0]}, theirs: {row: [10_000.0]}}
    for nanoseconds, said in (2500.0, "**missed** (the least: 0.25)"), (1000.0, "**missed**"):
        micro = {"limits": {limits.GUARDS[ours][-1]: nanoseconds, limits.GUARDS[ours][0]: 9000.0}}
        least = limits.least_of_targets(found, micro)
        assert f"| 0.30 | {most:.2f} | - | {said} |" in figures.targets(found, {}, least)


def test_not_slower_is_by_time_and_instructions_stand_beside() -> None:
    counted: figures.Figures = {"universal": {"x": [90]}, "0.9 universal": {"x": [100]}}
    for ours, said in (10.5, "| 1.05 | 1.05 | 0.90 | met |"), (10.7, "| 0.90 | **missed** |"):
        times: figures.Figures = {"universal": {"x": [ours]}, "0.9 universal": {"x": [10.0]}}
        assert said in figures.targets(times, {}, {}, counted)


def test_less_than_a_nanosecond_is_not_resolved() -> None:
    found: figures.Figures = {"debug": {"x": [0.9]}, "0.9 debug": {"x": [0.4]}}
    assert figures.ratio(found, "x", "debug", "0.9 debug") == 1


def test_what_is_compared_exists() -> None:
    assert {row for row, *_ in figures.TARGETS} <= set(worker.NAMES)
    assert set(limits.PARTS) <= set(worker.NAMES)


def test_the_page_keeps_its_prose() -> None:
    run = {"machine": {"cpu": "a fast one"}}
    unknown = "<!-- bench: program -->x<!-- end -->"
    page = f"before\n<!-- bench: machine -->\nold\n<!-- end -->\nafter {unknown}"
    text = document.render(page, [run])
    assert text.startswith("before\n<!-- bench: machine -->")
    assert "old" not in text
    assert "| cpu | a fast one |" in text
    assert f"after {unknown}" in text, "a section that was not measured"
    assert document.render(text, [run]) == text


def test_the_page_has_every_table() -> None:
    page = Path(tree.REPOSITORY / "docs" / "performance.md").read_text("utf-8")
    for name in ("targets", *document.TABLES):
        assert f"<!-- bench: {name} -->" in page
