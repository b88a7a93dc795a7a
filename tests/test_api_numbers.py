"""Numbers: operators, and conversions between int, float, bool and the types of C."""

import operator
import sys
from typing import Any, Callable

import pytest

from support.api_source import NULL, module_source, outcome
from support.extension import ModuleFactory

OPERATORS = module_source(
    add="return HPy_Add(ctx, args[0], args[1]);",
    sub="return HPy_Subtract(ctx, args[0], args[1]);",
    mul="return HPy_Multiply(ctx, args[0], args[1]);",
    matmul="return HPy_MatrixMultiply(ctx, args[0], args[1]);",
    floordiv="return HPy_FloorDivide(ctx, args[0], args[1]);",
    truediv="return HPy_TrueDivide(ctx, args[0], args[1]);",
    mod="return HPy_Remainder(ctx, args[0], args[1]);",
    divmod="return HPy_Divmod(ctx, args[0], args[1]);",
    lshift="return HPy_Lshift(ctx, args[0], args[1]);",
    rshift="return HPy_Rshift(ctx, args[0], args[1]);",
    and_="return HPy_And(ctx, args[0], args[1]);",
    xor="return HPy_Xor(ctx, args[0], args[1]);",
    or_="return HPy_Or(ctx, args[0], args[1]);",
    pow="return HPy_Power(ctx, args[0], args[1], args[2]);",
    neg="return HPy_Negative(ctx, args[0]);",
    pos="return HPy_Positive(ctx, args[0]);",
    abs="return HPy_Absolute(ctx, args[0]);",
    invert="return HPy_Invert(ctx, args[0]);",
    index="return HPy_Index(ctx, args[0]);",
    int="return HPy_Long(ctx, args[0]);",
    float="return HPy_Float(ctx, args[0]);",
    iadd="return HPy_InPlaceAdd(ctx, args[0], args[1]);",
    isub="return HPy_InPlaceSubtract(ctx, args[0], args[1]);",
    imul="return HPy_InPlaceMultiply(ctx, args[0], args[1]);",
    imatmul="return HPy_InPlaceMatrixMultiply(ctx, args[0], args[1]);",
    ifloordiv="return HPy_InPlaceFloorDivide(ctx, args[0], args[1]);",
    itruediv="return HPy_InPlaceTrueDivide(ctx, args[0], args[1]);",
    imod="return HPy_InPlaceRemainder(ctx, args[0], args[1]);",
    ilshift="return HPy_InPlaceLshift(ctx, args[0], args[1]);",
    irshift="return HPy_InPlaceRshift(ctx, args[0], args[1]);",
    iand="return HPy_InPlaceAnd(ctx, args[0], args[1]);",
    ixor="return HPy_InPlaceXor(ctx, args[0], args[1]);",
    ior="return HPy_InPlaceOr(ctx, args[0], args[1]);",
    ipow="return HPy_InPlacePower(ctx, args[0], args[1], args[2]);",
    check="return truth(ctx, HPyNumber_Check(ctx, MAYBE(0)));",
)

BINARY = ["add", "sub", "mul", "matmul", "floordiv", "truediv", "mod"]
BINARY += ["lshift", "rshift", "and_", "xor", "or_"]
UNARY = ["neg", "pos", "abs", "invert", "index"]


class Recorder:
    """Answers each operator with the name of the special method and its arguments."""

    def __eq__(self, other: object) -> bool:
        return self is other


def _record(name: str) -> Callable[..., object]:
    return lambda self, *args: (name, self, *args)


for _name in BINARY:
    for _prefix in "", "r", "i":
        _special = f"__{_prefix}{_name.rstrip('_')}__"
        setattr(Recorder, _special, _record(_special))
for _name in ["divmod", "rdivmod", "pow", "ipow", "neg", "pos", "abs", "invert"]:
    setattr(Recorder, f"__{_name}__", _record(f"__{_name}__"))

VALUES = [0, 3, -7, 2**70, True, 2.5, "text", [1], None, 1j]


@pytest.mark.parametrize("name", [*BINARY, "divmod"])
def test_binary(hpy_module: ModuleFactory, name: str) -> None:
    mod = hpy_module(OPERATORS)
    function, wanted = getattr(mod, name), getattr(operator, name, divmod)
    for left in VALUES:
        for right in VALUES:
            if "shift" in name and right == 2**70:
                continue
            got = outcome(function, left, right)
            assert got == outcome(wanted, left, right)
            assert repr(got) == repr(outcome(wanted, left, right))
    thing = Recorder()
    assert function(thing, 1) == (f"__{name.rstrip('_')}__", thing, 1)
    assert function(1, thing) == (f"__r{name.rstrip('_')}__", thing, 1)


