"""A row of support.three_functions: a mistake, as C at a boundary of an extension."""

from dataclasses import dataclass
from typing import Optional

from support.extension import line_of

# What the report of a kind must carry.
STACKS = {
    "handle-leak": ("opened",),
    "long-lived-handle": ("opened",),
    "use-after-close": ("at", "opened", "closed"),
    "double-close": ("at", "opened", "closed"),
    "close-of-argument": ("at", "opened"),
    "close-of-constant": ("at",),
    "return-of-argument": ("at", "opened"),
    "return-of-constant": ("at",),
    "return-of-closed": ("at", "opened", "closed"),
    "null-argument": ("at",),
    "not-a-handle": ("at",),
    "stale-context": ("at",),
    "call-after-leave": ("at", "opened"),
    "nested-leave": ("at", "opened"),
    "reenter-mismatch": ("at",),
    "leave-not-reentered": ("at", "opened"),
    "wrong-thread": ("at",),
    "call-in-traverse": ("at",),
    "error-without-exception": ("at",),
    "result-with-exception": ("at",),
    "wrong-argument-type": ("at",),
    "builder-after-build": ("at", "opened", "closed"),
    "builder-leak": ("opened",),
    "builder-index": ("at", "opened"),
    "builder-unfilled": ("at", "opened"),
    "tracker-after-close": ("at", "opened", "closed"),
    "tracker-leak": ("opened",),
    "buffer-after-close": ("at", "opened", "closed"),
    "buffer-write": ("at", "opened"),
    "buffer-overrun": ("at", "opened"),
    "struct-overrun": ("at", "opened"),
    "wrong-struct": ("at",),
    "field-not-visited": ("at",),
    "field-not-owned": ("at",),
    "field-without-traverse": ("at",),
    "field-on-stack": ("at",),
    "global-not-registered": ("at",),
}
# How a row makes itself known under the policy raise.
RAISED, UNRAISABLE, LEAK, NOTE, FAULT = "raised", "unraisable", "leak", "note", "fault"
ENDS = {
    **dict.fromkeys(("handle-leak", "builder-leak", "tracker-leak"), LEAK),
    **dict.fromkeys(("buffer-after-close", "buffer-write", "buffer-overrun"), FAULT),
    "long-lived-handle": NOTE,
    "wrong-thread": UNRAISABLE,
    "call-in-traverse": UNRAISABLE,
}

# Boundary: its C, up to the body; what Python does to get there; the function in reports.
_HEAD = "static {result} {name}_{suffix}(HPyContext *ctx, HPy {more}) {{  /* {name} call */"
_BOUNDARIES = {
    "O": ('HPyDef_METH({name}, "{name}", HPyFunc_O)', "HPy", "impl", "self, HPy arg"),
    "VARARGS": (
        'HPyDef_METH({name}, "{name}", HPyFunc_VARARGS)',
        *("HPy", "impl", "self, const HPy *args, size_t nargs"),
    ),
    "get": ('HPyDef_GET({name}, "x")', "HPy", "get", "arg, void *closure"),
    "set": ('HPyDef_SET({name}, "x")', "int", "set", "self, HPy arg, void *closure"),
    "HPy_nb_add": ("HPyDef_SLOT({name}, HPy_nb_add)", "HPy", "impl", "self, HPy arg"),
    "HPy_mp_subscript": ("HPyDef_SLOT({name}, HPy_mp_subscript)", "HPy", "impl", "self, HPy arg"),
}
_WITHOUT_CONTEXT = {
    "HPy_tp_traverse": "static int {name}_impl(void *self, HPyFunc_visitproc visit, void *arg) {{",
    "HPy_tp_destroy": "static void {name}_impl(void *self) {{",
}
_FIRST = {"VARARGS": "    HPy arg = args[0];\n"}
_CALLS = {
    "O": "module.{name}({argument})",
    "VARARGS": "module.{name}({argument})",
    "get": "module.T{name}().x",
    "set": "setattr(module.T{name}(), 'x', {argument})",
    "HPy_nb_add": "module.T{name}() + {argument}",
    "HPy_mp_subscript": "module.T{name}()[{argument}]",
    "HPy_tp_destroy": "module.T{name}()",
    "HPy_tp_traverse": "gc.get_referents(module.T{name}())",
}


