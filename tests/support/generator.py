"""Random programs for support.generator_source: right ones, and ones with one planted mistake.

case = make_case(random.Random(7))                       # right
case = make_case(random.Random(7), MISTAKES["use-after-close"])  # one; case.expected says where
case.run(module)
"""

import gc
import random
from dataclasses import dataclass
from typing import Any, Callable, Optional

from support.generator_source import (
    A_BYTES,
    A_DICT,
    A_LIST,
    A_STR,
    AN_INT,
    BORROWED,
    BOX_TYPE,
    EFFECTS,
    LONG_TYPE,
    LOOKS,
    NONE,
    NULL,
    NUMBERS,
    OWNED,
    PROGRAMS,
    RUN,
    VALUE_ERROR,
    VALUES,
)

# What a program can be given for an operand: beside the values of its own, arguments and constants.
_GIVEN = {
    "int": (AN_INT,),
    "str": (A_STR,),
    "list": (A_LIST,),
    "dict": (A_DICT,),
    "filled dict": (A_DICT,),
    "key": (A_STR,),
    "bytes": (A_BYTES,),
    "type": (LONG_TYPE, VALUE_ERROR),
    "int type": (LONG_TYPE,),
    "box type": (BOX_TYPE,),
    "programs": (PROGRAMS,),
    "run": (RUN,),
    "short": (AN_INT, A_STR, A_BYTES, NONE),
    "any": (AN_INT, A_STR, A_DICT, A_LIST, A_BYTES, NONE, LONG_TYPE),
}
_SHORT = ("int", "str", "float", "bytes", "type")
_PLAIN = [name for name in VALUES if name not in ("PROGRAM", "NESTED")]
# What gets null where a mistake is planted: the API takes it in no operand of these.
# The types of the module, in the order of the tuple of programs.
TYPES = ("Bare", "Noisy", "Shy", "Nosy")
NULLS = (
    *("ADD", "MULTIPLY", "TYPE", "ATTRIBUTE", "ITEM", "LOOK_UP", "SLICE", "PAIR"),
    *("APPEND", "SET_ITEM", "SET_ITEM_S", "LENGTH", "IS_TRUE", "AS_LONG", "CONTAINS", "COMPARE"),
    *("STRUCT", "IS_TUPLE", "TYPE_NAME", "READ_TEXT", "READ_BYTES"),
)


@dataclass
class Expected:
    """What the report of the mistake must say: the kind and the lines, 0 where none is asked for"""

    kind: str
    at: int = 0
    opened: int = 0
    closed: int = 0


@dataclass
class Case:
    """The code of a program, of those that it calls, and what is wrong with it."""

    code: bytes
    programs: tuple[bytes, ...]
    expected: Optional[Expected]
    text: str

    def run(self, module: Any) -> Any:
        """Runs it; ValueError is raised by the program on purpose."""
        types = (getattr(module, name) for name in TYPES)
        programs = (*self.programs, *types, gc.get_referents)
        return module.run(
            self.code, module.run, module.Box, programs, 7, "key", {"key": 1}, [7], b"bytes"
        )

    def script(self) -> str:
        """The same as Python code, for a process in which the module is `mytest`."""
        types = ", ".join(f"mytest.{name}" for name in TYPES)
        programs = f"(*{self.programs!r}, {types}, gc.get_referents)"
        rest = '7, "key", {"key": 1}, [7], b"bytes"'
        return f"mytest.run({self.code!r}, mytest.run, mytest.Box, {programs}, {rest})"


