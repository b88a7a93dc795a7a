"""The kinds of violations, as the native code lists them (leakdetector/kinds.inc)."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from hpy.debug.native import native


@dataclass(frozen=True)
class Kind:
    """`name` is the string in reports; `severity` is "error" or "note".

    `at`, `opened` and `closed` say what was done where the stacks of these names begin.
    """

    name: str
    severity: str
    title: str
    cause: str
    help: str
    at: str
    opened: str
    closed: str


@functools.cache
def all_kinds() -> tuple[Kind, ...]:
    """Every kind, in the order of the documentation."""
    return tuple(Kind(*row) for row in native().kinds())


def find(name: str) -> Kind:
    """The kind called `name`; LookupError that lists what there is, when there is none."""
    for kind in all_kinds():
        if kind.name == name:
            return kind
    names = ", ".join(kind.name for kind in all_kinds())
    raise LookupError(f"there is no kind of violation {name!r}; there is {names}")