@dataclass
class Row:
    """A mistake. `api` is what its report names.

    Comments /* @at */, /* @opened */ and /* @closed */ mark the lines that the report must name;
    where a kind asks for a line that is not marked, it is the one where the function begins.
    """

    kind: str
    api: Optional[str]
    body: str
    boundary: str = "O"
    argument: str = "'text'"
    goes_on: bool = False  # under warn the function returns without an error
    call: str = ""  # what Python does; if not given, that of the boundary
    before: str = ""  # C in front of the function
    end: str = ""  # of ENDS, where it is not that of the kind
    function: Optional[str] = ""  # in the report; if not given, that of the boundary
    outside: bool = False  # found when no function of an extension was in progress
    name: str = ""

    def finish(self, number: int) -> "Row":
        self.name = f"{self.kind.replace('-', '_')}_{number}"
        self.end = self.end or ENDS.get(self.kind, RAISED)
        plain = self.boundary in ("O", "VARARGS")
        self.call = (self.call or _CALLS[self.boundary]).format(
            name=self.name, argument=self.argument
        )
        if self.function == "":
            member = "x" if self.boundary in ("get", "set") else self.boundary
            self.function = self.name if plain else f"T{self.name}.{member}"
        return self

    @property
    def type_name(self) -> Optional[str]:
        return None if self.boundary in ("O", "VARARGS") else f"T{self.name}"

    def c(self) -> str:
        """The function, and the type that it belongs to."""
        name, boundary = self.name, self.boundary
        if boundary in _WITHOUT_CONTEXT:
            define, head = f"HPyDef_SLOT({name}, {boundary})", _WITHOUT_CONTEXT[boundary]
            head = head.format(name=name)
        else:
            define, result, suffix, more = _BOUNDARIES[boundary]
            define = define.format(name=name)
            head = _HEAD.format(result=result, name=name, suffix=suffix, more=more)
        text = f"{self.before}{define}\n{head}\n{_FIRST.get(boundary, '')}{self.body}}}\n"
        if self.type_name is not None:
            text += (
                f"TYPE({self.type_name}, &{name}, {'GC' if 'traverse' in boundary else 'PLAIN'})\n"
            )
        return text.replace("@", f"{name} ").replace("NAME", name)

    def lines(self, source: str) -> dict[str, Optional[int]]:
        """What the report must name; 0: a stack without native frames."""
        found: dict[str, Optional[int]] = {}
        for stack in ("at", "opened", "closed"):
            mark = stack if f"@{stack} " in self.before + self.body else "call"
            if stack not in STACKS[self.kind]:
                found[stack] = None
            elif mark == "call" and self.outside:
                found[stack] = 0
            else:
                found[stack] = line_of(source, f"/* {self.name} {mark} */")
        return found


NONE = "    return HPy_Dup(ctx, ctx->h_None);\n"


def body(*lines: str, end: str = NONE) -> str:
    return "".join(f"    {line}\n" for line in lines) + end


def returns(kind: str, *statements: str) -> list[Row]:
    """What the return does wrong, at three boundaries."""
    return [
        Row(kind, None, body(*statements, end=""), boundary)
        for boundary in ("O", "HPy_mp_subscript", "get")
    ]


DUP = "HPy h = HPy_Dup(ctx, arg);  /* @opened */"
CLOSE = "HPy_Close(ctx, h);  /* @closed */"
FORGED = "HPy h = {0x1234};"
LEAVE = "HPyThreadState state = HPy_LeavePythonExecution(ctx);  /* @opened */"
REENTER = "HPy_ReenterPythonExecution(ctx, state);"
TRACKER = "HPyTracker tracker = HPyTracker_New(ctx, 1);"
ADD = "HPyTracker_Add(ctx, tracker, {});"
FREE = "HPyTracker_Close(ctx, tracker);  /* @at */"
