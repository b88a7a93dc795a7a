"""HPyGlobal: every one that is used has to be listed by a module (kind global-not-registered)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyDebugWarning
from hpy.debug.violation import Violation
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of

HPY_ABIS = ["debug", "hybrid-debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = r"""
#include <stdlib.h>
#include "hpy.h"

HPyGlobal listed, forgotten;

HPyDef_METH(store, "store", HPyFunc_O)
static HPy store_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyGlobal_Store(ctx, &forgotten, arg);  /* stores */
    return HPy_Dup(ctx, ctx->h_None);
}
HPyDef_METH(load, "load", HPyFunc_NOARGS)
static HPy load_impl(HPyContext *ctx, HPy self)
{
    return HPyGlobal_Load(ctx, forgotten);  /* loads */
}
/* In the heap. */
HPyDef_METH(store_heap, "store_heap", HPyFunc_O)
static HPy store_heap_impl(HPyContext *ctx, HPy self, HPy arg)
{
    static HPyGlobal *heap = NULL;
    if (heap == NULL)
        heap = calloc(1, sizeof(HPyGlobal));
    HPyGlobal_Store(ctx, heap, arg);  /* stores in the heap */
    return HPy_Dup(ctx, ctx->h_None);
}
HPyDef_METH(store_listed, "store_listed", HPyFunc_O)
static HPy store_listed_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyGlobal_Store(ctx, &listed, arg);
    return HPy_Dup(ctx, ctx->h_None);
}
HPyDef_METH(load_listed, "load_listed", HPyFunc_NOARGS)
static HPy load_listed_impl(HPyContext *ctx, HPy self)
{
    HPyGlobal copy = listed;
    return HPyGlobal_Load(ctx, copy);  /* loads the listed one */
}
HPyDef_METH(load_forged, "load_forged", HPyFunc_NOARGS)
static HPy load_forged_impl(HPyContext *ctx, HPy self)
{
    HPyGlobal forged = {123456};
    return HPyGlobal_Load(ctx, forged);  /* loads a forged one */
}
static HPyDef *defines[] = {
    &store, &load, &store_heap, &store_listed, &load_listed, &load_forged, NULL};
"""
NEW = """
static HPyGlobal *globals[] = {&listed, NULL};
static HPyModuleDef def = {.defines = defines, .globals = globals};
HPy_MODINIT(mytest, def)
"""
# No terminating NULL: what stands behind the list is not read.
OLD = """
static HPyGlobal *globals[] = {&listed};
static HPyModuleDef def = {.name = "mytest", .size = -1, .defines = defines, .globals = globals};
HPy_MODINIT(mytest)
static HPy init_mytest_impl(HPyContext *ctx)
{
    return HPyModule_Create(ctx, &def);
}
"""


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE + NEW)


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    with hpy.debug.configure(on_violation="raise"):
        yield


def misuse(function: Any, *args: Any) -> Violation:
    with pytest.raises(HPyDebugError) as caught:
        function(*args)
    violation = caught.value.violation
    assert violation is not None
    return violation


def check(violation: Violation, kind: str, mark: str, api: str, function: str) -> None:
    assert (violation.kind, violation.api) == (kind, api)
    assert (violation.module, violation.function) == ("mytest", function)
    assert violation.at is not None
    first = violation.at.native[0]
    assert (first.function, first.line) == (f"{function}_impl", line_of(SOURCE, mark))
    assert violation.at.python[1].file == __file__
    assert (violation.opened, violation.closed) == (None, None)


KIND = "global-not-registered"


@pytest.mark.promise("DBG-18")
def test_store(mod: Any) -> None:
    for _ in range(2):
        check(misuse(mod.store, []), KIND, "/* stores */", "HPyGlobal_Store", "store")
    mod.store_listed([])  # the module is sound


@pytest.mark.promise("DBG-18")
def test_load(mod: Any) -> None:
    thing = object()
    with hpy.debug.configure(on_violation="warn"):
        with pytest.warns(HPyDebugWarning):
            mod.store(thing)
        with pytest.warns(HPyDebugWarning):
            assert mod.load() is thing  # execution goes on
    check(misuse(mod.load), KIND, "/* loads */", "HPyGlobal_Load", "load")
    check(misuse(mod.load_forged), KIND, "/* loads a forged", "HPyGlobal_Load", "load_forged")
    with hpy.debug.configure(on_violation="warn"), pytest.warns(HPyDebugWarning):
        mod.store(None)


def test_heap(mod: Any) -> None:
    violation = misuse(mod.store_heap, [])
    check(violation, KIND, "/* stores in the heap", "HPyGlobal_Store", "store_heap")


def test_empty(mod: Any) -> None:
    violation = misuse(mod.load_listed)
    check(violation, "null-argument", "/* loads the listed", "HPyGlobal_Load", "load_listed")


@pytest.mark.parametrize("policy", ["abort", "warn"])
def test_policies(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path, policy: str
) -> None:
    report = tmp_path / "report.jsonl"
    env = {"HPY_DEBUG_ON_VIOLATION": policy, "HPY_DEBUG_REPORT": str(report)}
    extension = hpy_module.build(SOURCE + NEW)
    done = run_python(
        "import mytest; mytest.store([]); print('reached')", module=extension, env=env
    )
    assert f"error[{KIND}]: HPyGlobal_Store" in done.stderr
    assert f"mytest.c:{line_of(SOURCE, '/* stores */')} in store_impl" in done.stderr
    (line,) = report.read_text().splitlines()
    assert json.loads(line)["kind"] == KIND
    assert done.returncode == (-6 if policy == "abort" else 0)
    assert done.stdout == ("" if policy == "abort" else "reached\n")


@pytest.mark.parametrize("definition", [NEW, OLD], ids=["new", "old"])
def test_listed(hpy_module: ModuleFactory, definition: str) -> None:
    mod = hpy_module(SOURCE + definition)
    thing = object()
    for _ in range(3):
        mod.store_listed(thing)
        assert mod.load_listed() is thing


def test_old_dialect(hpy_module: ModuleFactory) -> None:
    """Its list may lack its end, so nothing is said of any of its globals."""
    mod = hpy_module(SOURCE + OLD)
    thing = object()
    mod.store(thing)
    assert mod.load() is thing
    mod.store_heap(thing)


def test_listed_in_another_mode(hpy_module: ModuleFactory) -> None:
    """What was stored before the library came into debug mode."""
    from hpy.universal import MODE_DEBUG, MODE_UNIVERSAL, load

    extension = hpy_module.build(SOURCE + NEW)
    thing = object()
    load("mytest", str(extension.path), mode=MODE_UNIVERSAL).store_listed(thing)
    with pytest.warns(RuntimeWarning, match="was loaded in universal mode before"):
        mod = load("mytest", str(extension.path), mode=MODE_DEBUG)
    assert mod.load_listed() is thing
