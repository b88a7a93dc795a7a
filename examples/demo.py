"""Debug mode at work: what `make demo` runs.

    PYTHONPATH=build/python python examples/demo.py [--folder F]

Builds the examples for the universal ABI, runs the JSON example on real data without and with debug
mode, then two extensions that leak, and shows their reports. The exit status is 0 if all of it went
as it should: the good extension is silent, and of each leak the line is named.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
DEFAULT_FOLDER = EXAMPLES.parent / "build" / "demo"


class DemoError(Exception):
    """Something did not go as it should."""


def line_of(file: str, text: str) -> str:
    """The line of a source file with this text, as reports write it."""
    lines = (EXAMPLES / file).read_text("utf-8").splitlines()
    (number,) = (number for number, line in enumerate(lines, 1) if text in line)
    return f"{Path(file).name}:{number}"


def title(text: str) -> None:
    print(f"\n=== {text}\n", flush=True)


class Demo:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("HPY")}
        # The examples are built and run in their own folders: a relative path would be lost there,
        # and setup_requires would fetch another hpy.
        inherited = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        self.env["PYTHONPATH"] = os.pathsep.join([str(folder), *map(os.path.abspath, inherited)])

    def build(self, name: str) -> None:
        command = ["setup.py", "--quiet", "--hpy-abi=universal", "build_ext"]
        command += ["--build-lib", str(self.folder)]
        command += ["--build-temp", str(self.folder / "temp" / name)]
        env = {**self.env, "CFLAGS": self.env.get("CFLAGS", "") + " -g"}
        done = subprocess.run(
            [sys.executable, *command],
            cwd=EXAMPLES / name,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"examples/{name} does not build:\n{done.stdout}")

    def run(self, script: str, debug: str | None = None, wanted: tuple[str, ...] = ()) -> None:
        """Runs an example. With `wanted` it must fail, and say all of that."""
        env = dict(self.env)
        if debug is not None:
            env["HPY_DEBUG"] = debug
            print(f"$ HPY_DEBUG={debug} python examples/{script}", flush=True)
        else:
            print(f"$ python examples/{script}", flush=True)
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / script)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        print(done.stdout, end="", flush=True)
        if bool(done.returncode) != bool(wanted):
            raise DemoError(f"examples/{script} ended with exit status {done.returncode}")
        for text in wanted:
            if text not in done.stdout:
                raise DemoError(f"the report of examples/{script} does not say {text!r}")


def run_all(demo: Demo) -> None:
    title("Building examples/json and examples/leaky for the universal ABI")
    for name in ("json", "leaky"):
        demo.build(name)
        print(f"examples/{name}: built")

    title("A JSON decoder and encoder in HPy, on 5 MB of the package iso-codes")
    demo.run("json/run_iso_codes.py")

    title("The same binary in debug mode: nothing is left open")
    demo.run("json/run_iso_codes.py", debug="hpyjson")

    title("A function that forgets a handle")
    demo.run(
        "leaky/debug-example.py",
        debug="1",
        wanted=(
            "1 unclosed handle",
            line_of("leaky/snippets.c", "HPyLong_FromLong(ctx, 42)"),
            "test_leak_stacktrace_impl",
            line_of("leaky/debug-example.py", "snippets.test_leak_stacktrace()"),
        ),
    )

    title("The JSON decoder with one HPy_Close missing, on an error path")
    demo.run(
        "leaky/leaky_json_example.py",
        debug="leaky_json",
        wanted=(
            "2 unclosed handles",
            line_of("leaky/leaky_json.c", "HPy key = json_decode_string(d);"),
            line_of("leaky/leaky_json_example.py", "leaky_json.loads(broken)"),
        ),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--folder", type=Path, default=DEFAULT_FOLDER, help="where to build (build/demo)"
    )
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run_all(Demo(folder))
    except DemoError as e:
        print(f"\ndemo: {e}", file=sys.stderr)
        return 1
    title("All as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