@pytest.mark.parametrize("name", BINARY)
def test_in_place(hpy_module: ModuleFactory, name: str) -> None:
    mod = hpy_module(OPERATORS)
    special = "i" + name.rstrip("_")
    function, wanted = getattr(mod, special), getattr(operator, special)
    for left in VALUES:
        for right in VALUES:
            if "shift" in name and right == 2**70:
                continue
            if isinstance(left, list):
                continue  # changed by the operator: below
            assert outcome(function, left, right) == outcome(wanted, left, right)
    thing = Recorder()
    assert function(thing, 1) == (f"__{special}__", thing, 1)
    with pytest.raises(TypeError, match="unsupported operand"):
        function(object(), 1)


def test_in_place_changes_the_object(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OPERATORS)
    values, some, other = [1], {1}, {1: 1}
    assert mod.iadd(values, (2, 3)) is values
    assert mod.imul(values, 2) is values
    assert values == [1, 2, 3, 1, 2, 3]
    assert mod.ior(some, {2}) is some
    assert mod.ior(other, {2: 2}) is other
    assert (some, other) == ({1, 2}, {1: 1, 2: 2})


def test_power(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OPERATORS)
    for function in mod.pow, mod.ipow:
        assert function(2, 10, None) == 1024
        assert function(2, 10, 1000) == 24
        assert function(2, -1, None) == 0.5
        assert function(3, -1, 7) == 5
        with pytest.raises(ValueError, match="pow"):
            function(2, 2, 0)
        with pytest.raises(TypeError):
            function("2", 2, None)
        with pytest.raises(TypeError):
            function(2.0, 2, 5)
        with pytest.raises(ZeroDivisionError):
            function(0, -1, None)
    thing = Recorder()
    assert mod.pow(thing, 1, None) == ("__pow__", thing, 1)
    assert mod.pow(thing, 1, 2) == ("__pow__", thing, 1, 2)
    assert mod.ipow(thing, 1, None)[:3] == ("__ipow__", thing, 1)


@pytest.mark.parametrize("name", UNARY)
def test_unary(hpy_module: ModuleFactory, name: str) -> None:
    mod = hpy_module(OPERATORS)
    function, wanted = getattr(mod, name), getattr(operator, name)
    for value in 0, 3, -7, 2**70, True, 2.5, -2.5, "text", None, 1j:
        if isinstance(value, bool) and name == "invert":
            continue  # deprecated since CPython 3.12
        assert outcome(function, value) == outcome(wanted, value)
    if name != "index":
        thing = Recorder()
        assert function(thing) == (f"__{name}__", thing)


class Int:
    def __int__(self) -> int:
        return 5


class Index:
    def __index__(self) -> int:
        return 7


class Float:
    def __float__(self) -> float:
        return 0.25


class WrongResult:
    def __index__(self) -> Any:
        return "7"

    __int__ = __float__ = __index__


def test_to_a_number(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OPERATORS)
    values: list[object] = [True, 2.75, "42", b"42", "4x", "0.5", Int(), Index(), Float()]
    values += [WrongResult(), None, float("nan"), float("inf"), 1j, [], 2**70, 10**400]
    for value in values:
        got = outcome(mod.int, value)
        assert got == outcome(int, value)
        assert type(got) is type(outcome(int, value))
        got = outcome(mod.float, value)
        assert repr(got) == repr(outcome(float, value))
        assert outcome(mod.index, value) == outcome(operator.index, value)


def test_number_check(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OPERATORS)
    value: object
    for value in 1, 2.5, True, 1j, Int(), Index(), Float():
        assert mod.check(value) == 1
    for value in "1", None, [], object():
        assert mod.check(value) == 0
    assert mod.check(NULL) == 0


# --------------------------------------------------------------------------------------------------
# Types of C