class Program:
    """One program in the making; `owned` has the kind and the opener of each register in use."""

    def __init__(self, rng: random.Random, first_callee: int, callees: int) -> None:
        self.rng = rng
        self.code = bytearray()
        self.lines: list[str] = []
        self.owned: dict[int, tuple[str, str]] = {}
        self.callees = range(first_callee, callees)
        self.full = False  # whether the listed global holds something
        self.expected: Optional[Expected] = None
        self.ended = False

    def emit(self, name: str, d: int = 0, a: int = 0, b: int = 0, c: int = 0) -> None:
        self.code += bytes((NUMBERS[name], d, a, b, c))
        self.lines.append(f"{name} d={d} a={a} b={b} c={c}")

    def free(self) -> int:
        """A register for a new value; one is closed when all are in use."""
        if len(self.owned) > OWNED - 4:
            self.close(self.rng.choice(list(self.owned)))
        return next(r for r in range(OWNED) if r not in self.owned)

    def close(self, register: int) -> str:
        name = self.rng.choice(("CLOSE", "CLOSE_TOO"))
        self.emit(name, a=register)
        del self.owned[register]
        return name

    def pick(self, kind: str) -> int:
        """A register with an open handle of that kind, made if there is none."""
        found = list(_GIVEN.get(kind, ()))
        for register, (its, _) in self.owned.items():
            if its == kind or kind == "any" or (kind == "short" and its in _SHORT):
                found.append(register)
        if not found:
            makers = [name for name in _PLAIN if VALUES[name][1] == kind]
            found.append(self.value(self.rng.choice(makers)))
        return self.rng.choice(found)

    def operands(self, kinds: tuple[str, ...]) -> list[int]:
        """Open handles of those kinds. Making one may have closed another, to have room."""
        while True:
            found = [self.pick(kind) for kind in kinds]
            if all(register in self.owned or register >= OWNED for register in found):
                return found

    def value(self, name: str) -> int:
        operands = self.operands(VALUES[name][2])
        while True:
            register = self.free()
            if all(operand in self.owned or operand >= OWNED for operand in operands):
                break
            operands = self.operands(VALUES[name][2])
        operands += [0] * (2 - len(operands))
        self.emit(name, register, *operands, self.rng.randrange(50))
        self.owned[register] = (VALUES[name][1], name)
        return register

    def new_value(self) -> int:
        names = [name for name in _PLAIN if name != "LOAD_GLOBAL" or self.full]
        return self.value(self.rng.choice(names))

    def effect(self) -> None:
        name = self.rng.choice(list(EFFECTS))
        operands = self.operands(EFFECTS[name][1])
        if name == "APPEND" and operands[0] == operands[1]:
            return
        self.emit(name, 0, *operands)
        self.full |= name == "STORE_GLOBAL"

    def look(self) -> None:
        name = self.rng.choice(list(LOOKS))
        self.emit(name, 0, *self.operands(LOOKS[name][1]))

    def field(self) -> None:
        box = self.value("BOX")
        content = self.pick("any")
        self.emit("STORE_FIELD", a=box, b=content)
        if box in self.owned and self.rng.random() < 0.7:
            register = self.free()
            if box in self.owned:
                self.emit("LOAD_FIELD", register, box)
                self.owned[register] = ("any", "LOAD_FIELD")
        if box in self.owned and self.rng.random() < 0.3:
            self.emit("STORE_FIELD", a=box, b=NULL)

    def builder(self) -> None:
        which = self.rng.choice(("LISTS", "TUPLES"))
        size, slot = self.rng.randrange(4), self.rng.randrange(4)
        self.emit(f"{which}_NEW", a=slot, c=size)
        for index in self.rng.sample(range(size), size):
            self.emit(f"{which}_SET", a=slot, b=self.pick("any"), c=index)
        if self.rng.random() < 0.2:
            self.emit(f"{which}_CANCEL", a=slot)
        else:
            register = self.free()
            self.emit(f"{which}_BUILD", register, slot)
            self.owned[register] = ("any", f"{which}_BUILD")

    def tracker(self) -> None:
        slot = self.rng.randrange(4)
        self.emit("TRACKER_NEW", a=slot, c=self.rng.randrange(3))
        held = []
        for borrowed in self.rng.sample(list(BORROWED), self.rng.randrange(1, 4)):
            register = self.new_value()
            self.emit("COPY", borrowed, register)
            self.emit("TRACKER_ADD", a=slot, b=register)
            self.emit("FORGET", a=register)
            held.append((borrowed, self.owned.pop(register)))
            self.emit("IS_TRUE", a=borrowed)
        if self.rng.random() < 0.3:
            self.emit("TRACKER_FORGET_ALL", a=slot)
            for borrowed, what in held:
                register = self.free()
                self.emit("COPY", register, borrowed)
                self.owned[register] = what
        self.emit("TRACKER_CLOSE", a=slot)

    def leave(self) -> None:
        self.emit("LEAVE")
        self.work()
        self.emit("REENTER")

    def work(self) -> None:
        for _ in range(self.rng.randrange(3)):
            self.emit("WORK", c=self.rng.randrange(256))

    def exception(self) -> None:
        if self.rng.random() < 0.5:
            self.emit("RAISE")
        else:
            self.emit("RAISE_OBJECT", a=VALUE_ERROR, b=self.pick("str"))
        if self.rng.random() < 0.5:
            self.emit("OCCURRED")
        if self.owned and self.rng.random() < 0.5:
            self.close(self.rng.choice(list(self.owned)))
        if self.rng.random() < 0.5:
            self.emit("MATCHES", a=VALUE_ERROR)
        self.emit("CLEAR")

    def nested(self) -> None:
        if self.callees:
            self.call(self.rng.choice(self.callees))

    def call(self, callee: int) -> None:
        """Calls a program. The one with the mistake is called by this only."""
        register = self.free()
        self.emit("PROGRAM", register, PROGRAMS, callee)
        self.owned[register] = ("code", "PROGRAM")
        if callee == FAILING:
            self.emit("NESTED_FAILS", a=register)
            self.emit("MATCHES", a=VALUE_ERROR)
            self.emit("CLEAR")
        else:
            result = next(r for r in range(OWNED) if r not in self.owned)
            self.emit("NESTED", result, register, RUN)
            self.owned[result] = ("any", "NESTED")
        self.close(register)

    def group(self) -> None:
        self.rng.choice(_GROUPS)(self)

    def end(self, fails: bool = False) -> None:
        keep = None if fails else self.new_value()
        for register in list(self.owned):
            if register != keep:
                self.close(register)
        if fails:
            self.emit("RAISE")
        self.emit("RETURN", a=NULL if keep is None else keep)


