"""For tests of extensions that are loaded in debug mode.

    from hpy.debug.pytest import hpy_debug

    def test_something(hpy_debug):
        ...                          # fails if it leaves handles open

The plugin (pytest_plugin.py) offers the same fixture without the import.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hpy.debug import LeakDetector

__all__ = ["LeakDetector", "hpy_debug"]


@pytest.fixture
def hpy_debug() -> Iterator[LeakDetector]:
    """Runs the test inside a LeakDetector, which it yields."""
    with LeakDetector() as detector:
        yield detector
