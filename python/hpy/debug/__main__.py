"""`python -m hpy.debug`, and the script `hpy-debug`."""

from __future__ import annotations

import sys

from hpy.debug.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
