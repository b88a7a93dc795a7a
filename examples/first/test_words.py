"""The test suite of words: its results are right, so only debug mode sees what is wrong."""

import words


def test_longest():
    assert words.longest(["a", "bee", "be"]) == "bee"
