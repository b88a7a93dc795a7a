"""`suppress`: writes the suppressions for what is in a report."""

from __future__ import annotations

import argparse
from typing import Any

from hpy.debug import suppressions
from hpy.debug.cli import options
from hpy.debug.grouping import fold, place


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "suppress",
        help="write suppressions for what is in a report",
        description="Writes a line for each violation of the report that is not suppressed yet; "
        "--suppressions F of `run` and `report` and the setting `suppressions` take them. Lines "
        "name functions and no line numbers, so that they hold when the source is edited; they may "
        "be made shorter, and more general, by hand.",
        allow_abbrev=False,
    )
    options.add_reports(parser, "F...")
    options.add_suppressions(parser)
    options.add_output(parser)
    parser.set_defaults(command=suppress)


def suppress(given: argparse.Namespace) -> int:
    known = options.load_suppressions(given.suppressions)
    lines: dict[str, list[str]] = {}
    for site in fold(known.without(options.read(given.files))):
        times = "" if site.count == 1 else f", {site.count} times"
        lines.setdefault(suppressions.line_for(site), []).append(f"# {place(site)}{times}")
    text = [line for written, places in lines.items() for line in (*places, written)]
    options.write("".join(f"{line}\n" for line in text), given.output)
    return 0
