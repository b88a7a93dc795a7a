"""HPy_tp_traverse and HPy_tp_destroy may not call the API, with whatever context."""

# The blocks of several statements are what is looked at.
# ruff: noqa: PT031, SIM117

import gc
import json
import sys
from pathlib import Path
from typing import Any, Optional

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyDebugWarning
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = r"""
#include "hpy.h"
#include <stdlib.h>

static HPyContext *kept;  /* of a call in progress, or of none */
static HPy kept_handle;
static int misuse;  /* 1: in traverse, 2: in destroy */

typedef struct { HPyField field; } Node;
HPyType_HELPERS(Node)

static void helper(void)
{
    HPy_Dup(kept, kept_handle);  /* traverse calls */
}

HPyDef_SLOT(Node_traverse, HPy_tp_traverse)
static int Node_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    if (misuse == 1)
        helper();  /* traverse */
    HPy_VISIT(&((Node *)self)->field);
    return 0;
}

HPyDef_SLOT(Node_destroy, HPy_tp_destroy)
static void Node_destroy_impl(void *self)
{
    if (misuse == 2)
        HPyErr_SetString(kept, kept->h_ValueError, "from destroy");  /* destroy calls */
}

HPyDef_SLOT(Node_new, HPy_tp_new)
static HPy Node_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Node *node;
    HPy h = HPy_New(ctx, cls, &node);
    if (!HPy_IsNull(h) && nargs > 0)
        HPyField_Store(ctx, h, &node->field, args[0]);
    return h;
}

static HPyDef *Node_defines[] = {&Node_traverse, &Node_destroy, &Node_new, NULL};
static HPyType_Spec Node_spec = {
    .name = "mytest.Node",
    .basicsize = sizeof(Node),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC | HPy_TPFLAGS_BASETYPE,
    .builtin_shape = SHAPE(Node),
    .defines = Node_defines,
};

/* A destructor that only frees. */
typedef struct { void *memory; } Plain;
HPyType_HELPERS(Plain)

HPyDef_SLOT(Plain_destroy, HPy_tp_destroy)
static void Plain_destroy_impl(void *self)
{
    free(((Plain *)self)->memory);
    if (misuse == 2)
        HPy_Close(kept, kept_handle);  /* plain calls */
}

HPyDef_SLOT(Plain_new, HPy_tp_new)
static HPy Plain_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Plain *plain;
    HPy h = HPy_New(ctx, cls, &plain);
    if (!HPy_IsNull(h))
        plain->memory = malloc(10);
    return h;
}

static HPyDef *Plain_defines[] = {&Plain_destroy, &Plain_new, NULL};
static HPyType_Spec Plain_spec = {
    .name = "mytest.Plain",
    .basicsize = sizeof(Plain),
    .flags = HPy_TPFLAGS_DEFAULT,
    .builtin_shape = SHAPE(Plain),
    .defines = Plain_defines,
};

HPyDef_METH(set_misuse, "set_misuse", HPyFunc_O)
static HPy set_misuse_impl(HPyContext *ctx, HPy self, HPy arg)
{
    misuse = (int)HPyLong_AsLong(ctx, arg);
    kept = ctx;
    kept_handle = HPy_Dup(ctx, ctx->h_None);
    return HPy_Dup(ctx, ctx->h_None);
}

/* run(f): calls f in an extension function, whose own context is what the slots use. */
HPyDef_METH(run, "run", HPyFunc_O)
static HPy run_impl(HPyContext *ctx, HPy self, HPy f)
{
    kept = ctx;
    return HPy_Call(ctx, f, NULL, 0, HPy_NULL);
}

HPyDef_SLOT(add_types, HPy_mod_exec)
static int add_types_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Node", &Node_spec, NULL) &&
           HPyHelpers_AddType(ctx, module, "Plain", &Plain_spec, NULL) ? 0 : -1;
}
"""

# What happens, the slot, the API function, and the functions and lines of `at`.
MISTAKES = {
    "traverse": (
        "Node.HPy_tp_traverse",
        "HPy_Dup",
        [("helper", "traverse calls"), ("Node_traverse_impl", "traverse")],
    ),
    "destroy": (
        "Node.HPy_tp_destroy",
        "HPyErr_SetString",
        [("Node_destroy_impl", "destroy calls")],
    ),
    "plain": ("Plain.HPy_tp_destroy", "HPy_Close", [("Plain_destroy_impl", "plain calls")]),
}

