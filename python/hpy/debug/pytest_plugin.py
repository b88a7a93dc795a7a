"""The pytest plugin, which pytest finds through its entry point; `-p no:hpy_debug` switches it off.

It is loaded into every run of pytest where hpy is installed, so it does nothing unless it is asked
to: it offers the fixture `hpy_debug` and knows the markers.
"""

from __future__ import annotations

import pytest

from hpy.debug.pytest import hpy_debug

__all__ = ["hpy_debug", "pytest_configure"]

_MARKERS = (
    "hpy_leaks(limit=0, ignore=None): the test may leave `limit` handles open; ignore(leak) leaves "
    "a leak out",
    "hpy_allow(kind, reason=...): violations of this kind do not fail the test",
)


def pytest_configure(config: pytest.Config) -> None:
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
