"""`report`: renders report files for people, for code hosts and for other tools."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from hpy.debug.cli import options


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "report",
        help="render report files as text, HTML, SARIF, JSON or folded stacks",
        description="Renders report files: one, several, or those of several processes.",
        allow_abbrev=False,
    )
    options.add_reports(parser, "F...")
    options.add_rendering(parser)
    options.add_suppressions(parser)
    parser.set_defaults(command=report)


def report(given: argparse.Namespace) -> int:
    suppressions = options.load_suppressions(given.suppressions)
    violations = suppressions.without(options.read(given.files))
    text = options.render(violations, given)
    account = suppressions.account()
    if account:
        print("\n".join(account), file=sys.stderr)
    options.write(text, given.output)
    return 0
