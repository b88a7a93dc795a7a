"""The commands of `python -m hpy.debug`: one file each, and what they share.

Exit statuses: 0; 1 when `diff` found something new; 2 when what was asked for cannot be done;
70 when `run` found something.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from hpy.debug.cli import diff, doctor, explain, report, run, suppress
from hpy.debug.cli.refusal import RefusedError

_COMMANDS = (run, report, diff, suppress, explain, doctor)
_DESCRIPTION = "Finds leaked and misused handles of HPy extensions, and shows what was found."


def parser() -> argparse.ArgumentParser:
    """The whole command line, with its help."""
    top = argparse.ArgumentParser(
        prog=_program(),
        description=_DESCRIPTION,
        epilog="`COMMAND --help` says more of each.",
        allow_abbrev=False,
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_to(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status. SystemExit for --help and wrong flags."""
    own, of_program = run.split(sys.argv[1:] if arguments is None else arguments)
    given = parser().parse_args(own)
    given.arguments = of_program
    try:
        status: int = given.command(given)
        sys.stdout.flush()
        return status
    except RefusedError as refused:
        print(f"hpy.debug: {refused}", file=sys.stderr)
        return 2
    except ImportError as error:
        if error.name != "hpy.debug._native":
            raise
        print(f"hpy.debug: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read our output had enough, as `| head` has.
        _drop_output()
        return 1
    except OSError as error:
        if error.filename is not None or given.command is run.run:
            raise
        print(
            f"hpy.debug: cannot write to standard output: {error.strerror}. Make room where it "
            "goes, or send it elsewhere",
            file=sys.stderr,
        )
        _drop_output()
        return 2


def _drop_output() -> None:
    """What could not be written is not to be tried again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _program() -> str:
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    return "hpy-debug" if name.startswith("hpy-debug") else "python -m hpy.debug"