_GROUPS: list[Callable[[Program], object]] = [
    *[Program.new_value] * 5,
    *[Program.effect] * 4,
    *[Program.look] * 3,
    *(Program.field, Program.builder, Program.tracker, Program.leave, Program.exception),
    Program.nested,
]
# What the tuple of programs has at its end.
FAILING, PLANTED, BARE, NOISY, SHY, NOSY, GET_REFERENTS = range(2, 9)
Plant = Callable[[Program], None]


def _write(rng: random.Random, first: int, plant: Optional[Plant], groups: int) -> Program:
    program = Program(rng, first, 3 if first < 3 else 0)
    at = rng.randrange(groups)
    for number in range(groups):
        if number == at and plant is not None:
            plant(program)
        if program.ended:
            return program
        program.group()
    program.end(fails=first == FAILING + 1)
    return program


def make_case(rng: random.Random, plant: Optional[Plant] = None, within: float = 0.3) -> Case:
    """A program and those that it calls. With `plant`, one of them makes that mistake, once.

    That is one which is called, with the probability `within`.
    """
    called_is_wrong = rng.random() < within
    # 0 calls 1 and 2; 2 fails on purpose; 3 has the mistake, if the main program has not.
    called = [
        _write(rng, 1, None, 4),
        _write(rng, 2, None, 4),
        _write(rng, 3, None, 4),
        _write(rng, 4, plant if called_is_wrong else None, 6),
    ]
    wrong = called[PLANTED]
    main = _write(rng, 0, _call_planted if called_is_wrong else plant, rng.randrange(3, 12))
    if not called_is_wrong:
        wrong = main
    text = "\n".join(main.lines)
    if called_is_wrong:
        text += "\nprogram 3:\n" + "\n".join(wrong.lines)
    return Case(bytes(main.code), tuple(bytes(p.code) for p in called), wrong.expected, text)


def _call_planted(program: Program) -> None:
    program.call(PLANTED)
