"""The mistakes that support.generator can plant: each writes one, and what must be said of it."""

from typing import Callable

from hpy.debug.violation import Violation
from support.generator import (
    BARE,
    GET_REFERENTS,
    NOISY,
    NOSY,
    NULLS,
    SHY,
    Expected,
    Program,
)
from support.generator_source import (
    A_BYTES,
    A_DICT,
    A_LIST,
    A_STR,
    AN_INT,
    ARGUMENTS,
    BOX_TYPE,
    CALL_LINE,
    CONSTANTS,
    DEAD,
    EFFECTS,
    FORGED,
    LENT_LINES,
    LINES,
    LONG_TYPE,
    LOOKS,
    NONE,
    NULL,
    OWNED,
    PROGRAMS,
    VALUES,
    VISIT_LINE,
)

# Their errors go to sys.unraisablehook, or they have none.
_NOT_RAISED = (
    "",
    "handle-leak",
    "builder-leak",
    "tracker-leak",
    "long-lived-handle",
    "wrong-thread",
)


def is_raised(kind: str) -> bool:
    """Whether the function that makes the mistake raises an error for it, under `raise`."""
    return kind not in _NOT_RAISED


def told(violation: Violation) -> Expected:
    """What a report says, in the words of Expected."""
    lines = []
    for stack in (violation.at, violation.opened, violation.closed):
        frames = stack.native if stack is not None else []
        # HPyType_HELPERS makes a function of the extension's, which calls the API.
        own = [frame.line for frame in frames if not frame.function.endswith("_AsStruct")]
        lines.append(own[0] or -1 if own else 0)
    return Expected(violation.kind, *lines)


# Those that are looked at with a bad operand: any but the calls of programs.
_USES = [
    name
    for name in [*VALUES, *EFFECTS, *LOOKS]
    if name not in ("PROGRAM", "NESTED") and (VALUES.get(name, ("", "", ("x",)))[2] != ())
]


def _use(p: Program, name: str, bad: int) -> None:
    """`name` with one operand that is `bad`."""
    kinds = VALUES[name][2] if name in VALUES else {**EFFECTS, **LOOKS}[name][1]
    operands = p.operands(kinds)
    operands[p.rng.randrange(len(operands))] = bad
    if name not in VALUES:
        p.emit(name, 0, *operands)
        return
    register = p.free()
    # Room was made perhaps, by closing an operand.
    if any(operand < OWNED and operand not in p.owned for operand in operands):
        _use(p, name, bad)
        return
    p.emit(name, register, *operands)
    p.owned[register] = ("any", name)


def _closed(p: Program) -> tuple[int, int, int]:
    """A register with a closed handle, and the lines where it was opened and closed."""
    register = p.new_value()
    opened = LINES[p.owned[register][1]]
    dead = p.rng.choice(DEAD)
    p.emit("COPY", dead, register)
    closed = LINES[p.close(register)]
    for _ in range(p.rng.randrange(3)):
        p.group()
    return dead, opened, closed


def use_after_close(p: Program) -> None:
    dead, opened, closed = _closed(p)
    name = p.rng.choice(_USES)
    _use(p, name, dead)
    p.expected = Expected("use-after-close", LINES[name], opened, closed)


def double_close(p: Program) -> None:
    dead, opened, closed = _closed(p)
    name = p.rng.choice(("CLOSE", "CLOSE_TOO"))
    p.emit(name, a=dead)
    p.expected = Expected("double-close", LINES[name], opened, closed)


def close_of_argument(p: Program) -> None:
    p.emit("CLOSE", a=p.rng.choice(ARGUMENTS))
    p.expected = Expected("close-of-argument", LINES["CLOSE"], CALL_LINE)


def close_of_constant(p: Program) -> None:
    p.emit("CLOSE", a=p.rng.choice(CONSTANTS))
    p.expected = Expected("close-of-constant", LINES["CLOSE"])


def _return(p: Program, register: int) -> None:
    for owned in list(p.owned):
        p.close(owned)
    p.emit("RETURN", a=register)
    p.ended = True


def return_of_argument(p: Program) -> None:
    _return(p, p.rng.choice(ARGUMENTS))
    p.expected = Expected("return-of-argument", CALL_LINE, CALL_LINE)


def return_of_constant(p: Program) -> None:
    _return(p, p.rng.choice(CONSTANTS))
    p.expected = Expected("return-of-constant", CALL_LINE)


def return_of_closed(p: Program) -> None:
    dead, opened, closed = _closed(p)
    _return(p, dead)
    p.expected = Expected("return-of-closed", CALL_LINE, opened, closed)


