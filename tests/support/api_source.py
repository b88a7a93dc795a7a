"""C sources of modules whose methods call the functions of the API one by one.

    SOURCE = module_source(
        add="return HPy_Add(ctx, args[0], args[1]);",
        set_attr_s="return status(ctx, HPy_SetAttr_s(ctx, args[0], TEXT(1), MAYBE(2)));",
    )

Each keyword is a method that gets any number of positional arguments; its value is the body. What
Python hands over as `NULL` is HPy_NULL there (MAYBE) or a NULL pointer (TEXT; otherwise bytes).
The helpers end the process when a function breaks the rule that an error value and an exception
come together; CPython itself checks that of the methods.
"""

from typing import Any

# A handle that is HPy_NULL, a pointer that is NULL: see MAYBE and TEXT.
NULL = ...

HEAD = r"""
#include "hpy.h"
#include <string.h>

/* Argument i; the Ellipsis stands for HPy_NULL. */
#define MAYBE(i) maybe(ctx, args[i])
HPyAPI_UNUSED HPy maybe(HPyContext *ctx, HPy h)
{
    return HPy_Is(ctx, h, ctx->h_Ellipsis) ? HPy_NULL : h;
}

/* Argument i as a C string: bytes, so that it may be no UTF-8; the Ellipsis stands for NULL. */
#define TEXT(i) text(ctx, args[i])
HPyAPI_UNUSED const char *text(HPyContext *ctx, HPy h)
{
    return HPy_Is(ctx, h, ctx->h_Ellipsis) ? NULL : HPyBytes_AsString(ctx, h);
}

/* Argument i as a size. */
#define SIZE(i) HPyLong_AsSsize_t(ctx, args[i])

HPyAPI_UNUSED HPy none(HPyContext *ctx) { return HPy_Dup(ctx, ctx->h_None); }

/* `failed` and an exception come together, or the process ends. */
HPyAPI_UNUSED void expect(HPyContext *ctx, int failed)
{
    if (failed && !HPyErr_Occurred(ctx)) HPy_FatalError(ctx, "an error value, but no exception");
    if (!failed && HPyErr_Occurred(ctx)) HPy_FatalError(ctx, "an exception, but no error value");
}

/* What a function returned that gives -1 for an error. */
HPyAPI_UNUSED HPy status(HPyContext *ctx, HPy_ssize_t result)
{
    expect(ctx, result == -1);
    return result == -1 ? HPy_NULL : HPyLong_FromSsize_t(ctx, result);
}

/* What a function returned that cannot fail. */
HPyAPI_UNUSED HPy truth(HPyContext *ctx, int result)
{
    expect(ctx, 0);
    return HPyLong_FromLong(ctx, result);
}
"""

_METHOD = """
HPyDef_METH(api_{name}, "{name}", HPyFunc_VARARGS)
static HPy api_{name}_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{{
    {body}
}}
"""


def module_source(head: str = "", **bodies: str) -> str:
    """The C source of a module with a method for each of `bodies`."""
    methods = [_METHOD.format(name=name, body=body.strip()) for name, body in bodies.items()]
    return HEAD + head + "".join(methods)


def outcome(function: Any, *args: Any) -> Any:
    """What a call gave: its result, or the type and the text of its exception."""
    try:
        return function(*args)
    except Exception as error:
        return type(error), str(error)
