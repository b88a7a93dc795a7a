"""`doctor`: what works here, and what to do about what does not."""

from __future__ import annotations

import argparse
import faulthandler
import os
import platform
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpy.debug import settings
from hpy.debug.cli.elf import debug_information, unreadable
from hpy.debug.cli.refusal import RefusedError
from hpy.debug.cli.terminal import Progress
from hpy.debug.native import native

_GOOD_NS = 1000  # what a capture takes that does not go the fast way


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "doctor",
        help="show what works here: stacks, debug information, guarded memory, limits",
        description="Shows what works on this machine and with this Python, and what mends what "
        "does not.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "places",
        metavar="PATH",
        nargs="*",
        help="HPy modules, or folders with HPy modules, to look at (default: all in the current "
        "directory and on sys.path)",
    )
    parser.set_defaults(command=doctor)


def doctor(given: argparse.Namespace) -> int:
    for place in given.places:
        if not os.path.exists(place):
            raise RefusedError(
                f"there is no file or folder {place!r}; name an HPy module, such as "
                "NAME.hpy0.so, or a folder"
            )
        if os.path.isfile(place) and (wrong := unreadable(place)) is not None:
            raise RefusedError(
                f"{place!r} is no library of this machine: {wrong}; name an HPy module, such as "
                "NAME.hpy0.so, or a folder"
            )
    facts = native().doctor()
    sections = [
        ("interpreter", _interpreter()),
        ("stacks", _stacks(facts["captures"])),
        ("debug information", _modules(given.places)),
        ("guarded memory", _guard(facts)),
        ("fault handlers", _fault_handlers(facts["fault_handlers"])),
        ("kernel and limits", _limits()),
    ]
    for title, lines in sections:
        print(f"{title}:")
        for line in lines:
            print(f"  {line}")
    return 0


def _interpreter() -> Iterator[str]:
    yield f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
    yield f"native module: {native().__file__}"
    on = os.environ.get("HPY") or os.environ.get("HPY_DEBUG")
    yield f"debug mode: {'set to ' + repr(on) if on else 'off'} in the environment"


def _stacks(captures: dict[str, Any]) -> Iterator[str]:
    if captures["frames"] == 0:
        yield "no unwinder in this build: reports name the function in progress, and no lines"
        yield "to mend it, build hpy with -DHPY_UNWIND=libunwind"
        return
    share = 100 * captures["fast_share"]
    yield f"unwinding on the fast path: {share:.1f} % of the captures of a known place"
    yield (
        f"one capture of {captures['frames']} frames: {captures['warm_ns']:.1f} ns of a known "
        f"place, {captures['cold_ns'] / 1000:.1f} us the first time"
    )
    if share < 99 or captures["warm_ns"] > _GOOD_NS:
        yield (
            "that is slow; a machine that is busy may be the reason. To do without stacks: "
            "HPY_DEBUG_STACK_DEPTH=0"
        )
    yield f"native frames kept of a place (stack_depth): {settings.get('stack_depth')}"
    python = "read for violations and leaks" if settings.get("python_stacks") else "not read"
    yield f"Python frames (python_stacks): {python}"


def _modules(places: list[str]) -> Iterator[str]:
    found = sorted(_find_modules(places))
    if not found:
        where = ", ".join(places) if places else "sys.path; name a folder to look in another"
        yield f"no HPy module of the Universal or Hybrid ABI on {where}"
    for path in found:
        yield f"{path}: {debug_information(path)}"
    if settings.get("debuginfod"):
        yield f"asks the network: {os.environ.get('DEBUGINFOD_URLS') or 'DEBUGINFOD_URLS is unset'}"


def _find_modules(places: list[str]) -> Iterator[str]:
    """Files NAME.hpy*.so and NAME.hpy0-TAG.so below the places, or here and on sys.path."""
    standard = os.path.dirname(os.__file__)
    # The script hpy-debug has no current directory on sys.path.
    here = [os.getcwd(), *map(os.path.abspath, sys.path)]
    roots = places or [path for path in dict.fromkeys(here) if path != standard]
    with Progress("looking for HPy modules", len(roots)) as progress:
        seen: set[str] = set()
        for root in progress.over(roots):
            if os.path.isfile(root):
                if root in places:
                    yield root
                continue
            for folder, folders, files in os.walk(root):
                folders[:] = [name for name in folders if name != "__pycache__"]
                for name in files:
                    path = os.path.join(folder, name)
                    real = os.path.realpath(path)
                    if ".hpy" in name and name.endswith(".so") and real not in seen:
                        seen.add(real)
                        yield path


def _guard(facts: dict[str, Any]) -> Iterator[str]:
    guard = settings.get("guard")
    yield f"guard: {guard}, {'copies on the heap' if guard == 'heap' else facts['guard']}"
    yield f"page size: {resource.getpagesize()} bytes"
    megabytes = settings.get("closed_buffers") / (1 << 20)
    yield f"address space for buffers of closed handles (closed_buffers): {megabytes:g} MiB"


def _fault_handlers(handlers: dict[str, str]) -> Iterator[str]:
    own = native().__file__
    for signal, library in handlers.items():
        who = "that of hpy.debug" if os.path.realpath(library) == os.path.realpath(own) else library
        yield f"{signal}: first {who}"
    state = "enabled" if faulthandler.is_enabled() else "not enabled"
    yield f"faulthandler of Python: {state}"


def _limits() -> Iterator[str]:
    yield f"kernel: {platform.release()}"
    for path, what in (
        ("/proc/sys/vm/max_map_count", "mappings of a process (vm.max_map_count)"),
        ("/proc/sys/vm/overcommit_memory", "overcommit of memory (vm.overcommit_memory)"),
    ):
        try:
            yield f"{what}: {Path(path).read_text().strip()}"
        except OSError:
            yield f"{what}: not known, {path} cannot be read"
    for limit, what in (
        (resource.RLIMIT_AS, "address space (ulimit -v)"),
        (resource.RLIMIT_STACK, "stack (ulimit -s)"),
        (resource.RLIMIT_CORE, "core files (ulimit -c)"),
    ):
        soft = resource.getrlimit(limit)[0]
        amount = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft // 1024} KiB"
        yield f"{what}: {amount}"