def null_argument(p: Program) -> None:
    name = p.rng.choice(NULLS)
    _use(p, name, NULL)
    p.expected = Expected("null-argument", LINES[name])


def not_a_handle(p: Program) -> None:
    name = p.rng.choice([*_USES, "CLOSE"])
    if name == "CLOSE":
        p.emit(name, a=FORGED)
    else:
        _use(p, name, FORGED)
    p.expected = Expected("not-a-handle", LINES[name])


def handle_leak(p: Program) -> None:
    register = p.new_value()
    p.emit("LOSE", a=register)
    p.expected = Expected("handle-leak", opened=LINES[p.owned.pop(register)[1]])


def long_lived_handle(p: Program) -> None:
    """No mistake: a note."""
    p.emit("KEEP", a=p.pick("any"))
    p.expected = Expected("long-lived-handle", opened=LINES["KEEP"])


def _which(p: Program) -> tuple[str, int]:
    """Which builders, and a slot of one."""
    return p.rng.choice(("LISTS", "TUPLES")), p.rng.randrange(4)


def _build(p: Program, which: str, slot: int) -> str:
    register = p.free()
    p.emit(f"{which}_BUILD", register, slot)
    p.owned[register] = ("any", f"{which}_BUILD")
    return f"{which}_BUILD"


def builder_after_build(p: Program) -> None:
    which, slot = _which(p)
    p.emit(f"{which}_NEW", a=slot, c=1)
    p.emit(f"{which}_SET", a=slot, b=AN_INT)
    p.emit(f"COPY_{which}", 4 + slot, slot)
    if p.rng.random() < 0.5:
        closed = _build(p, which, slot)
    else:
        closed = f"{which}_CANCEL"
        p.emit(closed, a=slot)
    again = p.rng.choice(("SET", "CANCEL", "BUILD"))
    if again == "BUILD":
        _build(p, which, 4 + slot)
    else:
        p.emit(f"{which}_{again}", a=4 + slot, b=A_STR)
    lines = LINES[f"{which}_{again}"], LINES[f"{which}_NEW"], LINES[closed]
    p.expected = Expected("builder-after-build", *lines)


def builder_leak(p: Program) -> None:
    which, slot = _which(p)
    p.emit(f"{which}_NEW", a=slot, c=2)
    p.emit(f"{which}_SET", a=slot, b=A_STR)
    p.emit(f"{which}_FORGET", a=slot)
    p.expected = Expected("builder-leak", opened=LINES[f"{which}_NEW"])


def builder_index(p: Program) -> None:
    which, slot = _which(p)
    p.emit(f"{which}_NEW", a=slot, c=1)
    p.emit(f"{which}_SET", a=slot, b=A_DICT)
    p.emit(f"{which}_SET", a=slot, b=A_STR, c=p.rng.randrange(1, 256))
    _build(p, which, slot)
    p.expected = Expected("builder-index", LINES[f"{which}_SET"], LINES[f"{which}_NEW"])


def builder_unfilled(p: Program) -> None:
    which, slot = _which(p)
    size = p.rng.randrange(1, 6)
    hole = p.rng.randrange(size)
    p.emit(f"{which}_NEW", a=slot, c=size)
    for index in range(size):
        if index != hole:
            p.emit(f"{which}_SET", a=slot, b=A_LIST, c=index)
    _build(p, which, slot)
    p.expected = Expected("builder-unfilled", LINES[f"{which}_BUILD"], LINES[f"{which}_NEW"])


def tracker_leak(p: Program) -> None:
    slot = p.rng.randrange(4)
    p.emit("TRACKER_NEW", a=slot, c=1)
    for _ in range(p.rng.randrange(3)):
        register = p.new_value()
        p.emit("TRACKER_ADD", a=slot, b=register)
        p.emit("FORGET", a=register)
        del p.owned[register]
    p.emit("TRACKER_FORGET", a=slot)
    p.expected = Expected("tracker-leak", opened=LINES["TRACKER_NEW"])


def tracker_after_close(p: Program) -> None:
    slot = p.rng.randrange(4)
    p.emit("TRACKER_NEW", a=slot, c=1)
    p.emit("COPY_TRACKER", 4 + slot, slot)
    p.emit("TRACKER_CLOSE", a=slot)
    name = p.rng.choice(("TRACKER_ADD", "TRACKER_FORGET_ALL", "TRACKER_CLOSE"))
    p.emit(name, a=4 + slot, b=p.new_value())
    lines = LINES[name], LINES["TRACKER_NEW"], LINES["TRACKER_CLOSE"]
    p.expected = Expected("tracker-after-close", *lines)


