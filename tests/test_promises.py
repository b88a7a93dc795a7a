"""docs/promises.md: no promise of the seeds is missing, and what it names as proof exists."""

import pytest

from support import promises


def test_no_promise_is_missing() -> None:
    assert list(promises.table()) == promises.IDS


@pytest.mark.parametrize("promise", promises.IDS)
def test_row(promise: str) -> None:
    """The tests that carry the id, or the reason why there is none."""
    _, tests, remark = promises.table()[promise]
    expected = promises.shown().get(promise, [])
    assert tests == expected, "run python tests/support/promises.py"
    if not tests:
        assert remark.startswith(("Outside: ", "Planned: ")), "neither a test nor a reason"


def test_ids_of_tests_exist() -> None:
    unknown = set(promises.shown()) - set(promises.IDS)
    assert not {promise for promise in unknown if not promise.startswith("PERF")}
