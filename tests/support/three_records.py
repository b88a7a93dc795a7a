"""Rows of support.three_functions: builders, trackers, buffers, structs, fields and globals."""

from support.three_row import CLOSE, FREE, NONE, TRACKER, UNRAISABLE, Row, body


def _builder(which: str, api: str, kind: str, *rest: str, boundary: str = "O", **how: bool) -> Row:
    new = f"HPy{which}Builder builder = HPy{which}Builder_New(ctx, 2);  /* @opened */"
    lines = [line.replace("BUILDER", f"HPy{which}Builder") for line in rest]
    name = None if kind == "builder-leak" else f"HPy{which}Builder_{api}"
    return Row(kind, name, body(new, *lines), boundary, **how)  # type: ignore[arg-type]


_SET = "BUILDER_Set(ctx, builder, {}, arg);"
_BOTH = [_SET.format(0), _SET.format(1)]
_BUILD = "h = BUILDER_Build(ctx, builder);"
_CANCEL = "BUILDER_Cancel(ctx, builder);"
BUILDERS = [
    _builder(
        *("List", "Set", "builder-after-build", "HPy h;", *_BOTH),
        *(f"{_BUILD}  /* @closed */", "HPy_Close(ctx, h);", f"{_SET.format(0)}  /* @at */"),
        goes_on=True,
    ),
    _builder(
        *("Tuple", "Build", "builder-after-build", "HPy h;"),
        *(f"{_CANCEL}  /* @closed */", f"{_BUILD}  /* @at */"),
        "if (HPy_IsNull(h)) return h;",
        boundary="get",
    ),
    _builder(
        *("List", "Cancel", "builder-after-build", f"{_CANCEL}  /* @closed */"),
        f"{_CANCEL}  /* @at */",
        boundary="HPy_nb_add",
        goes_on=True,
    ),
    _builder("List", "New", "builder-leak", _SET.format(0)),
    _builder("Tuple", "New", "builder-leak", _SET.format(0), boundary="HPy_mp_subscript"),
    _builder("Tuple", "New", "builder-leak", "(void)builder;", boundary="get"),
    _builder("List", "Set", "builder-index", f"{_SET.format(2)}  /* @at */", _CANCEL, goes_on=True),
    _builder(
        *("Tuple", "Set", "builder-index", f"{_SET.format(1000)}  /* @at */", _CANCEL),
        boundary="HPy_nb_add",
        goes_on=True,
    ),
    _builder(
        *("List", "Set", "builder-index", f"{_SET.format(-1)}  /* @at */", _CANCEL),
        boundary="get",
        goes_on=True,
    ),
    *(
        _builder(
            *(which, "Build", "builder-unfilled", "HPy h;", _SET.format(item)),
            f"{_BUILD}  /* @at */",
            "if (HPy_IsNull(h)) return h;",
            boundary=boundary,
        )
        for which, item, boundary in (
            ("List", 0, "O"),
            ("Tuple", 1, "get"),
            ("Tuple", 0, "HPy_nb_add"),
        )
    ),
]

_NEW_TRACKER = f"{TRACKER}  /* @opened */"
_END_TRACKER = "HPyTracker_Close(ctx, tracker);  /* @closed */"
TRACKERS = [
    Row(
        "tracker-after-close",
        "HPyTracker_Close",
        body(_NEW_TRACKER, _END_TRACKER, FREE),
        goes_on=True,
    ),
    Row(
        "tracker-after-close",
        "HPyTracker_Add",
        body(
            *(_NEW_TRACKER, _END_TRACKER),
            "if (HPyTracker_Add(ctx, tracker, arg) < 0)  /* @at */",
            "    return HPy_NULL;",
        ),
        "get",
    ),
    Row(
        "tracker-after-close",
        "HPyTracker_ForgetAll",
        body(_NEW_TRACKER, _END_TRACKER, "HPyTracker_ForgetAll(ctx, tracker);  /* @at */"),
        "HPy_nb_add",
        goes_on=True,
    ),
    *(
        Row("tracker-leak", None, body(_NEW_TRACKER, "(void)tracker;"), boundary)
        for boundary in ("O", "get", "HPy_mp_subscript")
    ),
]

_TEXTS = [
    ("HPyUnicode_AsUTF8AndSize", "HPyUnicode_AsUTF8AndSize(ctx, h, NULL);", "'text'", "O"),
    ("HPyBytes_AsString", "HPyBytes_AsString(ctx, h);", "b'text'", "HPy_mp_subscript"),
    ("HPyType_GetName", "HPyType_GetName(ctx, h);", "bool", "HPy_nb_add"),
]
BUFFERS = [
    Row(
        kind,
        api,
        body(
            *("HPy h = HPy_Dup(ctx, arg);", f"const char *text = {call}  /* @opened */"),
            *([CLOSE] if kind == "buffer-after-close" else []),
            f"{access}  /* @at */",
        ),
        boundary,
        argument,
    )
    for kind, access in (
        ("buffer-after-close", "seen = text[0];"),
        ("buffer-write", "((char *)text)[0] = 'X';"),
        ("buffer-overrun", "seen = text[5];"),
    )
    for api, call, argument, boundary in _TEXTS
]

