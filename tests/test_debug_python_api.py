"""hpy.universal._debug and the type DebugHandle, as programs of the older releases use them."""

import operator
import re
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from hpy.universal import _debug
from support.child import PythonRunner

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = """
#include "hpy.h"

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);  /* leaks */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(f, "f", HPyFunc_O)
static HPy f_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(open_and_close, "open_and_close", HPyFunc_O)
static HPy open_and_close_impl(HPyContext *ctx, HPy self, HPy arg)
{
    long count = HPyLong_AsLong(ctx, arg);
    for (long i = 0; i < count; i++)
        HPy_Close(ctx, HPy_Dup(ctx, ctx->h_None));
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(close_twice, "close_twice", HPyFunc_O)
static HPy close_twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    HPy_Close(ctx, h);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(use_closed, "use_closed", HPyFunc_O)
static HPy use_closed_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    return HPy_Repr(ctx, h);
}

HPyDef_METH(return_argument, "return_argument", HPyFunc_O)
static HPy return_argument_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return arg;
}

HPyDef_METH(return_self, "return_self", HPyFunc_NOARGS)
static HPy return_self_impl(HPyContext *ctx, HPy self)
{
    return self;
}

HPyDef_METH(return_first, "return_first", HPyFunc_VARARGS)
static HPy return_first_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return args[0];
}

HPyDef_METH(close_argument, "close_argument", HPyFunc_O)
static HPy close_argument_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Close(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(return_constant, "return_constant", HPyFunc_NOARGS)
static HPy return_constant_impl(HPyContext *ctx, HPy self)
{
    return ctx->h_None;
}

HPyDef_METH(close_constant, "close_constant", HPyFunc_NOARGS)
static HPy close_constant_impl(HPyContext *ctx, HPy self)
{
    HPy_Close(ctx, ctx->h_None);
    return HPy_Dup(ctx, ctx->h_None);
}

static HPy kept;

HPyDef_METH(keep_argument, "keep_argument", HPyFunc_O)
static HPy keep_argument_impl(HPyContext *ctx, HPy self, HPy arg)
{
    kept = arg;
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(use_kept, "use_kept", HPyFunc_NOARGS)
static HPy use_kept_impl(HPyContext *ctx, HPy self)
{
    return HPy_Dup(ctx, kept);
}
"""

NO_TRACE = (
    "To get the stack trace of where it was allocated use:\nhpy.debug.set_handle_stack_trace_limit"
)


@pytest.fixture
def mod(hpy_module: Any) -> Any:
    return hpy_module(SOURCE)


@pytest.fixture(autouse=True)
def _limits_are_brought_back() -> Iterator[None]:
    size = _debug.get_closed_handles_queue_max_size()
    raw = _debug.get_protected_raw_data_max_size()
    yield
    _debug.set_closed_handles_queue_max_size(size)
    _debug.set_protected_raw_data_max_size(raw)
    _debug.set_on_invalid_handle(None)
    _debug.set_on_invalid_builder_handle(None)
    _debug.set_handle_stack_trace_limit(16)


def leaked(mod: Any, obj: Any) -> Any:
    """The DebugHandle of a handle that was left open."""
    generation = _debug.new_generation()
    mod.leak(obj)
    (handle,) = _debug.get_open_handles(generation)
    return handle


