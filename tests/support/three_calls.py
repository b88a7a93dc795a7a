"""Rows of support.three_functions: handles, the context, leaving, results and exceptions."""

from support.three_row import (
    ADD,
    CLOSE,
    DUP,
    FORGED,
    FREE,
    LEAVE,
    RAISED,
    REENTER,
    TRACKER,
    Row,
    body,
    returns,
)

HANDLES = [
    Row("handle-leak", None, body("HPy_Dup(ctx, arg);  /* @opened */")),
    Row("handle-leak", None, body("HPyLong_FromLong(ctx, 7);  /* @opened */"), "get"),
    Row("handle-leak", None, body("HPyList_New(ctx, 3);  /* @opened */"), "HPy_nb_add"),
    Row("long-lived-handle", None, body("kept_handle = HPy_Dup(ctx, arg);  /* @opened */")),
    Row("long-lived-handle", None, body("kept_handle = HPyDict_New(ctx);  /* @opened */"), "get"),
    Row(
        "long-lived-handle",
        None,
        body('kept_handle = HPyBytes_FromString(ctx, "");  /* @opened */'),
        "HPy_nb_add",
    ),
    Row(
        "use-after-close",
        "HPy_Add",
        body(DUP, CLOSE, "return HPy_Add(ctx, arg, h);  /* @at */", end=""),
    ),
    Row(
        "use-after-close",
        "HPy_Length",
        body(DUP, CLOSE, "if (HPy_Length(ctx, h) < 0)  /* @at */", "    return HPy_NULL;"),
        "HPy_mp_subscript",
    ),
    Row(
        "use-after-close",
        "HPyTuple_Check",
        body(DUP, CLOSE, "seen = HPyTuple_Check(ctx, h);  /* @at */"),
        "get",
        goes_on=True,
    ),
    Row(
        "double-close",
        "HPy_Close",
        body(DUP, CLOSE, "HPy_Close(ctx, h);  /* @at */"),
        goes_on=True,
    ),
    Row(
        "double-close",
        "HPy_Close",
        body(DUP, CLOSE, "HPy_Close(ctx, h);  /* @at */"),
        "get",
        goes_on=True,
    ),
    Row(
        "double-close",
        "HPyTracker_Close",
        body(DUP, TRACKER, ADD.format("h"), CLOSE, FREE),
        goes_on=True,
    ),
    Row("close-of-argument", "HPy_Close", body("HPy_Close(ctx, arg);  /* @at */"), goes_on=True),
    Row(
        "close-of-argument",
        "HPy_Close",
        body("HPy_Close(ctx, self);  /* @at */"),
        "HPy_nb_add",
        goes_on=True,
    ),
    Row(
        "close-of-argument",
        "HPyTracker_Close",
        body(TRACKER, ADD.format("arg"), FREE),
        "VARARGS",
        goes_on=True,
    ),
    Row(
        "close-of-constant",
        "HPy_Close",
        body("HPy_Close(ctx, ctx->h_None);  /* @at */"),
        goes_on=True,
    ),
    Row(
        "close-of-constant",
        "HPy_Close",
        body("HPy_Close(ctx, ctx->h_TypeError);  /* @at */"),
        "get",
        goes_on=True,
    ),
    Row(
        "close-of-constant",
        "HPyTracker_Close",
        body(TRACKER, ADD.format("ctx->h_True"), FREE),
        goes_on=True,
    ),
    *returns("return-of-argument", "return arg;"),
    *returns("return-of-constant", "return ctx->h_None;"),
    *returns("return-of-closed", DUP, CLOSE, "return h;"),
    Row("null-argument", "HPy_Add", body("return HPy_Add(ctx, arg, HPy_NULL);  /* @at */", end="")),
    Row(
        "null-argument",
        "HPy_GetAttr_s",
        body('return HPy_GetAttr_s(ctx, HPy_NULL, "x");  /* @at */', end=""),
        "get",
    ),
    Row(
        "null-argument",
        "HPyTuple_Check",
        body("seen = HPyTuple_Check(ctx, HPy_NULL);  /* @at */"),
        goes_on=True,
    ),
    Row("not-a-handle", "HPy_Str", body(FORGED, "return HPy_Str(ctx, h);  /* @at */", end="")),
    Row(
        "not-a-handle",
        "HPy_Close",
        body(FORGED, "HPy_Close(ctx, h);  /* @at */"),
        "get",
        goes_on=True,
    ),
    Row(
        "not-a-handle",
        "HPy_SetItem_i",
        body(
            "HPy h;",
            "h._i = (intptr_t)(int32_t)arg._i;",  # cut to 32 bits
            "if (HPy_SetItem_i(ctx, h, 0, arg) < 0)  /* @at */",
            "    return HPy_NULL;",
        ),
    ),
]

# What a thread without the interpreter does, and the function that waits for it.
_THREAD = "static void *in_NAME(void *unused) {{\n    {}  /* @at */\n    return NULL;\n}}\n"
_IN_THREAD = body(
    "pthread_t thread;",
    "kept = ctx, kept_handle = arg;",
    "pthread_create(&thread, NULL, in_NAME, NULL);",
    "pthread_join(thread, NULL);",
)


