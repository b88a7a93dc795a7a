"""Times the operations of bench/ops in one interpreter: a sample for each line that it reads.

    python worker.py MODE BINARY [--samples N] [--only NAME;...]

Prints each as a line of JSON, {operation: nanoseconds}, so that processes can take turns. Runs
with this package or with HPy 0.9: nothing but the standard library and hpy is imported.
MODE is cpython, universal, debug, debug-no-stacks, debug-stacks, debug-adaptive or trace.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib.machinery
import importlib.util
import itertools
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, Callable, NamedTuple

SAMPLE_SECONDS = 0.003


class Operation(NamedTuple):
    """`run(n)` does it n times and says the seconds; n is a multiple of `step`.

    `empty(n)` are the seconds of the loop around it that do not count.
    """

    run: Callable[[int], float]
    step: int = 1
    empty: Callable[[int], float] | None = None


def load(mode: str, path: str, name: str = "ops") -> ModuleType:
    spec = importlib.util.spec_from_loader(
        name, importlib.machinery.ExtensionFileLoader(name, path), origin=path
    )
    assert spec is not None
    if mode == "cpython":
        module = importlib.util.module_from_spec(spec)
        assert spec.loader is not None
        spec.loader.exec_module(module)
        return module
    from hpy import universal

    number = {"universal": universal.MODE_UNIVERSAL, "trace": universal.MODE_TRACE}
    configure(mode)
    return universal.load(name, path, spec, mode=number.get(mode, universal.MODE_DEBUG))


def configure(mode: str) -> None:
    if not mode.startswith("debug-"):
        return
    import hpy.debug

    if mode == "debug-no-stacks":
        hpy.debug.disable_handle_stack_traces()
    elif mode == "debug-stacks":  # of HPy 0.9, where they are off
        hpy.debug.set_handle_stack_trace_limit(16)
    elif mode == "debug-adaptive":
        hpy.debug.configure(guard="adaptive")
    else:
        raise SystemExit(f"MODE is {mode!r}; wanted one of those that --help names")


def loop(function: Callable[[int, Any], Any], value: Any, step: int = 1) -> Operation:
    """A loop in C."""

    def run(n: int) -> float:
        start = time.perf_counter()
        function(n, value)
        return time.perf_counter() - start

    return Operation(run, step)


def call(function: Callable[..., Any], *args: Any, **keywords: Any) -> Operation:
    """Calls from Python, without what the loop itself takes."""
    empty = "def run(n, f, args):\n for _ in repeat(None, n): pass"
    words = [f"a{i}" for i in range(len(args))] + [f"{key}={key}" for key in keywords]
    given = [f"a{i}" for i in range(len(args))] + list(keywords)
    unpack = f"({', '.join(given)},) = args" if given else "pass"
    full = f"def run(n, f, args):\n {unpack}\n for _ in repeat(None, n): f({', '.join(words)})"
    values = (*args, *keywords.values())

    def timed(text: str) -> Callable[[int], float]:
        names: dict[str, Any] = {"repeat": itertools.repeat}
        exec(text, names)

        def run(n: int) -> float:
            start = time.perf_counter()
            names["run"](n, function, values)
            return time.perf_counter() - start

        return run

    return Operation(timed(full), empty=timed(empty))


def recursion(function: Callable[..., Any], depth: int) -> Operation:
    """Each time is one level of calls from C to Python's calling and back into C."""

    def run(n: int) -> float:
        start = time.perf_counter()
        for _ in range(n // depth):
            function(depth - 1, function)
        return time.perf_counter() - start

    return Operation(run, depth)


def two_threads(function: Callable[[int, Any], Any], value: Any) -> Operation:
    """Half of them on each of two threads that take turns with the interpreter."""

    def work(n: int) -> None:
        for _ in range(n // 100):
            function(100, value)

    def run(n: int) -> float:
        threads = [threading.Thread(target=work, args=(n // 2,)) for _ in range(2)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - start

    return Operation(run, 20_000)


def after_a_thread(function: Callable[[int, Any], Any]) -> Operation:
    thread = threading.Thread()
    thread.start()
    thread.join()
    return loop(function, "some text")


# Each made for the module when it is wanted.
OPERATIONS: dict[str, Callable[[Any], Operation]] = {
    "HPy_Dup + HPy_Close": lambda ops: loop(ops.dup_close, 1234),
    "the same, 10 000 sites": lambda ops: loop(ops.dup_close_10000_sites, 1234, 10_000),
    "the same, a helper with 100 callers": lambda ops: loop(ops.dup_close_100_callers, 1234, 100),
    "the same, 64 frames deep": lambda ops: loop(ops.dup_close_64_deep, 1234),
    "FromLong + AsLong + close": lambda ops: loop(ops.long_roundtrip, None),
    "UTF-8 pointer, read, close": lambda ops: loop(ops.utf8_read_close, "some text"),
    "attribute": lambda ops: loop(ops.get_attribute, 1234),
    "sum of a list, per item": lambda ops: loop(ops.list_sum, list(range(1000))),
    "tuple of three": lambda ops: loop(ops.tuple_of_three, 1234),
    "list builder, ten items": lambda ops: loop(ops.list_builder_of_ten, 1234),
    "string, concatenated": lambda ops: loop(ops.build_string, None),
    "dict, set and get": lambda ops: loop(ops.dict_set_get, 1234),
    "instance, from C": lambda ops: loop(ops.new_instance, ops.Point),
    "instance, from Python": lambda ops: call(ops.Point),
    "call, no arguments": lambda ops: call(ops.call_noargs),
    "call, one argument": lambda ops: call(ops.call_o, 1),
    "call, three arguments": lambda ops: call(ops.call_varargs, 1, 2, 3),
    "call, two keywords": lambda ops: call(ops.call_keywords, a=1, b=2),
    "method": lambda ops: call(ops.Point().norm),
    "recursion, a hundred levels, each": lambda ops: recursion(ops.recurse, 100),
    # The last ones: a process that has had a thread guards buffers in another way.
    "HPy_Dup + HPy_Close, two threads": lambda ops: two_threads(ops.dup_close, 1234),
    "UTF-8 pointer, there were threads": lambda ops: after_a_thread(ops.utf8_read_close),
}
NAMES = list(OPERATIONS)


def stir(kept: list[object]) -> None:
    """Fills a pool of CPython's allocator (16 KiB) and part of another with objects of each of its
    sizes, and keeps them, so that it stands elsewhere: an operation that empties and fills a pool
    each time is slower by a tenth, and free() by five instructions in one part of an arena than
    in the other. By chance, or a variant would have the same places in each round.
    """

    def some(pool: int) -> range:
        return range(pool + random.randrange(pool))

    new: list[object] = [object() for _ in some(1024)]
    new += [1_000_000 + i for i in some(512)]
    for size in range(48, 513, 16):
        new += [bytes(size - 40) for _ in some(16_384 // size)]
    kept.append(new)


def measure(make: Callable[[], Operation]) -> Iterator[float]:
    """Nanoseconds, without end: samples of about SAMPLE_SECONDS each."""
    operation = make()
    n, seconds = operation.step, 0.0
    while seconds < SAMPLE_SECONDS / 2:
        if seconds:
            times = SAMPLE_SECONDS / max(seconds, SAMPLE_SECONDS / 100)
            n = (int(n * times) // operation.step + 1) * operation.step
        # The last of three: caches fill the second time, and what is seen often becomes faster.
        seconds = [operation.run(n) for _ in range(3)][-1]
    kept: list[object] = []
    around = 0.0 if operation.empty is None else min(operation.empty(n) for _ in range(5))
    while True:
        stir(kept)
        # Made anew, for where its code and its objects stand is a nanosecond more or less; and run
        # once before, for the others have had the caches meanwhile.
        operation = make()
        operation.run(n)
        taken = operation.run(n)
        if operation.empty is not None:
            around = min(around, operation.empty(n))
        yield max(taken - around, 0.0) / n * 1e9


def stay() -> None:
    """On one processor: where a process has been on another, the kernel asks it at each mprotect()
    whether it knows the page; 0.3 us more of 1.7, some of the time.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def answer(samples: Iterable[dict[str, float]]) -> None:
    """Takes the next sample when a line is read; the first asks whether it is ready."""
    if sys.stdin.readline():
        print("ready", flush=True)
    for _, sample in zip(iter(sys.stdin.readline, ""), samples):
        print(json.dumps(sample), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("mode")
    parser.add_argument("binary")
    parser.add_argument("--samples", type=int, default=7)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    stay()
    sys.setswitchinterval(0.0005)
    ops = load(options.mode, options.binary)
    names = [name for name in options.only.split(";") if name] or NAMES
    gc.disable()
    answer(
        {name: nanoseconds}
        for name in names
        for nanoseconds in itertools.islice(
            measure(functools.partial(OPERATIONS[name], ops)), options.samples
        )
    )


if __name__ == "__main__":
    main()
