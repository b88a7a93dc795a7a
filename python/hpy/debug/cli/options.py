"""Options that several commands have, what they read, and where they write."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from hpy.debug import formats, report_reader, settings, suppressions
from hpy.debug.cli.refusal import RefusedError
from hpy.debug.cli.terminal import Progress, wants_color
from hpy.debug.formats import Rendering
from hpy.debug.grouping import GROUPINGS
from hpy.debug.report_reader import ReportError
from hpy.debug.violation import Violation


def add_reports(parser: argparse.ArgumentParser, *names: str) -> None:
    """The report files: one argument for each name, or with `F...` any number of them."""
    for name in names:
        many = name.endswith("...")
        parser.add_argument(
            "files" if many else name.lower(),
            metavar=name[:-3] if many else name,
            nargs="+" if many else None,
            help="a report file (a line of JSON for each violation; HPY_DEBUG_REPORT and the "
            "flags --report write them); {pid} in its name stands for those of every process",
        )


def add_suppressions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--suppressions",
        metavar="F",
        help="leave out what this file suppresses (see `suppress`), besides what the table "
        "[tool.hpy-debug] of pyproject.toml does; default: the variable HPY_DEBUG_SUPPRESSIONS",
    )


def add_rendering(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--group-by",
        choices=list(GROUPINGS),
        default="stack",
        help="what belongs together (default: %(default)s); type is that of the object",
    )
    parser.add_argument(
        "--top",
        metavar="N",
        type=_number,
        help="show the N groups with the most violations, and count the rest (default: 20 in text, "
        "everything in the other formats)",
    )
    parser.add_argument(
        "--format",
        choices=list(formats.FORMATS),
        default="text",
        help="text for people (default), json: a line each, html: one file with a table and a "
        "flame graph, sarif: for code hosts, folded: stacks for flame graph tools",
    )
    add_output(parser)


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="OUT", help="write to this file")


def read(names: Sequence[str]) -> list[Violation]:
    """What the report files hold, in their order, equal ones folded."""
    found: list[Violation] = []
    for path in _expand(names):
        try:
            size = os.path.getsize(path)
        except OSError:
            size = 0  # read() says what is wrong
        try:
            with Progress(f"reading {path}", size) as progress:
                report = report_reader.read(path, progress.at)
        except ReportError as error:
            raise RefusedError(str(error)) from None
        if report.cut is not None:
            print(f"hpy.debug: {report.cut}", file=sys.stderr)
        found += report.violations
    return found


def load_suppressions(file: str | None) -> suppressions.Suppressions:
    """Those of the flag, else of the variable, and of pyproject.toml."""
    try:
        return suppressions.load(file or settings.get("suppressions"))
    except suppressions.SuppressionError as error:
        raise RefusedError(str(error)) from None


def render(violations: Iterable[Violation], given: argparse.Namespace) -> str:
    """In the format that was asked for."""
    rendering = Rendering(
        group_by=given.group_by,
        top=given.top,
        color=given.output is None and wants_color(sys.stdout),
        names=tuple(getattr(given, "files", ())),
    )
    return formats.FORMATS[given.format](list(violations), rendering)


def write(text: str, output: str | None) -> None:
    """To the file, or to standard output."""
    if output is None:
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text, "utf-8")
    except OSError as error:
        raise RefusedError(
            f"cannot write {output!r}: {error.strerror}. -o needs the path of a file in a folder "
            "that exists and may be written to"
        ) from None


def _expand(names: Sequence[str]) -> list[str]:
    """Names with {pid} stand for the files of all processes, oldest first."""
    paths: list[str] = []
    for name in names:
        if "{pid}" not in name or os.path.exists(name):
            paths.append(name)
            continue
        path = Path(name)
        pattern = path.name.replace("[", "[[]").replace("{pid}", "[0-9]*")
        matching = sorted(path.parent.glob(pattern), key=lambda p: (p.stat().st_mtime, p.name))
        if not matching:
            raise RefusedError(
                f"there is no report file {name!r}, with any number in place of {{pid}}. A program "
                "with debug mode on and this HPY_DEBUG_REPORT makes them when it finds something"
            )
        paths += map(str, matching)
    return paths


def _number(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"N must be a whole number from 1; it is {text!r}")
    return number