def call_after_leave(p: Program) -> None:
    name = p.rng.choice(_USES)
    kinds = VALUES[name][2] if name in VALUES else {**EFFECTS, **LOOKS}[name][1]
    register = p.free() if name in VALUES else 0
    operands = p.operands(kinds)
    if register in p.owned:
        call_after_leave(p)
        return
    p.emit("LEAVE")
    p.work()
    p.emit(name, register, *operands)
    if name in VALUES:
        p.owned[register] = ("any", name)
    p.work()
    p.emit("REENTER")
    p.expected = Expected("call-after-leave", LINES[name], LINES["LEAVE"])


def nested_leave(p: Program) -> None:
    p.emit("LEAVE")
    p.work()
    p.emit("LEAVE_AGAIN")
    p.work()
    p.emit("REENTER_AGAIN")
    p.emit("REENTER")
    p.expected = Expected("nested-leave", LINES["LEAVE_AGAIN"], LINES["LEAVE"])


def reenter_mismatch(p: Program) -> None:
    left = p.rng.random() < 0.5
    if left:
        p.emit("LEAVE")
    p.emit("REENTER_WRONG", c=p.rng.randrange(256))
    if left:
        p.emit("REENTER")
    p.expected = Expected("reenter-mismatch", LINES["REENTER_WRONG"])


def leave_not_reentered(p: Program) -> None:
    keep = p.new_value()
    for register in list(p.owned):
        if register != keep:
            p.close(register)
    p.emit("LEAVE")
    p.work()
    p.emit("RETURN", a=keep)
    p.ended = True
    p.expected = Expected("leave-not-reentered", CALL_LINE, LINES["LEAVE"])


def error_without_exception(p: Program) -> None:
    _return(p, NULL)
    p.expected = Expected("error-without-exception", CALL_LINE)


def result_with_exception(p: Program) -> None:
    keep = p.new_value()
    for register in list(p.owned):
        if register != keep:
            p.close(register)
    p.emit("RAISE")
    p.emit("RETURN", a=keep)
    p.ended = True
    p.expected = Expected("result-with-exception", CALL_LINE)


def wrong_argument_type(p: Program) -> None:
    name = p.rng.choice(("TYPE_NAME", "TYPE_CHECK", "SLICE"))
    wrong = p.rng.choice((AN_INT, A_DICT, A_LIST, NONE))
    p.emit(name, p.free(), wrong, wrong)
    p.expected = Expected("wrong-argument-type", LINES[name])


def global_not_registered(p: Program) -> None:
    p.emit("STORE_FORGOTTEN", a=p.pick("any"))
    p.expected = Expected("global-not-registered", LINES["STORE_FORGOTTEN"])


def field_on_stack(p: Program) -> None:
    p.emit("STORE_STACK", a=p.value("BOX"), b=A_STR)
    p.expected = Expected("field-on-stack", LINES["STORE_STACK"])


def _make_room(p: Program) -> None:
    """So that the next five values close none for theirs."""
    while len(p.owned) > OWNED - 8:
        p.close(p.rng.choice(list(p.owned)))


def _make(p: Program, which: int, name: str, b: int = NULL, c: int = 0) -> int:
    """An object of a type from the tuple of programs."""
    its_type = p.free()
    p.emit("PROGRAM", its_type, PROGRAMS, which)
    p.owned[its_type] = ("any", "PROGRAM")
    register = next(r for r in range(OWNED) if r not in p.owned)
    p.emit(name, register, its_type, b, c)
    p.owned[register] = ("any", name)
    return register


def _traverse(p: Program, register: int) -> None:
    """Has the interpreter traverse an object."""
    function = p.free()
    p.emit("PROGRAM", function, PROGRAMS, GET_REFERENTS)
    p.owned[function] = ("any", "PROGRAM")
    referents = next(r for r in range(OWNED) if r not in p.owned)
    p.emit("REFERENTS", referents, register, function)
    p.owned[referents] = ("any", "REFERENTS")


def field_without_traverse(p: Program) -> None:
    _make_room(p)
    bare = _make(p, BARE, "BARE")
    p.emit("STORE_BARE", a=bare, b=A_STR)
    p.expected = Expected("field-without-traverse", LINES["STORE_BARE"])


def field_not_visited(p: Program) -> None:
    _make_room(p)
    shy = _make(p, SHY, "SHY")
    # The owner must live on when the function returns.
    p.emit("APPEND", a=A_LIST, b=shy)
    p.emit("STORE_SHY", a=shy, b=A_STR)
    p.expected = Expected("field-not-visited", LINES["STORE_SHY"])