def _left(api: str, call: str, boundary: str, goes_on: bool = False) -> Row:
    return Row(
        "call-after-leave",
        api,
        body("HPy h = HPy_NULL;", LEAVE, f"{call}  /* @at */", REENTER, "(void)h;")
        if goes_on
        else body("HPy h;", LEAVE, f"h = {call}  /* @at */", REENTER, "return h;", end=""),
        boundary,
        goes_on=goes_on,
    )


EXECUTION = [
    Row(
        "stale-context",
        "HPyLong_FromInt64_t",  # which the inline HPyLong_FromLong calls
        body("return HPyLong_FromLong(kept, 7);  /* @at */", end=""),
    ),
    Row("stale-context", "HPy_Dup", body("return HPy_Dup(kept, arg);  /* @at */", end=""), "get"),
    Row("stale-context", "HPyErr_Clear", body("HPyErr_Clear(kept);  /* @at */"), goes_on=True),
    _left("HPyFloat_FromDouble", "HPyFloat_FromDouble(ctx, 7);", "O"),
    _left("HPy_Dup", "HPy_Dup(ctx, arg);", "HPy_mp_subscript"),
    _left("HPy_Close", "HPy_Close(ctx, h);", "get", goes_on=True),
    *(
        Row(
            "nested-leave",
            "HPy_LeavePythonExecution",
            body(
                "HPyThreadState again;",
                LEAVE,
                "again = HPy_LeavePythonExecution(ctx);  /* @at */",
                "HPy_ReenterPythonExecution(ctx, again);",
                REENTER,
            ),
            boundary,
            goes_on=True,
        )
        for boundary in ("O", "get", "HPy_nb_add")
    ),
    Row(
        "reenter-mismatch",
        "HPy_ReenterPythonExecution",
        body("HPyThreadState state = {24};", f"{REENTER}  /* @at */"),
        goes_on=True,
    ),
    Row(
        "reenter-mismatch",
        "HPy_ReenterPythonExecution",
        body(
            "HPyThreadState state = HPy_LeavePythonExecution(ctx), other = {24};",
            "HPy_ReenterPythonExecution(ctx, other);  /* @at */",
            REENTER,
        ),
        "get",
        goes_on=True,
    ),
    Row(
        "reenter-mismatch",
        "HPy_ReenterPythonExecution",
        body(
            "HPyThreadState state = HPy_LeavePythonExecution(ctx);",
            REENTER,
            f"{REENTER}  /* @at */",
        ),
        "HPy_nb_add",
        goes_on=True,
    ),
    *(
        Row(
            "leave-not-reentered",
            None,
            body(
                "HPy result = HPyLong_FromLong(ctx, 7);",
                "HPy_LeavePythonExecution(ctx);  /* @opened */",
                "return result;",
                end="",
            ),
            boundary,
            goes_on=True,
        )
        for boundary in ("O", "get", "HPy_mp_subscript")
    ),
    *(
        Row(
            "wrong-thread",
            api,
            _IN_THREAD,
            goes_on=True,
            before=_THREAD.format(call),
            function=None,
        )
        for api, call in (
            ("HPy_Dup", "HPy_Dup(kept, kept_handle);"),
            ("HPy_Close", "HPy_Close(kept, kept_handle);"),
            ("HPyUnicode_FromString", 'HPyUnicode_FromString(kept, "a text");'),
        )
    ),
    Row(
        "call-in-traverse",
        "HPy_Dup",
        "    HPy_Dup(kept, kept->h_None);  /* @at */\n",
        "HPy_tp_destroy",
    ),
    Row(
        "call-in-traverse",
        "HPyErr_SetString",
        body(
            'HPyErr_SetString(kept, kept->h_ValueError, "in traverse");  /* @at */',
            "return 0;",
            end="",
        ),
        "HPy_tp_traverse",
        call="live.append(module.T{name}()); gc.get_referents(live[-1])",
    ),
    Row(
        "call-in-traverse",
        "HPy_Close",
        "    HPy_Close(kept, kept->h_None);  /* @at */\n",
        "HPy_tp_destroy",
        call="module.call(lambda: not module.T{name}())",  # an extension's function is in progress
        end=RAISED,
        goes_on=True,
    ),
    *returns("error-without-exception", "return HPy_NULL;"),
    *returns(
        "result-with-exception",
        'HPyErr_SetString(ctx, ctx->h_KeyError, "of the extension");',
        "return HPyLong_FromLong(ctx, 7);",
    ),
    Row(
        "wrong-argument-type",
        "HPyType_GetName",
        body("if (HPyType_GetName(ctx, arg) == NULL)  /* @at */", "    return HPy_NULL;"),
    ),
    Row(
        "wrong-argument-type",
        "HPy_TypeCheck",
        body("seen = HPy_TypeCheck(ctx, arg, arg);  /* @at */"),
        "HPy_nb_add",
        goes_on=True,
    ),
    Row(
        "wrong-argument-type",
        "HPyUnicode_Substring",
        body("return HPyUnicode_Substring(ctx, arg, 0, 1);  /* @at */", end=""),
        argument="7",
    ),
]
