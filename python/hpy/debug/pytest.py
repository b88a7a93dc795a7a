"""For tests of extensions that are loaded in debug mode.

    from hpy.debug.pytest import hpy_debug

    def test_something(hpy_debug):
        ...                          # fails if it leaves handles open

The plugin (pytest_plugin.py) offers the same fixture without the import. LeakDetector can be
imported from here also where pytest is not installed: the first example of the documentation does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hpy.debug import HPyLeakError, LeakDetector

__all__ = ["LeakDetector", "hpy_debug"]


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

    @pytest.fixture
    def hpy_debug(request: pytest.FixtureRequest) -> Iterator[LeakDetector]:
        """Runs the test inside a LeakDetector, which it yields."""
        detector = LeakDetector()
        detector.start()
        yield detector
        watcher: Any = request.config.pluginmanager.get_plugin("hpy_debug_watcher")
        try:
            detector.stop()
        except HPyLeakError:
            # The plugin fails the test itself, for what the test and not its fixtures left open.
            if watcher is None or not watcher.checks_leaks(request.node):
                raise
