"""`python -m hpy.debug doctor`: what it says of this machine and of modules."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hpy.debug.cli import doctor, elf
from support.child import PythonRunner
from support.extension import Extension, ModuleFactory

HPY_ABIS = ["universal"]

SOURCE = """
#include "hpy.h"
HPyDef_METH(f, "f", HPyFunc_NOARGS)
static HPy f_impl(HPyContext *ctx, HPy self) { return HPy_Dup(ctx, ctx->h_None); }
"""


@pytest.fixture
def extension(hpy_module: ModuleFactory) -> Extension:
    return hpy_module.build(SOURCE, cflags=["-g"])


def test_sections(run_python: PythonRunner, extension: Extension) -> None:
    done = run_python.run(["-m", "hpy.debug", "doctor"], module=extension)
    assert (done.returncode, done.stderr) == (0, "")
    titles = re.findall(r"^(\S.*):$", done.stdout, re.M)
    assert titles == [
        *("interpreter", "stacks", "debug information", "guarded memory", "fault handlers"),
        "kernel and limits",
    ]
    text = done.stdout
    assert re.search(r"^  CPython 3\.\d+\.\d+\S*, \w+$", text, re.M)
    assert f"  {extension.path}: functions, files and lines\n" in text
    limit = Path("/proc/sys/vm/max_map_count").read_text().strip()
    assert f"  mappings of a process (vm.max_map_count): {limit}\n" in text
    assert re.search(r"^  SIGSEGV: first \S+", text, re.M)


def test_cost_of_a_capture(run_python: PythonRunner) -> None:
    text = run_python.run(["-m", "hpy.debug", "doctor"]).stdout
    if "no unwinder in this build" in text:
        assert "-DHPY_UNWIND=libunwind" in text
        return
    found = re.search(
        r"  one capture of (\d+) frames: ([\d.]+) ns of a known place, ([\d.]+) us the first",
        text,
    )
    assert found is not None, text
    frames, warm, cold = int(found[1]), float(found[2]), float(found[3])
    assert frames >= 3
    assert 0 < warm < 1000 * cold
    share = re.search(r"fast path: ([\d.]+) % of the captures", text)
    assert share is not None
    assert float(share[1]) > 99


def test_who_handles_faults(run_python: PythonRunner) -> None:
    code = """
        import sys
        from hpy.debug.cli import main
        sys.exit(main(["doctor", "."]))
        """
    plain = run_python(code)
    enabled = run_python(code, options=["-X", "faulthandler"])
    assert "  faulthandler of Python: not enabled\n" in plain.stdout
    assert "  faulthandler of Python: enabled\n" in enabled.stdout


@pytest.mark.parametrize("guard", ["strict", "adaptive"])
def test_what_guards_memory(run_python: PythonRunner, guard: str) -> None:
    done = run_python.run(["-m", "hpy.debug", "doctor"], env={"HPY_DEBUG_GUARD": guard})
    found = re.search(
        rf"^  guard: {guard}, pages with "
        r"(guard markers \(madvise\)|guards beyond the end of a file)"
        r"( and (?:[4-9]|1[0-2]) protection keys)?"
        r", for up to (\d+) small copies$",
        done.stdout,
        re.M,
    )
    assert found is not None, done.stdout
    has_keys = re.search(r"^flags.* ospke( |$)", Path("/proc/cpuinfo").read_text(), re.M)
    assert (found[2] is not None) == (guard == "strict" and has_keys is not None)
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    assert 0 < int(found[3]) <= limit // 4


def test_nothing_guards_memory(run_python: PythonRunner) -> None:
    text = run_python.run(["-m", "hpy.debug", "doctor"], env={"HPY_DEBUG_GUARD": "heap"}).stdout
    assert "  guard: heap, copies on the heap\n" in text
    code = """
        import resource, sys
        from hpy.debug.cli import main
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
        sys.exit(main(["doctor", "."]))
        """
    assert (
        "  guard: strict, copies on the heap (no guarded pages; ulimit -f is set: raise it"
        in run_python(code).stdout
    )


def test_no_module(run_python: PythonRunner, tmp_path: Path) -> None:
    done = run_python.run(["-m", "hpy.debug", "doctor", str(tmp_path)])
    assert f"no HPy module of the Universal or Hybrid ABI on {tmp_path}\n" in done.stdout


def test_debug_information(extension: Extension, tmp_path: Path) -> None:
    if shutil.which("objcopy") is None:
        pytest.skip("objcopy is not installed")

    def objcopy(*arguments: Any) -> None:
        subprocess.run(["objcopy", *map(str, arguments)], check=True)

    library = extension.path
    assert elf.debug_information(str(library)) == "functions, files and lines"
    symbols = tmp_path / "symbols.so"
    objcopy("--strip-debug", library, symbols)
    assert elf.debug_information(str(symbols)) == (
        "functions only, no lines: compile it with -g, or install its debug symbols, to see files "
        "and lines"
    )
    stripped, debug = tmp_path / "stripped.so", tmp_path / "stripped.so.debug"
    objcopy("--strip-all", library, stripped)
    assert elf.debug_information(str(stripped)).startswith("none: compile it with -g")
    objcopy("--only-keep-debug", library, debug)
    objcopy(f"--add-gnu-debuglink={debug}", stripped)
    assert elf.debug_information(str(stripped)) == f"functions, files and lines, in {debug}"
    debug.unlink()
    assert elf.debug_information(str(stripped)).startswith("none: ")


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x7fELF\x02\x01", b"\x7fELF\x02\x01" + b"\xff" * 80]
)
def test_library_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.hpy0.so"
    path.write_bytes(content)
    assert elf.debug_information(str(path)).startswith("cannot be read: ")
    assert list(doctor._find_modules([str(tmp_path)])) == [str(path)]
    assert list(doctor._find_modules([str(path)])) == [str(path)]