WHEN = {"traverse": 1, "destroy": 0, "plain": 2}  # while the object is made


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Optional[BaseException]]:
    seen: list[Optional[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda u: seen.append(u.exc_value))
    return seen


def lines_of(report: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []


def act(mod: Any, what: str) -> None:
    if what == "plain":
        mod.Plain()
    else:
        node = mod.Node()
        if what == "traverse":
            gc.collect()
        mod.set_misuse(2 if what == "destroy" else 0)
        del node
    mod.set_misuse(0)


def start(mod: Any, what: str) -> None:
    gc.collect()
    mod.set_misuse(WHEN[what])


def check(found: dict[str, Any], what: str) -> None:
    slot, api, frames = MISTAKES[what]
    assert (found["kind"], found["api"]) == ("call-in-traverse", api)
    assert (found["module"], found["function"]) == ("mytest", slot)
    assert (found["handle"], found["opened"], found["closed"]) == (None, None, None)
    assert [(f["function"], f["line"]) for f in found["at"]["native"]] == [
        (function, line_of(SOURCE, f"/* {mark} */")) for function, mark in frames
    ]
    assert found["at"]["python"][0]["function"] == "act"


@pytest.mark.parametrize("what", MISTAKES)
def test_reported_at_once_and_unraisable(
    mod: Any, tmp_path: Path, unraisable: list[BaseException], what: str
) -> None:
    report = tmp_path / "report.jsonl"
    with hpy.debug.configure(on_violation="raise", report=report):
        start(mod, what)
        act(mod, what)
        lines = lines_of(report)
    check(next(line for line in lines if line["function"] == MISTAKES[what][0]), what)
    kinds = [error.violation.kind for error in unraisable if isinstance(error, HPyDebugError)]
    assert kinds == [line["kind"] for line in lines]
    assert set(kinds) == {"call-in-traverse"}


@pytest.mark.parametrize("what", MISTAKES)
def test_warning(mod: Any, tmp_path: Path, what: str) -> None:
    report = tmp_path / "report.jsonl"
    with hpy.debug.configure(on_violation="warn", report=report):
        with pytest.warns(HPyDebugWarning, match=r"^error\[call-in-traverse\]: "):
            start(mod, what)
            act(mod, what)
            for _ in range(3):
                pass
    assert {line["kind"] for line in lines_of(report)} == {"call-in-traverse"}


@pytest.mark.parametrize("what", MISTAKES)
def test_abort(hpy_module: ModuleFactory, run_python: PythonRunner, what: str) -> None:
    done = run_python(
        f"""
        import gc, mytest
        gc.collect()
        def act(what):
            node = mytest.Plain() if what == "plain" else mytest.Node()
            mytest.set_misuse(1 if what == "traverse" else 2)
            if what == "traverse":
                gc.collect()
            gc.disable()
            del node
        act({what!r})
        print("not reached")
        """,
        module=hpy_module.build(SOURCE),
    )
    assert done.returncode == -6
    assert done.stdout == ""
    slot, api, _ = MISTAKES[what]
    assert done.stderr.startswith(f"error[call-in-traverse]: {api} was called from {slot}\n")
    assert "Fatal Python error: " in done.stderr


def test_error_is_raised_by_the_extension_function_in_progress(mod: Any) -> None:
    """Whose context is the very one that the slot uses: it does not matter."""
    with hpy.debug.configure(on_violation="raise"):
        mod.set_misuse(2)
        with pytest.raises(HPyDebugError) as caught:
            mod.run(lambda: mod.Plain() and None)
        mod.set_misuse(0)
    assert caught.value.violation is not None
    assert caught.value.violation.function == "Plain.HPy_tp_destroy"


def test_same_object_is_reported_once(
    mod: Any, tmp_path: Path, unraisable: list[BaseException]
) -> None:
    report = tmp_path / "report.jsonl"
    with hpy.debug.configure(on_violation="raise", report=report):
        first, second = mod.Node(), mod.Node()
        gc.collect()
        mod.set_misuse(1)
        gc.collect()
        gc.collect()
        mod.set_misuse(0)
        del first, second
        assert len(lines_of(report)) == 2  # of two objects
        mod.set_misuse(2)
        for _ in range(5):  # five objects, most likely at one address
            mod.Plain()
        mod.set_misuse(0)
    assert len(lines_of(report)) == 2 + 5
    assert len(unraisable) == 2 + 5


def test_correct_types(mod: Any, unraisable: list[BaseException]) -> None:
    class Sub(mod.Node):  # type: ignore[misc]
        pass

    with hpy.debug.configure(on_violation="abort"):
        chain: Any = None
        for i in range(1000):
            chain = (Sub if i % 2 else mod.Node)(chain)
        cycle = Sub()
        cycle.me = mod.Node(cycle)
        del cycle, chain
        mod.run(lambda: [mod.Plain() for _ in range(10)])
        mod.run(lambda: gc.collect())
        gc.collect()
    assert unraisable == []
