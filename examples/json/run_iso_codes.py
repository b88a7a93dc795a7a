"""Runs hpyjson on the data of Debian's package iso-codes, and compares with Python's json.

    python run_iso_codes.py [--megabytes N] [--module NAME]

Input are the tables of languages, countries, currencies and scripts (/usr/share/iso-codes/json),
and, until there are N megabytes, the translations of all their names, made JSON here. Each text is
decoded, encoded with and without ASCII escapes, and streamed through Writer; every result must be
that of Python's json, and broken copies of the text must raise the same error at the same place.
The exit status is 1 if anything differs, 2 if iso-codes is not installed.

With HPY_DEBUG=1 the same runs in debug mode, and a handle that is still open at the end of the work
on a text is an error.
"""

from __future__ import annotations

import argparse
import contextlib
import gettext
import importlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLES = Path("/usr/share/iso-codes/json")
CATALOGUES = Path("/usr/share/locale")


def tables() -> Iterator[tuple[str, str]]:
    for path in sorted(TABLES.glob("*.json")):
        yield path.name, path.read_text("utf-8")


def translations() -> Iterator[tuple[str, str]]:
    """Each catalogue as an object {English: translated}, half of them in ASCII with escapes."""
    for number, path in enumerate(sorted(CATALOGUES.glob("*/LC_MESSAGES/iso_*.mo"))):
        with path.open("rb") as file:
            catalogue: dict[Any, Any] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        # A plural form has a pair as its key.
        names = {key: value for key, value in catalogue.items() if isinstance(key, str) and key}
        text = json.dumps(names, ensure_ascii=number % 2 == 0, indent=number % 3)
        yield f"{path.parts[-3]}/{path.name}", text


def documents(size: int) -> Iterator[tuple[str, str]]:
    """All the tables, then translations until there are `size` bytes."""
    yield from tables()
    total = sum(path.stat().st_size for path in TABLES.glob("*.json"))
    for name, text in translations():
        if total >= size:
            return
        total += len(text.encode())
        yield name, text


class DifferenceError(Exception):
    """hpyjson and json do not agree."""


def same(what: str, ours: object, theirs: object) -> None:
    # repr() sees what == does not: 1 and 1.0 and True, and the order of keys.
    if ours != theirs or repr(ours) != repr(theirs):
        raise DifferenceError(f"{what}: {str(ours)[:200]} instead of {str(theirs)[:200]}")


def stream(hpyjson: Any, value: Any) -> str:
    """Writes the value piece by piece, down to the second level."""
    file = io.StringIO()
    with hpyjson.Writer(file, ensure_ascii=False) as writer:

        def write(item: Any, levels: int) -> None:
            if levels and isinstance(item, dict):
                writer.begin_dict()
                for key, part in item.items():
                    writer.key(key)
                    write(part, levels - 1)
                writer.end()
            elif levels and isinstance(item, list):
                writer.begin_list()
                for part in item:
                    write(part, levels - 1)
                writer.end()
            else:
                writer.write(item)

        write(value, 2)
    return file.getvalue()


def outcome(module: Any, text: str) -> tuple[Any, ...]:
    try:
        return ("value", module.loads(text))
    except module.JSONDecodeError as e:
        return ("error", e.msg, e.pos, e.lineno, e.colno)


def compare_errors(hpyjson: Any, name: str, text: str) -> None:
    """Cuts the text, and drops or replaces a character, near its end."""
    for pos in range(max(0, len(text) - 40), len(text), 3):
        before, behind = text[:pos], text[pos + 1 :]
        for broken in (before, before + behind, before + "}" + behind):
            theirs = outcome(json, broken)
            if theirs[0] == "error" and "trailing comma" in theirs[1]:
                continue  # Python 3.13 has a message of its own for it
            same(f"{name}, broken at {pos}", outcome(hpyjson, broken), theirs)


def check(hpyjson: Any, name: str, text: str) -> None:
    theirs = json.loads(text)
    ours = hpyjson.loads(text)
    same(f"loads({name})", ours, theirs)
    for ensure_ascii in (True, False):
        encoded = hpyjson.dumps(ours, ensure_ascii=ensure_ascii)
        same(f"dumps({name})", encoded, json.dumps(theirs, ensure_ascii=ensure_ascii))
        same(f"loads(dumps({name}))", hpyjson.loads(encoded), theirs)
    streamed = stream(hpyjson, ours)
    same(f"Writer, {name}", streamed, json.dumps(theirs, ensure_ascii=False) + "\n")
    compare_errors(hpyjson, name, text)


def leak_detector() -> Any:
    """Finds what is left open. Without debug mode there is nothing that it could find."""
    if "HPY_DEBUG" not in os.environ:
        return contextlib.nullcontext()
    from hpy.debug import LeakDetector

    return LeakDetector()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=float, default=5.0, help="size of the input (5)")
    parser.add_argument("--module", default="hpyjson", help="the module to run (hpyjson)")
    options = parser.parse_args()
    if not TABLES.is_dir():
        print(f"{TABLES} is not there: install Debian's package iso-codes", file=sys.stderr)
        return 2
    hpyjson = importlib.import_module(options.module)
    count = size = 0
    start = time.monotonic()
    for name, text in documents(int(options.megabytes * 1e6)):
        try:
            with leak_detector():
                check(hpyjson, name, text)
        except DifferenceError as e:
            print(f"DIFFERENT: {e}", file=sys.stderr)
            return 1
        count += 1
        size += len(text.encode())
    seconds = time.monotonic() - start
    if size < options.megabytes * 1e6:
        print(f"iso-codes has only {size / 1e6:.1f} MB here", file=sys.stderr)
        return 1
    print(f"{count} texts, {size / 1e6:.1f} MB, in {seconds:.1f} s: all the same as Python's json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
