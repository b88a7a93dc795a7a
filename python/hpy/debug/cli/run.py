"""`run`: a program as `python` would run it, with debug mode on and leaks looked for at its end."""

from __future__ import annotations

import argparse
import atexit
import dataclasses
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

from hpy.debug import reporting, settings, suppressions
from hpy.debug.cli import program
from hpy.debug.cli.refusal import RefusedError
from hpy.debug.cli.terminal import wants_color
from hpy.debug.formats.rendering import native_text
from hpy.debug.grouping import fold
from hpy.debug.leakdetector import LeakDetector
from hpy.debug.native import native
from hpy.debug.violation import Violation

FOUND = 70  # the exit status; EX_SOFTWARE of sysexits.h


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "run",
        help="run a program with debug mode on",
        usage="%(prog)s [OPTIONS] [-m MODULE | SCRIPT] ARGS...",
        description="Runs a program as python would, with debug mode on for its HPy modules, and "
        f"looks for leaks at its end. The exit status is {FOUND} if there was any violation or "
        "leak and the program itself ended well, else the program's own.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--modules",
        metavar="M,..",
        type=_module_names,
        help="only these, by their full dotted names or the last parts of them (default: all)",
    )
    for setting in settings.SETTINGS.values():
        default = "warn" if setting.name == "on_violation" else setting.shown_default
        how: dict[str, Any] = {"metavar": setting.metavar}
        if setting.is_flag:
            how = {"action": argparse.BooleanOptionalAction}
        parser.add_argument(
            setting.flag,
            dest=f"setting_{setting.name}",
            help=f"{setting.help} (default: {default})".replace("%", "%%"),
            **how,
        )
    parser.add_argument("-m", dest="module", metavar="MODULE", help="run a module as a script")
    parser.set_defaults(command=run)


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments of ours, and what belongs to the program, which may look like flags of ours."""
    arguments = list(arguments)
    if arguments[:1] != ["run"]:
        return arguments, []
    with_value = {"--modules"}
    with_value |= {setting.flag for setting in settings.SETTINGS.values() if not setting.is_flag}
    at = 1
    while at < len(arguments):
        word = arguments[at]
        if word == "--":
            return arguments[:at], arguments[at + 1 :]
        if word == "-m" or (word.startswith("-m") and not word.startswith("--")):
            at += 2 if word == "-m" else 1
            return arguments[:at], arguments[at:]
        if not word.startswith("-") or word == "-":
            return arguments[:at], arguments[at:]
        at += 2 if word in with_value else 1
    return arguments, []


def run(given: argparse.Namespace) -> int:
    arguments = given.arguments
    if given.module is None and not arguments:
        raise RefusedError(
            "there is nothing to run; name a script or a module: run SCRIPT ARGS..., "
            "run -m MODULE ARGS..."
        )
    _configure(given)
    watch = _Watch(given.modules)
    if given.module is not None:
        found = program.find_module(given.module)
    else:
        found, arguments = program.find_script(arguments[0]), arguments[1:]
    status = program.execute(found, arguments)
    _wait_for_the_rest()
    anything = watch.finish()
    return program.end(FOUND if status == 0 and anything else status)


class _Watch:
    """What happens from its making to finish()."""

    def __init__(self, modules: list[str] | None) -> None:
        self._modules = modules
        self._found: dict[object, Violation] = {}
        self._pid = os.getpid()
        reporting.on_violation(self._note)
        # The whole report comes at the end; until then the places are enough.
        reporting.warning_text = lambda story: str(Violation.from_json(story))
        LeakDetector._ran = True  # or what is open would be reported at exit again
        self._generation = native()._debug.new_generation()
        os.register_at_fork(after_in_child=self._forked)

    def finish(self) -> bool:
        """Prints the report. Whether there was any violation or leak."""
        reporting.report_found(reporting.find_leaks(self._generation, report=True))
        found = fold(self._found.values())
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        if sys.stderr is not None:
            self._print(found)
        # The status of a forked child is a matter between it and its parent.
        errors = any(violation.severity == "error" for violation in found)
        return errors and os.getpid() == self._pid

    def _print(self, found: list[Violation]) -> None:
        color = wants_color(sys.stderr)
        text = native_text(found, settings.get("top"), color, _report_path())
        sites, summary = text[: text.rindex("SUMMARY:")], text[text.rindex("SUMMARY:") :]
        lines = suppressions.active().account()
        for name in self._never_loaded():
            lines.append(f"hpy.debug: {name}")
        more = "".join(f"{line}\n" for line in lines)
        sys.stderr.write(sites + more + summary)
        sys.stderr.flush()

    def _note(self, violation: Violation) -> None:
        # Folded at once: a loop may make the same mistake a million times.
        key = (
            *(violation.kind, violation.api, violation.module, violation.function),
            *(violation.at, violation.opened, violation.closed),
        )
        before = self._found.get(key)
        count = violation.count + (before.count if before is not None else 0)
        self._found[key] = dataclasses.replace(before or violation, count=count)

    def _never_loaded(self) -> list[str]:
        if self._modules is None:
            return []
        loaded = native().loaded_modules()
        last = {name.rpartition(".")[2] for name in loaded}
        told = []
        for name in self._modules:
            if name in loaded or name.rpartition(".")[2] in last:
                continue
            others = f"; in debug mode were {', '.join(sorted(loaded))}" if loaded else ""
            if name in sys.modules or any(m.endswith(f".{name}") for m in sys.modules):
                told.append(
                    f"the module {name} of --modules is not an HPy module of the Universal or "
                    "Hybrid ABI, so it has no debug mode: build it with --hpy-abi=universal"
                )
            else:
                told.append(f"the module {name} of --modules was never loaded{others}")
        return told

    def _forked(self) -> None:
        """A forked child has made no mistake yet, and what is open was opened by its parent."""
        self._found.clear()
        self._generation = native()._debug.new_generation()


def _configure(given: argparse.Namespace) -> None:
    """Settings and variables: children that are Python too get what this process has."""
    chosen = {}
    for name, setting in settings.SETTINGS.items():
        value = getattr(given, f"setting_{name}")
        if value is None:
            continue
        text = str(int(value)) if setting.is_flag else value
        try:
            chosen[name] = settings.parse(name, text)
        except ValueError as error:
            told = str(error)[len(name) :]
            raise RefusedError(f"{setting.flag}{told}") from None
        os.environ[setting.variable] = str(chosen[name]) if setting.is_path else text
    if "on_violation" not in chosen and "HPY_DEBUG_ON_VIOLATION" not in os.environ:
        chosen["on_violation"] = os.environ["HPY_DEBUG_ON_VIOLATION"] = "warn"
    settings.configure(**chosen)
    # Before the program runs, and not when its first violation is looked up.
    try:
        suppressions.active()
    except suppressions.SuppressionError as error:
        raise RefusedError(str(error)) from None
    os.environ.pop("HPY", None)  # it would come before HPY_DEBUG
    os.environ["HPY_DEBUG"] = "1" if given.modules is None else ",".join(given.modules)
    path = _report_path()
    if path is not None:
        # So that a run without a violation leaves a report too, which `diff` can read.
        try:
            open(path, "ab").close()
        except OSError as error:
            raise RefusedError(
                f"cannot write the report {path!r}: {error.strerror}. --report needs the path of "
                "a file in a folder that exists and may be written to"
            ) from None


def _report_path() -> str | None:
    path = settings.get("report")
    return None if path is None else str(path).replace("{pid}", str(os.getpid()))


def _module_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise argparse.ArgumentTypeError(
                f"a list of names of modules is wanted, such as pkg.mod_a,mod_b; {name!r} is none"
            )
    return names


def _wait_for_the_rest() -> None:
    """What the interpreter would do next, for threads and atexit functions may leak too."""
    # Both are what it calls itself, and do nothing the second time.
    getattr(threading, "_shutdown", lambda: None)()
    getattr(atexit, "_run_exitfuncs", lambda: None)()
