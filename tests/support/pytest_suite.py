"""For tests of the pytest plugin: an extension with mistakes, and runs of pytest that import it."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import pytest

from support import tree
from support.extension import Extension

SOURCE = """
#include "hpy.h"

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);  /* leaks */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(leak_elsewhere, "leak_elsewhere", HPyFunc_O)
static HPy leak_elsewhere_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);  /* leaks elsewhere */
    return HPy_Dup(ctx, ctx->h_None);
}

static HPy kept;

HPyDef_METH(keep, "keep", HPyFunc_O)
static HPy keep_impl(HPyContext *ctx, HPy self, HPy arg)
{
    kept = HPy_Dup(ctx, arg);  /* keeps */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(drop, "drop", HPyFunc_NOARGS)
static HPy drop_impl(HPyContext *ctx, HPy self)
{
    HPy_Close(ctx, kept);
    return HPy_Dup(ctx, ctx->h_None);
}

/* A cache: only the first call opens a handle. */
static HPy cached;

HPyDef_METH(fill_cache, "fill_cache", HPyFunc_O)
static HPy fill_cache_impl(HPyContext *ctx, HPy self, HPy arg)
{
    if (HPy_IsNull(cached))
        cached = HPy_Dup(ctx, arg);  /* caches */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(use, "use", HPyFunc_O)
static HPy use_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    return HPy_Add(ctx, arg, h);  /* uses */
}

HPyDef_METH(close_twice, "close_twice", HPyFunc_O)
static HPy close_twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    HPy_Close(ctx, h);  /* closes twice */
    return HPy_Dup(ctx, arg);
}

HPyDef_METH(leak_builder, "leak_builder", HPyFunc_O)
static HPy leak_builder_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyListBuilder_New(ctx, 1);  /* leaks a builder */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(leak_tracker, "leak_tracker", HPyFunc_O)
static HPy leak_tracker_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyTracker_Add(ctx, HPyTracker_New(ctx, 1), HPy_Dup(ctx, arg));  /* leaks a tracker */
    return HPy_Dup(ctx, ctx->h_None);
}

/* Dies of it: the memory is guarded. */
HPyDef_METH(read_after_close, "read_after_close", HPyFunc_O)
static HPy read_after_close_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy text = HPy_Str(ctx, arg);
    const char *letters = HPyUnicode_AsUTF8AndSize(ctx, text, NULL);
    HPy_Close(ctx, text);
    return HPyLong_FromLong(ctx, letters[0]);  /* reads */
}

/* Objects that keep a handle open until they die. */
typedef struct { HPy held; } Holder;
HPyType_HELPERS(Holder)

HPyDef_SLOT(Holder_new, HPy_tp_new)
static HPy Holder_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Holder *holder;
    HPy h = HPy_New(ctx, cls, &holder);
    if (!HPy_IsNull(h))
        holder->held = HPyLong_FromLong(ctx, 1234);
    return h;
}

HPyDef_SLOT(Holder_finalize, HPy_tp_finalize)
static void Holder_finalize_impl(HPyContext *ctx, HPy self)
{
    Holder *holder = Holder_AsStruct(ctx, self);
    HPy_Close(ctx, holder->held);
    holder->held = HPy_NULL;
}

static HPyDef *Holder_defines[] = {&Holder_new, &Holder_finalize, NULL};
static HPyType_Spec Holder_spec = {
    .name = "suspect.Holder",
    .basicsize = sizeof(Holder),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE,
    .builtin_shape = SHAPE(Holder),
    .defines = Holder_defines,
};

HPyDef_SLOT(add_types, HPy_mod_exec)
static int add_types_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Holder", &Holder_spec, NULL) ? 0 : -1;
}
"""

# Plugins of other people: those that a test is not about are off.
OTHERS = ("asyncio", "anyio", "rerunfailures", "subtests", "xdist", "hypothesispytest")


class PytestSuite:
    """Runs pytest on files, in a process of its own that finds the plugin by its entry point.

    The extension `suspect` made of SOURCE can be imported there. With the variable
    HPY_TEST_PYTEST=PYTHON that interpreter runs the inner pytest, which may be of another version.
    """

    def __init__(self, pytester: pytest.Pytester, extension: Extension) -> None:
        self.pytester = pytester
        self.extension = extension

    def __call__(
        self,
        *arguments: str,
        files: Optional[Mapping[str, str]] = None,
        env: Optional[Mapping[str, str]] = None,
        others: tuple[str, ...] = (),
        **modules: str,
    ) -> Any:
        """pytest with these arguments, e.g. suite("--hpy-debug", test_it="import suspect\\n...").

        `modules` become files NAME.py, `files` any others. `others` are the plugins of OTHERS to
        have. No variable HPY* is passed on. Returns a pytest.RunResult.
        """
        if modules:
            self.pytester.makepyfile(**modules)
        for name, text in (files or {}).items():
            (self.pytester.path / name).write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("HPY")]:
                if name != "HPY_TEST_PYTEST":
                    patch.delenv(name)
            patch.setenv("PYTHONPATH", f"{tree.STAGED}{os.pathsep}{self.extension.folder}")
            for name, text in (env or {}).items():
                patch.setenv(name, text)
            off = [f"-pno:{name}" for name in OTHERS if name not in others]
            python = os.environ.get("HPY_TEST_PYTEST", sys.executable)
            command = [python, "-mpytest", f"--basetemp={self.path / 'basetemp'}", *off]
            return self.pytester.run(*command, "-pno:cacheprovider", *arguments, timeout=200)

    @property
    def path(self) -> Path:
        """The folder of the files."""
        return self.pytester.path


def section_of(result: Any, title: str) -> str:
    """The part of the output under the rule with this title, up to the next rule of the kind."""
    lines: list[str] = result.outlines
    heads = [i for i, line in enumerate(lines) if re.fullmatch(rf"(_+|=+) {title} (_+|=+)", line)]
    assert len(heads) == 1, f"{len(heads)} sections {title!r} in\n" + "\n".join(lines)
    rule = lines[heads[0]][0]
    rest = lines[heads[0] + 1 :]
    ends = [
        i for i, line in enumerate(rest) if re.fullmatch(rf"({rule}+|=+) .* ({rule}+|=+)", line)
    ]
    return "\n".join(rest[: ends[0]] if ends else rest)


def summary_of(result: Any) -> str:
    """The one line SUMMARY, which must be the last of our section."""
    lines = section_of(result, "HPy debug mode").splitlines()
    assert sum(line.startswith("SUMMARY:") for line in result.outlines) == 1, result.outlines
    assert lines[-1].startswith("SUMMARY: hpy.debug: "), lines
    return lines[-1]
