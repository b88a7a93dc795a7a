"""For tests of extensions that are loaded in debug mode.

    from hpy.debug.pytest import hpy_debug

    def test_something(hpy_debug):
        ...                          # fails if it leaves handles open

The plugin (pytest_plugin.py) offers the same fixture without the import. LeakDetector can be
imported from here also where pytest is not installed: the first example of the documentation does.
"""

from __future__ import annotations

from collections.abc import Iterator

from hpy.debug import LeakDetector

__all__ = ["LeakDetector", "hpy_debug"]


def _watch() -> Iterator[LeakDetector]:
    """Runs the test inside a LeakDetector, which it yields."""
    with LeakDetector() as detector:
        yield detector


try:
    import pytest
except ModuleNotFoundError as error:
    if error.name != "pytest":
        raise

    def __getattr__(name: str) -> object:
        if name == "hpy_debug":
            raise ImportError(
                "hpy_debug is a fixture of pytest, which this Python does not have. Install it: "
                "python -m pip install pytest",
                name="pytest",
            )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

else:
    hpy_debug = pytest.fixture(name="hpy_debug")(_watch)
