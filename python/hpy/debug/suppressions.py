"""Suppressions: which violations are known and not to be reported.

    # One a line, in a file, or in the list `suppressions` of [tool.hpy-debug] in pyproject.toml:
    handle-leak module=snippets native="make_row <- row_sum"   # until the cache is rewritten

A line is a kind, then conditions NAME=PATTERN that must all be met; `#` begins a comment. Patterns
are those of fnmatch (`*`, `?`, `[abc]`), also that of the kind; names are listed in _CONDITIONS.
The stacks `native` and `python` are given as frames, innermost first, joined by ` <- `; frames
that follow the last one may be any, and a frame `...` stands for any number of frames. A frame is
FUNCTION, or FUNCTION@FILE, or FUNCTION@FILE:LINE, where FILE may be the end of a path.

    found = suppressions.active()              # of the setting, and of pyproject.toml
    kept = found.without(violations)
    print("\\n".join(found.account()))         # which were used, how often, and which never
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpy.debug.violation import NativeFrame, PythonFrame, Stack, Violation

TABLE = "hpy-debug"
_KEYS = {"suppressions": "a list of suppressions", "suppressions-file": "the path of a file"}
_CONDITIONS = ("module", "function", "api", "native", "python")
_ANY = "..."
_ARROW = re.compile(r"\s+<-\s+")


class SuppressionError(ValueError):
    """A suppression that cannot be understood, or a file that cannot be read."""


@dataclass
class Suppression:
    """One line. `where` says where it stands, `used` how many violations it kept back so far."""

    kind: str
    conditions: dict[str, str]
    text: str
    where: str
    used: int = 0
    _frames: dict[str, list[str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._frames = {
            name: _ARROW.split(self.conditions[name].strip())
            for name in ("native", "python")
            if name in self.conditions
        }

    def matches(self, violation: Violation) -> bool:
        """Whether it is about this violation. Does not count it."""
        if not fnmatch.fnmatchcase(violation.kind, self.kind):
            return False
        for name in ("module", "function", "api"):
            pattern = self.conditions.get(name)
            if pattern is not None and not fnmatch.fnmatchcase(violation[name] or "", pattern):
                return False
        # The place of a leak is where the handle was opened.
        stack = violation.at or violation.opened or Stack((), ())
        frames: dict[str, Sequence[NativeFrame | PythonFrame]] = {
            "native": stack.native,
            "python": stack.python,
        }
        return all(_matches(patterns, frames[name]) for name, patterns in self._frames.items())


class Suppressions:
    """Those of one run. Counts what each of them kept back."""

    def __init__(self, suppressions: Iterable[Suppression] = ()) -> None:
        self.all = list(suppressions)

    def __len__(self) -> int:
        return len(self.all)

    def suppresses(self, violation: Violation) -> bool:
        """Whether one of them is about this violation; the first that is, is counted."""
        for suppression in self.all:
            if suppression.matches(violation):
                suppression.used += violation.count
                return True
        return False

    def know(self, violation: Violation) -> bool:
        """The same without counting it."""
        return any(suppression.matches(violation) for suppression in self.all)

    def without(self, violations: Iterable[Violation]) -> list[Violation]:
        """The violations that are to be reported."""
        return [violation for violation in violations if not self.suppresses(violation)]

    def account(self) -> list[str]:
        """Lines that say which were used, how often, and which never; none without suppressions."""
        if not self.all:
            return []
        used = sorted((s for s in self.all if s.used), key=lambda s: -s.used)
        never = [s for s in self.all if not s.used]
        total = sum(s.used for s in used)
        lines = [f"suppressed: {total} violation{'' if total == 1 else 's'}"]
        for suppression in used:
            lines.append(f"  {suppression.used:6} {suppression.text} ({suppression.where})")
        lines += [f"   never {suppression.text} ({suppression.where})" for suppression in never]
        return lines


def parse(text: str, where: str) -> Suppression | None:
    """One line; None when it is empty or a comment. SuppressionError names `where`."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        raise SuppressionError(f"{where}: {text.strip()!r} cannot be read: {error}") from None
    if not words:
        return None
    kind, *rest = words
    if "=" in kind:
        raise SuppressionError(
            f"{where}: a suppression begins with a kind, such as handle-leak; found {kind!r}"
        )
    _check_kind(kind, where)
    conditions: dict[str, str] = {}
    for word in rest:
        name, equals, pattern = word.partition("=")
        if not equals or name not in _CONDITIONS:
            raise SuppressionError(
                f"{where}: wanted NAME=PATTERN with one of the names {', '.join(_CONDITIONS)}; "
                f"found {word!r}. Put a pattern that has spaces in quotation marks"
            )
        if name in conditions:
            raise SuppressionError(f"{where}: {name}= is given twice; keep one of them")
        if not pattern:
            raise SuppressionError(f"{where}: {name}= needs a pattern behind it; * is for any")
        conditions[name] = pattern
    comment_free = " ".join([kind, *(_quoted(name, p) for name, p in conditions.items())])
    return Suppression(kind, conditions, comment_free, where)


