"""Which functions and objects of CPython a library takes from outside: a universal one, none.

    python -m hpy.devel --check example.hpy0.so

A binary of the universal ABI that has such a symbol loads on the interpreter of its author, and on
no other: the build systems of hpy.devel run this after linking. It reads the ELF file itself, so
that nothing needs to be installed, and imports nothing of hpy, so that CMake can run it as a
script.
"""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Iterator

# As in PyLong_FromLong, _Py_NoneStruct, PyExc_TypeError: nothing else is called so.
_OF_CPYTHON = re.compile(r"_?Py[A-Za-z0-9]*_\w+")

_SHT_DYNSYM = 11


def undefined_symbols(path: str | os.PathLike[str]) -> list[str]:
    """Names that the library takes from others. ValueError if it is no ELF file."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:4] != b"\x7fELF" or len(data) < 52:
        raise ValueError(f"{os.fspath(path)} is no ELF file; give a library that was linked")
    wide = data[4] == 2
    order = "<" if data[5] == 1 else ">"
    try:
        return sorted(set(_undefined(data, wide, order)))
    except (struct.error, IndexError):
        raise ValueError(
            f"{os.fspath(path)} is a damaged ELF file; remove it and build it again"
        ) from None


def _undefined(data: bytes, wide: bool, order: str) -> Iterator[str]:
    offset, entry_size, count = _section_headers(data, wide, order)
    # name, type, flags, addr, offset, size, link, info, addralign, entsize
    section = struct.Struct(order + ("IIQQQQIIQQ" if wide else "10I"))
    headers = [section.unpack_from(data, offset + i * entry_size) for i in range(count)]
    for header in headers:
        if header[1] != _SHT_DYNSYM:
            continue
        names = headers[header[6]][4]
        # name, then info, other, shndx, value, size; in the narrow form value and size stand first.
        symbol = struct.Struct(order + ("IBBHQQ" if wide else "IIIBBH"))
        for at in range(header[4], header[4] + header[5], symbol.size):
            fields = symbol.unpack_from(data, at)
            if fields[3 if wide else 5] == 0 and fields[0]:
                start = names + fields[0]
                yield data[start : data.index(b"\0", start)].decode("utf-8", "replace")


def _section_headers(data: bytes, wide: bool, order: str) -> tuple[int, int, int]:
    """(offset, size of one, number) of the table of sections."""
    (offset,) = struct.unpack_from(order + ("Q" if wide else "I"), data, 0x28 if wide else 0x20)
    size, count = struct.unpack_from(order + "HH", data, 0x3A if wide else 0x2E)
    return offset, size, count


def symbols_of_cpython(path: str | os.PathLike[str]) -> list[str]:
    """Those of undefined_symbols() that only CPython has."""
    return [name for name in undefined_symbols(path) if _OF_CPYTHON.fullmatch(name)]


def complaint(path: str | os.PathLike[str]) -> str | None:
    """What is wrong with a library of the universal ABI, and what mends it; None if it is right."""
    names = symbols_of_cpython(path)
    if not names:
        return None
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return (
        f"{os.path.basename(path)} is built for the universal ABI of HPy, but uses {shown} of "
        "CPython: no other Python could load it. Call the functions of hpy.h instead, or build it "
        "for the hybrid ABI (setuptools: --hpy-abi=hybrid, CMake: hpy_add_module(... ABI hybrid))"
    )


def main(paths: list[str]) -> int:
    """Prints what is wrong with each; the exit status."""
    failed = 0
    for path in paths:
        try:
            text = complaint(path)
        except (OSError, ValueError) as error:
            text = str(error)
        if text is not None:
            print(f"error: {text}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
