"""The exception for what cannot be done: its text goes to standard error, the exit status is 2."""

from __future__ import annotations


class RefusedError(Exception):
    """Says what was wanted, what was found, and what mends it."""
