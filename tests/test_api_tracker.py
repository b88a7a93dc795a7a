"""HPyTracker."""

import sys

import pytest

from support.api_source import module_source
from support.extension import ModuleFactory

TRACKERS = module_source(
    # track(size, count, object): adds `count` handles and closes them together.
    track="""
        HPyTracker tracker = HPyTracker_New(ctx, SIZE(0));
        HPy_ssize_t count = SIZE(1), i;
        if (HPy_IsNull(tracker)) return HPy_NULL;
        for (i = 0; i < count; i++) {
            if (HPyTracker_Add(ctx, tracker, HPy_Dup(ctx, args[2])) < 0) {
                HPyTracker_Close(ctx, tracker);
                return HPy_NULL;
            }
        }
        if (HPyTracker_Add(ctx, tracker, HPy_NULL) < 0)
            HPy_FatalError(ctx, "null must be trackable");
        HPyTracker_Close(ctx, tracker);
        return none(ctx);
    """,
    # forget(size, count, object): the handles are returned in a tuple.
    forget="""
        HPyTracker tracker = HPyTracker_New(ctx, SIZE(0));
        HPy_ssize_t count = SIZE(1), i;
        HPy handles[100], result;
        if (HPy_IsNull(tracker)) return HPy_NULL;
        for (i = 0; i < count; i++) {
            handles[i] = HPy_Dup(ctx, args[2]);
            HPyTracker_Add(ctx, tracker, handles[i]);
        }
        HPyTracker_ForgetAll(ctx, tracker);
        result = HPyTuple_FromArray(ctx, handles, count);
        for (i = 0; i < count; i++) {
            if (i % 2) HPyTracker_Add(ctx, tracker, handles[i]); /* usable again */
            else HPy_Close(ctx, handles[i]);
        }
        HPyTracker_Close(ctx, tracker);
        return result;
    """,
    null="""
        HPyTracker tracker = {0};
        HPyTracker_ForgetAll(ctx, tracker);
        HPyTracker_Close(ctx, tracker);
        return status(ctx, HPyTracker_Add(ctx, tracker, args[0]));
    """,
    # An argument belongs to the caller: it may be added when it is forgotten again.
    argument="""
        HPyTracker tracker = HPyTracker_New(ctx, 0);
        if (HPy_IsNull(tracker)) return HPy_NULL;
        if (HPyTracker_Add(ctx, tracker, args[0]) < 0) HPyErr_Clear(ctx);
        HPyTracker_ForgetAll(ctx, tracker);
        HPyTracker_Close(ctx, tracker);
        return HPy_Dup(ctx, args[0]);
    """,
)


@pytest.mark.parametrize("size", [0, 1, 5, 6, 100])
def test_tracker(hpy_module: ModuleFactory, size: int) -> None:
    mod = hpy_module(TRACKERS)
    item = object()
    before = sys.getrefcount(item)
    for count in 0, 1, 5, 6, 7, 100:
        mod.track(size, count, item)
        assert sys.getrefcount(item) == before
        assert mod.forget(size, count, item) == (item,) * count
        assert sys.getrefcount(item) == before
    assert mod.argument(item) is item
    assert sys.getrefcount(item) == before


def test_sizes(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TRACKERS)
    for size in -1, -sys.maxsize - 1:
        with pytest.raises(ValueError, match="HPyTracker size must not be negative"):
            mod.track(size, 0, None)
    for size in 2**60, sys.maxsize:
        with pytest.raises(MemoryError):
            mod.track(size, 0, None)


def test_null_tracker(hpy_module: ModuleFactory) -> None:
    """Nothing to forget and to close; but nothing can be added either."""
    with pytest.raises(SystemError, match="HPyTracker_Add: the tracker is null"):
        hpy_module(TRACKERS).null(1)