_LONG = [
    "char *data;",
    "HPy h = HPy_New(ctx, arg, &data);  /* @opened */",
    "if (HPy_IsNull(h)) return h;",
    "memset(data + sizeof(Box), 1, 3);",
]
STRUCTS = [
    Row(
        "struct-overrun",
        None,
        body(*_LONG, "return h;", end=""),
        argument="module.Box",
        goes_on=True,
    ),
    Row(
        "struct-overrun",
        None,
        body(*_LONG, "HPy_Close(ctx, h);  /* dies */"),
        "HPy_nb_add",
        "module.Box",
        goes_on=True,
    ),
    Row(  # at the next traversal, outside of all
        "struct-overrun",
        None,
        body(
            *_LONG,
            "if (HPyList_Append(ctx, self_list, h) < 0) return HPy_NULL;",
            "HPy_Close(ctx, h);",
        ).replace("self_list", "args[1]"),
        "VARARGS",
        "module.Box, live",
        goes_on=True,
        call="module.{name}({argument}); gc.get_referents(live[-1])",
        end=UNRAISABLE,
        outside=True,
    ),
    *(
        Row(
            "wrong-struct",
            f"_HPy_AsStruct_{shape}",  # which HPy_AsStruct and the helpers of types call
            body(f"seen = ((char *)_HPy_AsStruct_{shape}(ctx, arg))[0];  /* @at */"),
            boundary,
            argument,
            goes_on=True,
        )
        for shape, boundary, argument in (
            ("Object", "O", "'text'"),
            ("Dict", "HPy_nb_add", "module.Box()"),
            ("List", "HPy_mp_subscript", "module.Box()"),
        )
    ),
]


def _stores(kind: str, field: str, argument: str, live: bool = False) -> list[Row]:
    return [
        Row(
            kind,
            "HPyField_Store",
            body(
                "HPyField local = HPyField_NULL;",
                "(void)local;",
                f"HPyField_Store(ctx, arg, {field}, ctx->h_None);  /* @at */",
                end="    return 0;\n" if boundary == "set" else NONE,
            ),
            boundary,
            f"keep({argument})" if live else argument,
            goes_on=True,
        )
        for boundary in ("O", "HPy_nb_add", "set")
    ]


# A type of its own, for its traverse is what is wrong.
_VISITS = body(
    "HPy_VISIT(&((Box *)self)->content);",
    "if (stranger != NULL)",
    "    HPy_VISIT(&stranger->content);  /* @at */",
    end="    return 0;\n",
)
FIELDS = [
    *_stores("field-not-visited", "&Shy_AsStruct(ctx, arg)->content", "module.Shy()", live=True),
    Row(
        "field-not-owned",
        None,
        _VISITS,
        "HPy_tp_traverse",
        call="module.meet(keep(module.Box())); keep(module.T{name}()); gc.get_referents(live[-1])",
        end=UNRAISABLE,
        goes_on=True,
    ),
    Row(
        "field-not-owned",
        None,
        _VISITS,
        "HPy_tp_traverse",
        call="module.meet(keep(module.Box())); keep(module.T{name}()); gc.collect()",
        end=UNRAISABLE,
        goes_on=True,
    ),
    Row(
        "field-not-owned",
        None,
        _VISITS,
        "HPy_tp_traverse",
        # Found when the function that has stored in it returns.
        call="module.meet(keep(module.Box())); keep(module.T{name}()); module.store(live[-1])",
        goes_on=True,
    ),
    *_stores("field-without-traverse", "&Bare_AsStruct(ctx, arg)->content", "module.Bare()"),
    *_stores("field-on-stack", "&local", "module.Box()"),
    Row(
        "global-not-registered",
        "HPyGlobal_Store",
        body("HPyGlobal_Store(ctx, &forgotten, arg);  /* @at */"),
        goes_on=True,
    ),
    Row(
        "global-not-registered",
        "HPyGlobal_Store",
        body("static HPyGlobal local;", "HPyGlobal_Store(ctx, &local, arg);  /* @at */"),
        "HPy_nb_add",
        goes_on=True,
    ),
    Row(
        "global-not-registered",
        "HPyGlobal_Load",
        body(
            "HPyGlobal forged = {123456};", "return HPyGlobal_Load(ctx, forged);  /* @at */", end=""
        ),
        "get",
    ),
]