# from_T(value modulo 2**64) and as_T(object).
INTEGERS = module_source(
    """
    #define BITS(i) HPyLong_AsUnsignedLongLongMask(ctx, args[i])
    """,
    from_int32="return HPyLong_FromInt32_t(ctx, (int32_t)BITS(0));",
    from_uint32="return HPyLong_FromUInt32_t(ctx, (uint32_t)BITS(0));",
    from_int64="return HPyLong_FromInt64_t(ctx, (int64_t)BITS(0));",
    from_uint64="return HPyLong_FromUInt64_t(ctx, (uint64_t)BITS(0));",
    from_size="return HPyLong_FromSize_t(ctx, (size_t)BITS(0));",
    from_ssize="return HPyLong_FromSsize_t(ctx, (HPy_ssize_t)BITS(0));",
    from_long="return HPyLong_FromLong(ctx, (long)BITS(0));",
    from_unsigned_long="return HPyLong_FromUnsignedLong(ctx, (unsigned long)BITS(0));",
    from_long_long="return HPyLong_FromLongLong(ctx, (long long)BITS(0));",
    from_unsigned_long_long="return HPyLong_FromUnsignedLongLong(ctx, BITS(0));",
    as_int32="""
        int32_t value = HPyLong_AsInt32_t(ctx, args[0]);
        if (value == -1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromInt32_t(ctx, value);
    """,
    as_uint32="""
        uint32_t value = HPyLong_AsUInt32_t(ctx, args[0]);
        if (value == (uint32_t)-1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromUInt32_t(ctx, value);
    """,
    as_uint32_mask="""
        uint32_t value = HPyLong_AsUInt32_tMask(ctx, args[0]);
        if (value == (uint32_t)-1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromUInt32_t(ctx, value);
    """,
    as_int64="""
        int64_t value = HPyLong_AsInt64_t(ctx, args[0]);
        if (value == -1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromInt64_t(ctx, value);
    """,
    as_uint64="""
        uint64_t value = HPyLong_AsUInt64_t(ctx, args[0]);
        if (value == (uint64_t)-1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromUInt64_t(ctx, value);
    """,
    as_uint64_mask="""
        uint64_t value = HPyLong_AsUInt64_tMask(ctx, args[0]);
        if (value == (uint64_t)-1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromUInt64_t(ctx, value);
    """,
    as_size="""
        size_t value = HPyLong_AsSize_t(ctx, args[0]);
        if (value == (size_t)-1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromSize_t(ctx, value);
    """,
    as_ssize="""
        HPy_ssize_t value = HPyLong_AsSsize_t(ctx, args[0]);
        if (value == -1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromSsize_t(ctx, value);
    """,
    as_long="""
        long value = HPyLong_AsLong(ctx, args[0]);
        if (value == -1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromLong(ctx, value);
    """,
    as_unsigned_long="""
        unsigned long value = HPyLong_AsUnsignedLong(ctx, args[0]);
        if (value == (unsigned long)-1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromUnsignedLong(ctx, value);
    """,
    as_unsigned_long_mask="""
        unsigned long value = HPyLong_AsUnsignedLongMask(ctx, args[0]);
        if (value == (unsigned long)-1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromUnsignedLong(ctx, value);
    """,
    as_long_long="""
        long long value = HPyLong_AsLongLong(ctx, args[0]);
        if (value == -1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromLongLong(ctx, value);
    """,
    as_unsigned_long_long="""
        unsigned long long value = HPyLong_AsUnsignedLongLong(ctx, args[0]);
        if (value == (unsigned long long)-1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromUnsignedLongLong(ctx, value);
    """,
    as_unsigned_long_long_mask="""
        unsigned long long value = HPyLong_AsUnsignedLongLongMask(ctx, args[0]);
        if (value == (unsigned long long)-1 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromUnsignedLongLong(ctx, value);
    """,
    as_void_ptr="""
        void *value = HPyLong_AsVoidPtr(ctx, args[0]);
        if (value == NULL && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyLong_FromSsize_t(ctx, (HPy_ssize_t)(intptr_t)value);
    """,
    as_double="""
        double value = HPyLong_AsDouble(ctx, args[0]);
        if (value == -1.0 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyFloat_FromDouble(ctx, value);
    """,
    float_as_double="""
        double value = HPyFloat_AsDouble(ctx, args[0]);
        if (value == -1.0 && HPyErr_Occurred(ctx)) return HPy_NULL;
        return HPyFloat_FromDouble(ctx, value);
    """,
    bool_from_bool="return HPyBool_FromBool(ctx, BITS(0) != 0);",
    bool_from_long="return HPyBool_FromLong(ctx, (long)BITS(0));",
)

LONG = 8 * (8 if sys.maxsize > 2**32 else 4)
# Name: bits, signed, and whether __index__ is asked.
TYPES = {
    "int32": (32, True, True),
    "uint32": (32, False, False),
    "int64": (64, True, True),
    "uint64": (64, False, False),
    "size": (LONG, False, False),
    "ssize": (LONG, True, False),
    "long": (LONG, True, True),
    "unsigned_long": (LONG, False, False),
    "long_long": (64, True, True),
    "unsigned_long_long": (64, False, False),
}


