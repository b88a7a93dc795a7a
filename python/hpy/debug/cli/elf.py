"""Which debug information a library has: read from its ELF sections, without loading it."""

from __future__ import annotations

import os
import struct

_MENDS = "compile it with -g, or install its debug symbols, to see files and lines"


def debug_information(path: str) -> str:
    """A sentence about the library: with lines, in a file of its own, or none and what mends it."""
    try:
        sections = _sections(path)
    except (OSError, ValueError, struct.error) as error:
        return f"cannot be read: {error}"
    if ".debug_line" in sections or ".zdebug_line" in sections:
        return "functions, files and lines"
    for candidate in _separate_files(path, sections):
        if os.path.isfile(candidate):
            return f"functions, files and lines, in {candidate}"
    if ".symtab" in sections:
        return f"functions only, no lines: {_MENDS}"
    return f"none: {_MENDS}"


def unreadable(path: str) -> str | None:
    """What is wrong with a file that is no library; None: it is one."""
    try:
        _sections(path)
    except (OSError, ValueError, struct.error) as error:
        return str(error)
    return None


def _separate_files(path: str, sections: dict[str, bytes]) -> list[str]:
    """Where the debug information may be that was taken out of the library."""
    found = []
    note = sections.get(".note.gnu.build-id", b"")
    if len(note) > 16:
        build_id = note[16:].hex()
        found.append(f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug")
    link = sections.get(".gnu_debuglink", b"").partition(b"\0")[0].decode("utf-8", "replace")
    if link:
        folder = os.path.dirname(os.path.abspath(path))
        found += [os.path.join(folder, link), os.path.join(folder, ".debug", link)]
        found.append(f"/usr/lib/debug{folder}/{link}")
    return found


def _sections(path: str) -> dict[str, bytes]:
    """The names of the sections, and the content of the small ones that matter here."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF" or len(head) < 64 or head[4] != 2:
            raise ValueError("it is no 64 bit ELF library")
        order = "<" if head[5] == 1 else ">"
        offset = struct.unpack_from(f"{order}Q", head, 40)[0]
        size, count, names = struct.unpack_from(f"{order}HHH", head, 58)
        headers = []
        for index in range(count):
            file.seek(offset + index * size)
            name, _, _, _, at, length = struct.unpack(f"{order}IIQQQQ", file.read(40))
            headers.append((name, at, length))
        if names >= len(headers):
            raise ValueError("it has no names of sections")
        file.seek(headers[names][1])
        table = file.read(headers[names][2])
        sections = {}
        for name, at, length in headers:
            text = table[name : table.index(b"\0", name)].decode("ascii", "replace")
            wanted = text in (".note.gnu.build-id", ".gnu_debuglink")
            if wanted:
                file.seek(at)
            sections[text] = file.read(length) if wanted else b""
        return sections
