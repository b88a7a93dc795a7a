/* The example of the documentation of debug mode: a function that leaks a handle. */
#include "hpy.h"

HPyDef_METH(test_leak_stacktrace, "test_leak_stacktrace",
            test_leak_stacktrace_impl, HPyFunc_NOARGS)
static HPy test_leak_stacktrace_impl(HPyContext *ctx, HPy self)
{
    HPy num = HPyLong_FromLong(ctx, 42);
    if (HPy_IsNull(num)) {
        return HPy_NULL;
    }
    // No HPy_Close(ctx, num);
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *snippets_defines[] = {
    &test_leak_stacktrace,
    NULL,
};

static HPyModuleDef snippets_def = {
    .name = "snippets",
    .doc = "What debug mode finds",
    .size = -1,
    .defines = snippets_defines,
};

HPy_MODINIT(snippets)
static HPy init_snippets_impl(HPyContext *ctx)
{
    return HPyModule_Create(ctx, &snippets_def);
}