def field_not_owned(p: Program) -> None:
    _make_room(p)
    box = p.value("BOX")
    p.emit("STORE_FIELD", a=box, b=A_DICT)
    nosy = _make(p, NOSY, "NOSY", b=box)
    _traverse(p, nosy)
    p.emit("NOSY_STOPS", a=nosy)
    p.expected = Expected("field-not-owned", VISIT_LINE)


def call_in_traverse(p: Program) -> None:
    _make_room(p)
    what = p.rng.randrange(len(LENT_LINES))
    p.emit("LEND", a=A_STR)
    if p.rng.random() < 0.5:
        noisy = _make(p, NOISY, "NOISY", b=1, c=what)
        _traverse(p, noisy)
        p.emit("NOISY_STOPS", a=noisy)
    else:
        p.close(_make(p, NOISY, "NOISY", b=2, c=what))
    p.expected = Expected("call-in-traverse", LENT_LINES[what])


def wrong_thread(p: Program) -> None:
    what = p.rng.randrange(len(LENT_LINES))
    p.emit("LEND", a=A_STR)
    p.emit("THREAD", c=what)
    p.expected = Expected("wrong-thread", LENT_LINES[what])


def struct_overrun(p: Program) -> None:
    register = p.free()
    p.emit("LONG_BOX", register, BOX_TYPE, c=p.rng.randrange(16))
    # Found when it dies, or when the function returns: not while others have it.
    if p.rng.random() < 0.5:
        p.emit("CLOSE", a=register)
    else:
        _return(p, register)
    p.expected = Expected("struct-overrun", CALL_LINE, LINES["LONG_BOX"])


def wrong_struct(p: Program) -> None:
    p.emit("STRUCT", a=p.rng.choice((AN_INT, A_STR, A_DICT, BOX_TYPE, LONG_TYPE, NONE, A_BYTES)))
    p.expected = Expected("wrong-struct", LINES["STRUCT"])


def stale_context(p: Program) -> None:
    p.emit("STALE", p.free(), AN_INT)
    p.expected = Expected("stale-context", LINES["STALE"])


_ALL = [
    *(use_after_close, double_close, close_of_argument, close_of_constant, return_of_argument),
    *(return_of_constant, return_of_closed, null_argument, not_a_handle, handle_leak),
    *(builder_after_build, builder_leak, builder_index, builder_unfilled, tracker_leak),
    *(tracker_after_close, call_after_leave, nested_leave, reenter_mismatch, leave_not_reentered),
    *(error_without_exception, result_with_exception, wrong_argument_type, global_not_registered),
    *(field_on_stack, field_without_traverse, wrong_struct, stale_context, long_lived_handle),
    *(field_not_visited, field_not_owned, call_in_traverse, wrong_thread, struct_overrun),
]
MISTAKES: dict[str, Callable[[Program], None]] = {
    plant.__name__.replace("_", "-"): plant for plant in _ALL
}


# These end the process.

# What gives a text, of what, and its size where the text is no program's.
_TEXTS = {"TEXT_OF": A_STR, "TEXT_OF_BYTES": A_BYTES, "TEXT_OF_TYPE": LONG_TYPE}


def _text(p: Program) -> tuple[int, int]:
    """A register whose text was asked for, and the line where that was."""
    name = p.rng.choice(list(_TEXTS))
    register = p.free()
    p.emit("DUP", register, _TEXTS[name])
    p.owned[register] = ("any", "DUP")
    p.emit(name, a=register, c=len("int"))
    return register, LINES[name]


def buffer_after_close(p: Program) -> None:
    register, opened = _text(p)
    closed = LINES[p.close(register)]
    p.work()
    at = p.rng.choice(("LOOK", "SCRIBBLE"))
    p.emit(at, c=p.rng.randrange(4))
    p.expected = Expected("buffer-after-close", LINES[at], opened, closed)


def buffer_write(p: Program) -> None:
    _, opened = _text(p)
    p.work()
    p.emit("SCRIBBLE")
    p.expected = Expected("buffer-write", LINES["SCRIBBLE"], opened)


def buffer_overrun(p: Program) -> None:
    _, opened = _text(p)
    p.work()
    p.emit("LOOK_BEHIND", c=p.rng.randrange(256))
    p.expected = Expected("buffer-overrun", LINES["LOOK_BEHIND"], opened)


FAULTS: dict[str, Callable[[Program], None]] = {
    plant.__name__.replace("_", "-"): plant
    for plant in (buffer_after_close, buffer_write, buffer_overrun)
}
