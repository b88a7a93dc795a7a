"""Python in a process of its own, for what ends a process or must start from nothing."""

import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional, Union

from support import tree
from support.extension import Extension

Completed = subprocess.CompletedProcess[str]


def _no_core_file() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class PythonRunner:
    """The fixture `run_python`: runs code in a new interpreter that can import hpy and `module`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(
        self,
        code: str,
        *arguments: str,
        env: Optional[Mapping[str, str]] = None,
        module: Union[Extension, Sequence[Extension]] = (),
        options: Sequence[str] = (),
        python: str = sys.executable,
        timeout: float = 120,
    ) -> Completed:
        """Runs `code` (dedented, as a file script.py), and returns returncode, stdout and stderr.

        `module` can be imported there by its name, in the mode of its ABI. No variable HPY* of this
        process is passed on; `env` is added to the environment last. `options` are those of the
        interpreter.
        """
        self._count += 1
        folder = self._folder / f"run-{self._count}"
        folder.mkdir()
        script = folder / "script.py"
        script.write_text(textwrap.dedent(code))
        return self.run([*options, str(script), *arguments], env, module, python, timeout)

    def run(
        self,
        command: Sequence[str],
        env: Optional[Mapping[str, str]] = None,
        module: Union[Extension, Sequence[Extension]] = (),
        python: str = sys.executable,
        timeout: float = 120,
        cwd: Optional[Path] = None,
    ) -> Completed:
        """Runs the interpreter with any command line, e.g. ["-m", "hpy.debug", "kinds"]."""
        extensions = [module] if isinstance(module, Extension) else list(module)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HPY")}
        folders = [str(tree.STAGED), *(str(extension.folder) for extension in extensions)]
        environment["PYTHONPATH"] = os.pathsep.join(folders)
        for extension in extensions:
            environment.update(extension.env)
        environment.update(env or {})
        return subprocess.run(
            [python, *command],
            env=environment,
            cwd=cwd or self._folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            preexec_fn=_no_core_file,
        )
