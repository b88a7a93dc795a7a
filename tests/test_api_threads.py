"""Threads: HPy_LeavePythonExecution and HPy_ReenterPythonExecution."""

import os
import threading

import pytest

from support.api_source import module_source
from support.extension import ModuleFactory

THREADS = module_source(
    "#include <unistd.h>\n",
    # wait(fd): reads a byte, while other threads run.
    wait="""
        int fd = (int)HPyLong_AsLong(ctx, args[0]);
        char byte = 0;
        ssize_t count;
        HPyThreadState state = HPy_LeavePythonExecution(ctx);
        count = read(fd, &byte, 1);
        HPy_ReenterPythonExecution(ctx, state);
        return HPy_BuildValue(ctx, "ni", (HPy_ssize_t)count, (int)byte);
    """,
    wait_in_block="""
        int fd = (int)HPyLong_AsLong(ctx, args[0]);
        char byte = 0;
        ssize_t count;
        HPy_BEGIN_LEAVE_PYTHON(ctx)
        count = read(fd, &byte, 1);
        HPy_END_LEAVE_PYTHON(ctx)
        return HPy_BuildValue(ctx, "ni", (HPy_ssize_t)count, (int)byte);
    """,
    # An exception and the handles that were open stay.
    with_exception="""
        HPyThreadState state;
        HPy kept = HPyLong_FromLong(ctx, 123456);
        HPyErr_SetObject(ctx, ctx->h_KeyError, kept);
        state = HPy_LeavePythonExecution(ctx);
        HPy_ReenterPythonExecution(ctx, state);
        HPy_Close(ctx, kept);
        return HPy_NULL;
    """,
    many="""
        long n = HPyLong_AsLong(ctx, args[0]), i, sum = 0;
        for (i = 0; i < n; i++) {
            HPyThreadState state = HPy_LeavePythonExecution(ctx);
            HPy value;
            HPy_ReenterPythonExecution(ctx, state);
            value = HPyLong_FromLong(ctx, i);
            sum += HPyLong_AsLong(ctx, value);
            HPy_Close(ctx, value);
        }
        return HPyLong_FromLong(ctx, sum);
    """,
)


@pytest.mark.promise("GIL-04")
@pytest.mark.parametrize("name", ["wait", "wait_in_block"])
def test_others_run_while_one_waits(hpy_module: ModuleFactory, name: str) -> None:
    wait = getattr(hpy_module(THREADS), name)
    out, into = os.pipe()
    results: list[tuple[int, int]] = []
    threads = [threading.Thread(target=lambda: results.append(wait(out))) for _ in range(3)]
    for thread in threads:
        thread.start()
    # With the lock held by a thread that waits, this one would never get here.
    os.write(into, b"abc")
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert sorted(results) == [(1, 97), (1, 98), (1, 99)]
    os.close(out)
    os.close(into)


def test_an_exception_stays(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(THREADS)
    with pytest.raises(KeyError) as caught:
        mod.with_exception()
    assert caught.value.args == (123456,)


def test_many_threads(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(THREADS)
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(mod.many(500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [sum(range(500))] * 8