def read_file(path: str | os.PathLike[str]) -> list[Suppression]:
    """Those of a file. SuppressionError when it cannot be read or a line is wrong."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SuppressionError(
            f"cannot read the suppressions of {os.fspath(path)!r}: {reason}. Name a file with a "
            "suppression a line; `python -m hpy.debug suppress REPORT -o FILE` writes one"
        ) from None
    shown = _short(Path(path))
    lines = enumerate(text.splitlines(), 1)
    found = [parse(line, f"{shown}:{number}") for number, line in lines]
    return [suppression for suppression in found if suppression is not None]


def read_pyproject(path: str | os.PathLike[str]) -> list[Suppression]:
    """Those of the table [tool.hpy-debug] of a pyproject.toml; none when it has no such table."""
    table = _table(Path(path))
    shown = _short(Path(path))
    where = f"{shown}, [tool.{TABLE}]"
    if not isinstance(table, dict):
        raise SuppressionError(f"{where} must be a table; it is {table!r}")
    for key in table:
        if key not in _KEYS:
            known = ", ".join(f"{name} ({what})" for name, what in _KEYS.items())
            raise SuppressionError(f"{where} has no key {key!r}; there is {known}")
    lines = table.get("suppressions", [])
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise SuppressionError(f"{where}: suppressions must be a list of strings; it is {lines!r}")
    found = [parse(line, f"{shown}, suppressions[{i}]") for i, line in enumerate(lines)]
    suppressions = [suppression for suppression in found if suppression is not None]
    name = table.get("suppressions-file")
    if name is not None:
        if not isinstance(name, str):
            raise SuppressionError(f"{where}: suppressions-file must be a path; it is {name!r}")
        suppressions += read_file(Path(path).parent / name)
    return suppressions


def find_pyproject(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """The pyproject.toml of this folder (the current one), or of the nearest above that has one."""
    try:
        start = Path(folder if folder is not None else os.getcwd()).resolve()
    except OSError:  # the current directory was removed
        return None
    for candidate in (start, *start.parents):
        path = candidate / "pyproject.toml"
        if path.is_file():
            return path
    return None


def load(
    file: str | os.PathLike[str] | None = None, folder: str | os.PathLike[str] | None = None
) -> Suppressions:
    """New ones: of `file`, unless it is None, and of the pyproject.toml of `folder` or above it.

    Nothing is counted as used yet. SuppressionError, a ValueError, when one cannot be understood.
    """
    found = read_file(file) if file is not None else []
    pyproject = find_pyproject(folder)
    if pyproject is not None:
        found += read_pyproject(pyproject)
    return Suppressions(found)


_active: tuple[tuple[str | None, str | None], Suppressions] | None = None


def active() -> Suppressions:
    """Those in force in this process: of the setting `suppressions`, and of pyproject.toml.

    Read when they are first asked for, and again when the setting or the current directory changed.
    """
    global _active
    from hpy.debug import settings

    try:
        folder: str | None = os.getcwd()
    except OSError:
        folder = None
    key = (settings.get("suppressions"), folder)
    if _active is None or _active[0] != key:
        _active = (key, load(*key))
    return _active[1]


def line_for(violation: Violation) -> str:
    """The line that suppresses this violation and those that are made at the same place.

    By functions and not by lines, so that it holds when the file above is edited.
    """
    words = [violation.kind]
    for name in ("module", "function"):
        if violation[name] is not None:
            words.append(_quoted(name, _literally(violation[name])))
    stack = violation.at or violation.opened
    if stack is not None and stack.native:
        words.append(_quoted("native", " <- ".join(map(_pattern_of, stack.native))))
    elif stack is not None and stack.python:
        words.append(_quoted("python", " <- ".join(map(_pattern_of, stack.python[:1]))))
    return " ".join(words)


def _pattern_of(frame: NativeFrame | PythonFrame) -> str:
    if frame.function:
        return _literally(frame.function)
    if isinstance(frame, NativeFrame) and frame["library"] is not None:
        return f"*@{_literally(os.path.basename(frame['library']))}+{frame.offset or 0:#x}"
    return "*"


def _literally(text: str) -> str:
    """A pattern that only `text` matches."""
    return re.sub(r"([*?[])", r"[\1]", text)


def _quoted(name: str, pattern: str) -> str:
    """The condition as shlex reads it."""
    if not re.search(r"[\s#'\"\\]", pattern):
        return f"{name}={pattern}"
    escaped = re.sub(r'(["\\])', r"\\\1", pattern)
    return f'{name}="{escaped}"'


def _matches(patterns: list[str], frames: Sequence[NativeFrame | PythonFrame]) -> bool:
    """Whether the stack begins with frames like these."""
    if not patterns:
        return True
    if patterns[0] == _ANY:
        return any(_matches(patterns[1:], frames[i:]) for i in range(len(frames) + 1))
    if not frames or not _frame_matches(patterns[0], frames[0]):
        return False
    return _matches(patterns[1:], frames[1:])


def _frame_matches(pattern: str, frame: NativeFrame | PythonFrame) -> bool:
    function, at, place = pattern.partition("@")
    if not fnmatch.fnmatchcase(frame.function or "", function):
        return False
    if not at:
        return True
    places = [f"{frame.file}:{frame.line}", frame.file] if frame.file is not None else []
    if isinstance(frame, NativeFrame) and frame["library"] is not None:
        places += [f"{frame['library']}+{frame.offset or 0:#x}", frame["library"]]
    ends = (place, f"*/{place}")
    return any(fnmatch.fnmatchcase(p, end) for p in places if p is not None for end in ends)


def _check_kind(pattern: str, where: str) -> None:
    from hpy.debug import kinds
    from hpy.debug.native import available

    if not available():
        return
    names = [kind.name for kind in kinds.all_kinds()]
    if not fnmatch.filter(names, pattern):
        raise SuppressionError(
            f"{where}: there is no kind of violation {pattern!r}; there is {', '.join(names)}"
        )


def _table(path: Path) -> Any:
    """The table [tool.hpy-debug], or an empty one."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}  # not ours to complain about, and it may have no table of ours
    if TABLE.encode() not in data:
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError:
            raise SuppressionError(
                f"{path} has a table [tool.{TABLE}], which this Python reads with the package "
                "tomli: python -m pip install tomli"
            ) from None
    try:
        tool = tomllib.loads(data.decode("utf-8")).get("tool", {})
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SuppressionError(f"{path} cannot be read: {error}") from None
    return tool.get(TABLE, {}) if isinstance(tool, dict) else {}


def _short(path: Path) -> str:
    """As it is shown: relative to the current directory where it is below that."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        return str(path)
    return str(path) if relative.startswith("..") else relative
