"""How long a report of 10 000 stacks takes whose library has 100 megabytes of debug information.

As a worker: python report_time.py MODE BINARY           prints what it measured as JSON

The library is made here: a hundred files of a hundred functions, each of which leaks a handle from
a function inlined into it, and of types enough to make a megabyte of debug information each.
"""

from __future__ import annotations

import concurrent.futures
import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import figures
import worker

if TYPE_CHECKING:
    from variants import Variant

FILES, FUNCTIONS = 100, 100
TYPES, MEMBERS = 3400, 20
LIMIT = 5.0  # seconds

_HEADER = """
#include "hpy.h"
static inline __attribute__((always_inline)) void leak(HPyContext *ctx, HPy object)
{
    HPy_Dup(ctx, object);
}
"""
_FUNCTION = """
__attribute__((noinline)) void leak_{file}_{number}(HPyContext *ctx, HPy object)
{{
    leak(ctx, object);
}}
"""
_MODULE = """
#include "hpy.h"
{declarations}
HPyDef_METH(leak_all, "leak_all", HPyFunc_O)
static HPy leak_all_impl(HPyContext *ctx, HPy self, HPy object)
{{
{calls}
    return HPy_Dup(ctx, ctx->h_None);
}}
static HPyDef *big_defines[] = {{&leak_all, NULL}};
static HPyModuleDef big_module = {{.doc = "many functions", .defines = big_defines}};
HPy_MODINIT(big, big_module)
"""


def _types() -> Iterator[str]:
    for number in range(TYPES):
        members = "".join(f" int member_{number}_{i};\n" for i in range(MEMBERS))
        yield f"struct type_{number} {{\n{members}}};\n"


def _sources(folder: Path) -> list[Path]:
    (folder / "types.h").write_text(_HEADER + "".join(_types()), "ascii")
    names = [f"file_{number}" for number in range(FILES)]
    for number, name in enumerate(names):
        functions = [_FUNCTION.format(file=number, number=i) for i in range(FUNCTIONS)]
        everyone = "\n".join(f"    leak_{number}_{i}(ctx, object);" for i in range(FUNCTIONS))
        text = f'#include "types.h"\n{"".join(functions)}'
        text += f"void {name}(HPyContext *ctx, HPy object)\n{{\n{everyone}\n}}\n"
        (folder / f"{name}.c").write_text(text, "ascii")
    declarations = "\n".join(f"void {name}(HPyContext *ctx, HPy object);" for name in names)
    calls = "\n".join(f"    {name}(ctx, object);" for name in names)
    module = _MODULE.format(declarations=declarations, calls=calls)
    (folder / "big.c").write_text(module, "ascii")
    return [folder / f"{name}.c" for name in [*names, "big"]]


def build(include: Path, folder: Path) -> Path:
    """Takes a minute the first time."""
    library = folder / "big.hpy0.so"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    flags = ["-O1", "-g", "-fPIC", "-fno-eliminate-unused-debug-types", f"-I{include}"]
    flags += ["-DHPY", "-DHPY_ABI_UNIVERSAL"]

    def compile_one(source: Path) -> Path:
        result = source.with_suffix(".o")
        subprocess.run(["cc", "-c", *flags, str(source), "-o", str(result)], check=True)
        return result

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, _sources(folder)))
    unfinished = folder / "unfinished"
    archives = sorted((include.parent / "lib" / "universal").glob("*.a"))
    command = ["cc", "-shared", *map(str, objects), *map(str, archives), "-o", str(unfinished)]
    subprocess.run(command, check=True)
    for path in objects:
        path.unlink()
    unfinished.rename(library)
    return library


class _Terminal(io.StringIO):
    """Standard error as a person would see it."""

    def isatty(self) -> bool:
        return True


def work(mode: str, binary: str) -> dict[str, float]:
    big: Any = worker.load(mode, binary, "big")
    import hpy.debug

    detector = hpy.debug.LeakDetector()
    detector.start()
    big.leak_all(object())
    terminal = sys.stderr = _Terminal()
    start = time.perf_counter()
    try:
        detector.stop()
        raise SystemExit("nothing was found")
    except hpy.debug.HPyLeakError as e:
        found = time.perf_counter()
        error = e
    text = str(error)
    sys.stderr = sys.__stderr__
    stacks = [v.opened.native for v in error.violations if v.opened]
    return {
        "megabytes of the library": Path(binary).stat().st_size / 1e6,
        "distinct stacks": len(error.violations),
        "functions named": len({frame.function for stack in stacks for frame in stack}),
        "seconds": found - start,
        "characters of the text": len(text),
        "times that progress was shown": terminal.getvalue().count("%"),
        "megabytes of memory at most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure(variant: Variant, include: Path, folder: Path) -> dict[str, float]:
    library = build(include, folder)
    found: dict[str, float] = json.loads(variant.run("report_time.py", str(library)))
    return found


def is_met(found: dict[str, float]) -> bool:
    return found["seconds"] <= LIMIT


def table(found: dict[str, float]) -> str:
    rows = [[name, figures.number(value)] for name, value in found.items()]
    rows.append([f"at most {LIMIT:.0f} seconds", "met" if is_met(found) else "**missed**"])
    return figures.markdown(["a report of 10 000 stacks", "debug"], rows)


if __name__ == "__main__":
    json.dump(work(sys.argv[1], sys.argv[2]), sys.stdout)