def test_module_object(run_python: PythonRunner) -> None:
    assert _debug.__name__ == "hpy.debug._debug"
    assert _debug.DebugHandle.__module__ == "hpy.debug._debug"
    assert _debug.DebugHandle.__qualname__ == "DebugHandle"
    done = run_python(
        """
        import sys
        import hpy.universal
        assert "hpy.debug._native" not in sys.modules, "only who asks for it loads it"
        print(hpy.universal._debug.new_generation())
        assert "hpy.debug._debug" not in sys.modules
        """
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_generations(mod: Any) -> None:
    first = _debug.new_generation()
    mod.leak("a")
    mod.leak("b")
    second = _debug.new_generation()
    assert second == first + 1
    mod.leak("c")
    assert [handle.obj for handle in _debug.get_open_handles(first)] == ["a", "b", "c"]
    assert [handle.obj for handle in _debug.get_open_handles(second)] == ["c"]
    assert _debug.get_open_handles(second + 1) == []


def test_generation_0_has_the_constants(run_python: PythonRunner) -> None:
    done = run_python(
        "from hpy.universal import _debug\n"
        "handles = _debug.get_open_handles(0)\n"
        "print(len(handles), type(handles), handles[0].obj)\n"
    )
    assert done.stdout == "84 <class 'list'> None\n"


def test_wrong_arguments() -> None:
    for arguments in ((), ("1",), (None,), (1, 2)):
        with pytest.raises(TypeError):
            _debug.get_open_handles(*arguments)
    with pytest.raises(
        TypeError, match=r"^get_closed_handles expects no arguments or exactly one argument$"
    ):
        _debug.get_closed_handles(1, 2)
    for setter in (
        _debug.set_closed_handles_queue_max_size,
        _debug.set_protected_raw_data_max_size,
    ):
        with pytest.raises(OverflowError):
            setter(-1)
        with pytest.raises(TypeError):
            setter("10")
        with pytest.raises(TypeError):
            setter()
    for hook in (_debug.set_on_invalid_handle, _debug.set_on_invalid_builder_handle):
        with pytest.raises(TypeError, match=r"^Expected a callable object$"):
            hook("not callable")
    with pytest.raises(TypeError):
        _debug.set_handle_stack_trace_limit("16")
    with pytest.raises(OverflowError):
        _debug.set_handle_stack_trace_limit(1 << 80)


def test_setters_return_none() -> None:
    assert _debug.set_closed_handles_queue_max_size(1000) is None
    assert _debug.get_closed_handles_queue_max_size() == 1000
    assert _debug.set_protected_raw_data_max_size(2000) is None
    assert _debug.get_protected_raw_data_max_size() == 2000
    for value in (3, 0, -1, None):
        assert _debug.set_handle_stack_trace_limit(value) is None
    for hook in (lambda: None, None):
        assert _debug.set_on_invalid_handle(hook) is None
        assert _debug.set_on_invalid_builder_handle(hook) is None


def test_defaults(run_python: PythonRunner) -> None:
    done = run_python(
        "from hpy.universal import _debug as d\n"
        "print(d.get_closed_handles_queue_max_size(), d.get_protected_raw_data_max_size())"
    )
    assert done.stdout == "1024 10485760\n"


# DebugHandle.


def test_two_lists_have_equal_handles(mod: Any) -> None:
    generation = _debug.new_generation()
    mod.leak("hello")
    mod.leak("hello")
    one, two = (_debug.get_open_handles(generation) for _ in range(2))
    assert one == two
    assert [handle.id for handle in one] == [handle.id for handle in two]
    assert one[0] is not two[0]
    assert one[0] != one[1], "two handles of one object"
    assert one[0].id != one[1].id
    assert one[0].obj is one[1].obj


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_no_order(mod: Any, compare: Callable[[Any, Any], bool]) -> None:
    handle = leaked(mod, 1)
    for other in (handle, "hello"):
        with pytest.raises(TypeError):
            compare(handle, other)


def test_compared_with_something_else(mod: Any) -> None:
    handle = leaked(mod, "hello")
    assert (handle == "hello") is False
    assert (handle != "hello") is True


def test_not_hashable_and_not_made_by_hand(mod: Any) -> None:
    handle = leaked(mod, 1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(handle)
    with pytest.raises(TypeError):
        _debug.DebugHandle()
    for name in ("obj", "id", "is_closed", "raw_data_size"):
        with pytest.raises(AttributeError):
            setattr(handle, name, 1)


def test_repr_without_a_trace(mod: Any) -> None:
    _debug.set_handle_stack_trace_limit(None)
    handle = leaked(mod, "hello")
    assert repr(handle) == f"<DebugHandle 0x{handle.id:x} for 'hello'>\n{NO_TRACE}"
    assert str(handle) == repr(handle)
    handle._force_close()
    assert repr(handle) == f"<DebugHandle 0x{handle.id:x} CLOSED>\n{NO_TRACE}"


def test_repr_with_a_trace(mod: Any, line_of: Any) -> None:
    handle = leaked(mod, "hello")
    lines = repr(handle).split("\n")
    assert lines[0] == f"<DebugHandle 0x{handle.id:x} for 'hello'>"
    assert lines[1] == "Allocation stacktrace:"
    assert re.match(r"\S+mytest\.hpy0\.so\(\+0x[\da-f]+\) \[0x[\da-f]+\]", lines[2])
    assert f"leak_impl at {lines[2].rpartition(' at ')[2]}" in lines[2]
    assert lines[2].endswith(f"mytest.c:{line_of(SOURCE, '/* leaks */')}")
    assert lines[-1] != ""
    handle._force_close()
    assert repr(handle).startswith(f"<DebugHandle 0x{handle.id:x} CLOSED>\nAllocation stacktrace:")


def test_repr_of_an_object_that_fails(mod: Any) -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("cannot be shown")

    with pytest.raises(RuntimeError, match="cannot be shown"):
        repr(leaked(mod, Unprintable()))


def test_force_close(mod: Any) -> None:
    generation = _debug.new_generation()
    mod.leak("hello")
    (handle,) = _debug.get_open_handles(generation)
    assert handle.is_closed is False
    assert handle.raw_data_size == -1
    assert handle._force_close() is None
    assert handle.is_closed is True
    assert _debug.get_open_handles(generation) == []
    assert handle in _debug.get_closed_handles()
    calls: list[int] = []
    _debug.set_on_invalid_handle(lambda: calls.append(1))
    handle._force_close()
    assert calls == [1]


def test_force_close_of_a_closed_one_is_fatal(hpy_module: Any, run_python: PythonRunner) -> None:
    done = run_python(
        """
        import mytest
        from hpy.universal import _debug
        generation = _debug.new_generation()
        mytest.leak("hello")
        handle, = _debug.get_open_handles(generation)
        handle._force_close()
        handle._force_close()
        """,
        module=hpy_module.build(SOURCE),
    )
    assert done.returncode == -6
    assert "Invalid usage of already closed handle" in done.stderr


def test_closing_gives_the_object_back(mod: Any) -> None:
    import weakref

    class Object:
        pass

    obj = Object()
    alive = weakref.ref(obj)
    handle = leaked(mod, obj)
    del obj
    assert alive() is not None
    handle._force_close()
    assert alive() is None
    assert repr(handle).startswith(f"<DebugHandle 0x{handle.id:x} CLOSED>\n")


# Closed handles.


@pytest.mark.promise("DBG-35")
def test_closed_handles_of_a_generation(mod: Any) -> None:
    _debug.new_generation()
    mod.f(0)
    generation = _debug.new_generation()
    mod.f(1)
    # self, the argument and the result
    assert len(_debug.get_closed_handles(generation)) == 3
    assert len(_debug.get_closed_handles()) > 3
    assert all(handle.is_closed for handle in _debug.get_closed_handles())


def test_queue_grows_to_its_size_and_stays(mod: Any) -> None:
    mod.f(0)
    n = len(_debug.get_closed_handles())
    _debug.set_closed_handles_queue_max_size(n + 7)
    lengths = []
    for _ in range(4):
        mod.f(0)
        lengths.append(len(_debug.get_closed_handles()))
    assert lengths == [n + 3, n + 6, n + 7, n + 7]


def test_old_records_are_used_first(mod: Any) -> None:
    mod.open_and_close(100)
    old = _debug.get_closed_handles()
    n = len(old)
    _debug.set_closed_handles_queue_max_size(n)
    # It opens its own three handles too.
    generation = _debug.new_generation()
    mod.open_and_close(n - 2)
    assert len(_debug.get_closed_handles()) == n
    assert len(_debug.get_closed_handles(generation)) == n


def test_smaller_queue_drops_nothing_by_itself_and_is_reused_in_order(mod: Any) -> None:
    mod.open_and_close(50)
    old = _debug.get_closed_handles()
    assert len(old) > 10
    _debug.set_closed_handles_queue_max_size(1)
    assert len(_debug.get_closed_handles()) == len(old)
    for _ in range(2):
        old = _debug.get_closed_handles()
        obj = object()
        # Records are taken in the order self, argument, duplicate, result.
        mod.leak(obj)
        assert old[2].obj is obj
        assert not old[2].is_closed
        assert len(_debug.get_closed_handles()) >= 3


def test_queue_of_size_0(mod: Any) -> None:
    _debug.set_closed_handles_queue_max_size(0)
    for i in range(100):
        mod.f(i)
    mod.open_and_close(10)


# The older hooks.


@pytest.fixture
def calls() -> list[int]:
    made: list[int] = []
    _debug.set_on_invalid_handle(lambda: made.append(1))
    return made


def test_hook_is_not_called_for_what_is_right(mod: Any, calls: list[int]) -> None:
    mod.f(1)
    mod.open_and_close(3)
    assert calls == []


@pytest.mark.promise("DBG-36")
@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [
        ("close_twice", (1,), None),
        ("use_closed", ("x",), "'x'"),
        ("return_argument", ("x",), "x"),
        ("return_self", (), ...),
        ("return_first", ("x", "y"), "x"),
        ("close_argument", ("x",), None),
    ],
)
def test_hook_is_called_once(
    mod: Any, calls: list[int], function: str, arguments: tuple[Any, ...], result: Any
) -> None:
    returned = getattr(mod, function)(*arguments)
    assert calls == [1]
    if result is ...:
        assert returned is mod
    else:
        assert returned == result


def test_hook_for_an_argument_that_was_kept(mod: Any, calls: list[int]) -> None:
    obj = object()
    mod.keep_argument(obj)
    assert calls == []
    assert mod.use_kept() is obj
    assert calls == [1]


def test_hook_that_raises(mod: Any, capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise KeyError("in the hook")

    _debug.set_on_invalid_handle(fail)
    # The exception stays set, and surfaces where the interpreter next looks for one.
    with pytest.raises((KeyError, SystemError)):
        mod.use_closed("x")
    told = "Error when executing the on_invalid_handle callback"
    assert told in capfd.readouterr().err


@pytest.mark.parametrize("function", ["close_twice(1)", "return_constant()", "close_constant()"])
def test_without_a_hook_it_is_fatal(
    hpy_module: Any, run_python: PythonRunner, function: str
) -> None:
    done = run_python(f"import mytest; mytest.{function}", module=hpy_module.build(SOURCE))
    assert done.returncode == -6
    assert "Invalid usage of already closed handle" in done.stderr


# Traces.


@pytest.mark.promise("DBG-32")
def test_limit_of_the_traces(hpy_module: Any, line_of: Any) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        static __attribute__((noinline)) void inner(HPyContext *ctx, HPy h) { HPy_Dup(ctx, h); }
        static __attribute__((noinline)) void middle(HPyContext *ctx, HPy h) { inner(ctx, h); }

        HPyDef_METH(leak, "leak", HPyFunc_O)
        static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            middle(ctx, arg);
            return HPy_Dup(ctx, ctx->h_None);
        }
        """
    )

    def functions(limit: Any) -> list[str]:
        _debug.set_handle_stack_trace_limit(limit)
        text = repr(leaked(mod, 1))
        return re.findall(r" in (\w+) at ", text)

    assert functions(16)[:3] == ["inner", "middle", "leak_impl"]
    for nothing in (None, 0, -1):
        assert functions(nothing) == []
    assert functions(1000)[:3] == ["inner", "middle", "leak_impl"]
