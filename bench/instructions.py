"""Instructions of each operation, counted by valgrind: the same on a busy machine as on a quiet.

As a worker, under valgrind: python instructions.py MODE BINARY [NAME;...]

Each operation is done n times and then 3 n times; a marker before, between and after has valgrind
write down what it counted. The difference over 2 n is the cost of one, without what surrounds it:
the least of some, between which the allocator is stirred. What the kernel does is not counted.
"""

from __future__ import annotations

import gc
import json
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import worker

if TYPE_CHECKING:
    from variants import Variant

TIMES = 2000
STATES = 5  # of the allocator
# How often two threads take turns is no property of the operation.
NAMES = [name for name in worker.NAMES if "two threads" not in name]


def work(mode: str, binary: str, names: list[str]) -> list[tuple[str, int, bool]]:
    """Of each operation: its name, n, and whether the empty loop was counted too."""
    ops: Any = worker.load(mode, binary)
    random.seed(0)  # of worker.stir(): each run counts the same
    gc.disable()
    done = []
    for name in names:
        operation = worker.OPERATIONS[name](ops)
        n = operation.step * max(1, TIMES // operation.step)
        for _ in range(3):
            operation.run(n)
        counted = [operation.run]
        if operation.empty is not None:
            counted.append(operation.empty)
        for run in counted:
            kept: list[object] = []
            for _ in range(STATES):
                worker.stir(kept)
                run(n)
                ops.mark()
                run(n)
                ops.mark()
                run(3 * n)
                ops.mark()
        done.append((name, n, len(counted) == 2))
    return done


def available() -> bool:
    return shutil.which("valgrind") is not None


def _parts(folder: Path) -> Iterator[int]:
    """What was counted up to each mark since the one before; out.1 is the first."""
    for path in sorted(folder.glob("out.*"), key=lambda path: int(path.suffix[1:])):
        found = re.search(r"^totals: (\d+)", path.read_text("utf-8", "replace"), re.M)
        assert found is not None, path
        yield int(found[1])


def count(variant: Variant, names: list[str]) -> dict[str, list[float]]:
    """Instructions of each operation in a variant."""
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", "--dump-before=ops_mark"]
        valgrind += [f"--callgrind-out-file={folder}/out"]
        library = str(variant.libraries["ops"])
        text = variant.run("instructions.py", library, ";".join(names), prefix=valgrind)
        parts = _parts(Path(folder))
        found = {}
        for name, n, has_empty in json.loads(text):
            costs = []
            for _ in range(1 + has_empty):
                differences = []
                for _ in range(STATES):
                    next(parts)  # up to the first of three marks
                    once = next(parts)
                    differences.append(next(parts) - once)
                costs.append(min(differences) / (2 * n))
            found[name] = [costs[0] - sum(costs[1:])]
        return found


if __name__ == "__main__":
    json.dump(work(sys.argv[1], sys.argv[2], sys.argv[3].split(";")), sys.stdout)
