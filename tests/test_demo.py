"""examples/demo.py, which `make demo` runs: the examples build, and their leaks are named."""

from pathlib import Path

import pytest

from support import tree
from support.child import PythonRunner

pytest.importorskip("setuptools")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/usr/share/iso-codes/json").is_dir(), reason="needs iso-codes")
def test_demo(run_python: PythonRunner, tmp_path: Path) -> None:
    script = str(tree.REPOSITORY / "examples" / "demo.py")
    # As whoever types `PYTHONPATH=build/python python examples/demo.py` has it.
    done = run_python.run(
        [script, "--folder", str(tmp_path / "built")],
        env={"PYTHONPATH": tree.STAGED.name},
        timeout=900,
        cwd=tree.BUILD,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 unclosed handle:\n    <DebugHandle 0x" in done.stdout
    assert " for 42>" in done.stdout
    assert "2 unclosed handles:" in done.stdout
    assert done.stdout.count("all the same as Python's json") == 2


def test_the_seed_is_unchanged() -> None:
    """S28, S29: the code of the documentation, in a file that is otherwise a module."""
    leaky = tree.REPOSITORY / "examples" / "leaky"
    assert (leaky / "debug-example.py").read_text("utf-8") == (
        "# Run with HPY_DEBUG=1\n"
        "import hpy.debug\n"
        "import snippets\n"
        "\n"
        "hpy.debug.set_handle_stack_trace_limit(16)\n"
        "from hpy.debug.pytest import LeakDetector\n"
        "with LeakDetector() as ld:\n"
        "    snippets.test_leak_stacktrace()\n"
    )
