"""`diff`: what one report has and an older one has not."""

from __future__ import annotations

import argparse
from typing import Any

from hpy.debug.cli import options
from hpy.debug.grouping import fold, identity


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "diff",
        help="show only what is new in a report",
        description="Shows what is in NEW and not in OLD; the exit status is 1 if there is any. A "
        "violation is recognised by its kind and by module, function and line of its stacks, never "
        "by addresses.",
        allow_abbrev=False,
    )
    options.add_reports(parser, "OLD", "NEW")
    options.add_rendering(parser)
    options.add_suppressions(parser)
    parser.set_defaults(command=diff)


def diff(given: argparse.Namespace) -> int:
    suppressions = options.load_suppressions(given.suppressions)
    known = {identity(violation) for violation in options.read([given.old])}
    new = [v for v in options.read([given.new]) if identity(v) not in known]
    new = fold(suppressions.without(new))
    options.write(options.render(new, given), given.output)
    return 1 if any(violation.severity == "error" for violation in new) else 0
