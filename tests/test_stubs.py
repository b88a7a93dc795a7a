"""The stubs of the native modules say what is there, no more and no less."""

import os
import subprocess
import sys

import pytest

from support import tree

pytest.importorskip("mypy", reason="needs mypy, which make test has in .venv")


@pytest.mark.parametrize("module", ["hpy.universal", "hpy.debug._native", "hpy.trace._native"])
def test_stub(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", module],
        env={**os.environ, "PYTHONPATH": str(tree.STAGED), "MYPYPATH": str(tree.STAGED)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