def limits(bits: int, signed: bool) -> tuple[int, int]:
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


@pytest.mark.parametrize("name", TYPES)
def test_from_integer(hpy_module: ModuleFactory, name: str) -> None:
    function = getattr(hpy_module(INTEGERS), "from_" + name)
    low, high = limits(*TYPES[name][:2])
    for value in low, low + 1, -1, 0, 1, 5, 1000, high - 1, high:
        if low <= value <= high:
            assert function(value) == value


@pytest.mark.parametrize("name", TYPES)
def test_as_integer(hpy_module: ModuleFactory, name: str) -> None:
    function = getattr(hpy_module(INTEGERS), "as_" + name)
    bits, signed, index = TYPES[name]
    low, high = limits(bits, signed)
    for value in low, low + 1, -1, 0, 1, 5, True, high - 1, high:
        if low <= value <= high:
            assert function(value) == value
    for value in low - 1, high + 1, -(2**64), 2**64, 2**200, -(2**200):
        with pytest.raises(OverflowError):
            function(value)
    wrong: list[object] = ["1", b"1", None, 1j, [], Float(), WrongResult()]
    if index:
        assert function(Index()) == 7
    else:
        wrong.append(Index())
    # Up to CPython 3.9 __int__ is asked where __index__ is now.
    if not index or sys.version_info >= (3, 10):
        wrong += [Int(), 1.5, 1.0]
    for thing in wrong:
        with pytest.raises(TypeError):
            function(thing)


def test_texts_of_32_bits(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(INTEGERS)
    for function, name, value in [
        (mod.as_int32, "int32_t", 2**31),
        (mod.as_int32, "int32_t", -(2**31) - 1),
        (mod.as_uint32, "uint32_t", 2**32),
    ]:
        with pytest.raises(OverflowError) as caught:
            function(value)
        assert str(caught.value) == f"Python int too large to convert to C {name}"


@pytest.mark.parametrize(
    ("name", "bits"),
    [("uint32", 32), ("uint64", 64), ("unsigned_long", LONG), ("unsigned_long_long", 64)],
)
def test_masks(hpy_module: ModuleFactory, name: str, bits: int) -> None:
    function = getattr(hpy_module(INTEGERS), f"as_{name}_mask")
    values = [0, 1, -1, 2**31, 2**32, 2**32 - 1, -(2**31), 2**64 + 3, 2**200 + 9, -(2**100) - 1]
    for value in [*values, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFFFF]:
        assert function(value) == value % 2**bits
    assert function(Index()) == 7
    thing: Any
    for thing in "1", None, [], WrongResult():
        with pytest.raises(TypeError):
            function(thing)


def test_void_pointer(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(INTEGERS)
    assert mod.as_void_ptr(0) == 0
    assert mod.as_void_ptr(id(mod)) == id(mod)
    assert mod.as_void_ptr(-1) == -1
    for thing in "0", None, 1.5, Index():
        with pytest.raises(TypeError):
            mod.as_void_ptr(thing)
    with pytest.raises(OverflowError):
        mod.as_void_ptr(2**100)


def test_int_as_double(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(INTEGERS)
    for value in 0, -1, 1, 2**53, -(2**70), True:
        assert mod.as_double(value) == float(value)
    for thing in 1.5, "1", None, Index(), Float():
        with pytest.raises(TypeError):
            mod.as_double(thing)
    with pytest.raises(OverflowError):
        mod.as_double(10**400)


def test_float(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(INTEGERS)
    for value in 0.0, -1.0, 1.5, 1e308, float("inf"), 5e-324:
        assert mod.float_as_double(value) == value
    assert repr(mod.float_as_double(-0.0)) == "-0.0"
    assert repr(mod.float_as_double(float("nan"))) == "nan"
    assert mod.float_as_double(3) == 3.0
    assert mod.float_as_double(Float()) == 0.25
    assert mod.float_as_double(Index()) == 7.0
    for thing in "1", None, Int(), WrongResult(), 1j:
        with pytest.raises(TypeError):
            mod.float_as_double(thing)
    with pytest.raises(OverflowError):
        mod.float_as_double(10**400)


def test_bool(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(INTEGERS)
    for function in mod.bool_from_bool, mod.bool_from_long:
        assert function(0) is False
        for value in 1, -1, 256, 2**32:
            assert function(value) is True
