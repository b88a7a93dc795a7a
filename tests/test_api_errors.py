"""Exceptions and warnings: raising, asking, clearing, reporting; the fatal error."""

import errno
import os
import sys
import warnings
from typing import Any, Callable

import pytest

from support.api_source import NULL, module_source
from support.child import PythonRunner
from support.extension import ModuleFactory

ERRORS = module_source(
    "#include <errno.h>\n",
    set_string="return HPyErr_SetString(ctx, args[0], TEXT(1));",
    set_object="return HPyErr_SetObject(ctx, args[0], MAYBE(1));",
    no_memory="return HPyErr_NoMemory(ctx);",
    # from_errno(errno, type[, filename[, filename2]])
    from_errno="""
        errno = (int)HPyLong_AsLong(ctx, args[0]);
        switch (nargs) {
            case 2: return HPyErr_SetFromErrno(ctx, args[1]);
            case 3: return HPyErr_SetFromErrnoWithFilenameObject(ctx, args[1], MAYBE(2));
            default:
                return HPyErr_SetFromErrnoWithFilenameObjects(ctx, args[1], MAYBE(2), MAYBE(3));
        }
    """,
    from_errno_with_filename="""
        const char *filename = TEXT(2);
        errno = (int)HPyLong_AsLong(ctx, args[0]);
        return HPyErr_SetFromErrnoWithFilename(ctx, args[1], filename);
    """,
    # occurred(type or NULL): whether there is an exception before, between and after.
    occurred="""
        int before = HPyErr_Occurred(ctx), between, after;
        HPyErr_SetString(ctx, ctx->h_ValueError, "one that is cleared");
        between = HPyErr_Occurred(ctx);
        HPyErr_Clear(ctx);
        after = HPyErr_Occurred(ctx);
        HPyErr_Clear(ctx);
        return HPy_BuildValue(ctx, "iii", before, between, after);
    """,
    # matches(function, type): calls the function and asks about its exception.
    matches="""
        HPy type = MAYBE(1);
        HPy result = HPy_CallTupleDict(ctx, args[0], HPy_NULL, HPy_NULL);
        int matches;
        if (!HPy_IsNull(result)) {
            HPy_Close(ctx, result);
            return truth(ctx, HPyErr_ExceptionMatches(ctx, type));
        }
        matches = HPyErr_ExceptionMatches(ctx, type);
        HPyErr_Clear(ctx);
        return HPyLong_FromLong(ctx, matches);
    """,
    # clear(function): calls it, clears, and calls `after`.
    clear="""
        HPy result = HPy_CallTupleDict(ctx, args[0], HPy_NULL, HPy_NULL);
        if (!HPy_IsNull(result)) HPy_Close(ctx, result);
        HPyErr_Clear(ctx);
        return HPy_CallTupleDict(ctx, args[1], HPy_NULL, HPy_NULL);
    """,
    new_exception="return HPyErr_NewException(ctx, TEXT(0), MAYBE(1), MAYBE(2));",
    new_exception_with_doc="""
        return HPyErr_NewExceptionWithDoc(ctx, TEXT(0), TEXT(1), MAYBE(2), MAYBE(3));
    """,
    warn="return status(ctx, HPyErr_WarnEx(ctx, MAYBE(0), TEXT(1), SIZE(2)));",
    # unraisable(function, object): what the function raises is written.
    unraisable="""
        HPy result = HPy_CallTupleDict(ctx, args[0], HPy_NULL, HPy_NULL);
        if (!HPy_IsNull(result)) HPy_Close(ctx, result);
        HPyErr_WriteUnraisable(ctx, MAYBE(1));
        return truth(ctx, HPyErr_Occurred(ctx));
    """,
    fatal="HPy_FatalError(ctx, TEXT(0));",
)


class Error(Exception):
    def __init__(self, *args: object) -> None:
        super().__init__("made", *args)


def divide() -> object:
    return 1 // 0


def fail(error: BaseException) -> Any:
    raise error


@pytest.mark.promise("API-27")
def test_set_string(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ERRORS)
    for cls in ValueError, KeyError, OSError, KeyboardInterrupt, Error:
        for text in "", "text", "\xe4\N{SNAKE} %s %d":
            with pytest.raises(cls) as caught:
                mod.set_string(cls, text.encode())
            assert type(caught.value) is cls
            assert caught.value.args[-1] == text
    with pytest.raises(ValueError):  # noqa: PT011 - UnicodeDecodeError, from CPython 3.10 on
        mod.set_string(ValueError, b"\xff")
    with pytest.raises(SystemError, match="not a BaseException subclass"):
        mod.set_string(1, b"text")
    with pytest.raises(SystemError, match="not a BaseException subclass"):
        mod.set_string(int, b"text")


def test_set_object(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ERRORS)
    for value, args in [("text", ("text",)), (5, (5,)), ((1, 2), (1, 2)), (None, ()), (NULL, ())]:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            mod.set_object(ValueError, value)
        assert caught.value.args == args
    error = ValueError("ready")
    with pytest.raises(ValueError, match="ready") as caught:
        mod.set_object(ValueError, error)
    assert caught.value is error
    with pytest.raises(Error) as other:
        mod.set_object(Error, 3)
    assert other.value.args == ("made", 3)
    with pytest.raises(SystemError, match="not a BaseException subclass"):
        mod.set_object(1, "text")


def test_context_of_an_exception(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ERRORS)
    try:
        divide()
    except ZeroDivisionError:
        with pytest.raises(ValueError, match="second") as caught:
            mod.set_string(ValueError, b"second")
    assert type(caught.value.__context__) is ZeroDivisionError


def test_no_memory(hpy_module: ModuleFactory) -> None:
    with pytest.raises(MemoryError):
        hpy_module(ERRORS).no_memory()


def test_errno(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ERRORS)
    for number, cls in [
        (errno.ENOENT, FileNotFoundError),
        (errno.EACCES, PermissionError),
        (errno.EBADF, OSError),
        (errno.EPIPE, BrokenPipeError),
    ]:
        for names in (), ("one",), (NULL,), ("one", "two"), (NULL, NULL), ("one", NULL):
            with pytest.raises(OSError) as caught:  # noqa: PT011
                mod.from_errno(number, OSError, *names)
            error = caught.value
            assert type(error) is cls
            assert (error.errno, error.strerror) == (number, os.strerror(number))
            given = [name for name in names if name is not NULL]
            assert [n for n in (error.filename, error.filename2) if n is not None] == given
        for name in b"a name", b"\xff", b"", NULL:
            with pytest.raises(OSError) as caught:  # noqa: PT011
                mod.from_errno_with_filename(number, OSError, name)
            wanted = None if name is NULL else os.fsdecode(name)
            assert (caught.value.filename, caught.value.filename2) == (wanted, None)
            assert caught.value.errno == number
    with pytest.raises(TimeoutError) as timeout:
        mod.from_errno(errno.ETIMEDOUT, TimeoutError)
    assert timeout.value.errno == errno.ETIMEDOUT
    with pytest.raises(ValueError) as other:  # noqa: PT011
        mod.from_errno(errno.EBADF, ValueError, "name")
    assert other.value.args == (errno.EBADF, os.strerror(errno.EBADF), "name")
    # Without an error number there is nothing to say.
    with pytest.raises(OSError, match="Error") as caught:
        mod.from_errno(0, OSError)
    assert caught.value.errno == 0


@pytest.mark.promise("API-27")
def test_occurred_and_clear(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ERRORS)
    assert mod.occurred() == (0, 1, 0)
    assert mod.clear(divide, sys.exc_info) == (None, None, None)
    assert mod.clear(dict, dict) == {}
    # An exception that is being handled stays.
    try:
        divide()
    except ZeroDivisionError:
        assert mod.occurred() == (0, 1, 0)
        assert mod.clear(dict, sys.exc_info)[0] is ZeroDivisionError


@pytest.mark.promise("API-27")
def test_exception_matches(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ERRORS)
    for cls in ZeroDivisionError, ArithmeticError, BaseException, (KeyError, ZeroDivisionError):
        assert mod.matches(divide, cls) == 1
    for wrong in KeyError, (), (KeyError, (OSError,)), NULL, 5:
        assert mod.matches(divide, wrong) == 0
    assert mod.matches(divide, (KeyError, (OSError, ArithmeticError))) == 1
    assert mod.matches(dict, BaseException) == 0  # nothing was raised
    assert mod.matches(dict, NULL) == 0


def test_new_exception(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ERRORS)
    makers: list[Callable[..., Any]] = [
        mod.new_exception,
        lambda name, *rest: mod.new_exception_with_doc(name, b"its d\xc3\xb6c", *rest),
        lambda name, *rest: mod.new_exception_with_doc(name, NULL, *rest),
    ]
    for make in makers:
        cls = make(b"package.module.Name", NULL, NULL)
        assert (cls.__name__, cls.__module__) == ("Name", "package.module")
        assert cls.__bases__ == (Exception,)
        with pytest.raises(cls, match="raised"):
            raise cls("raised")
        assert make(b"m.N\xc3\xa4me", KeyError, NULL).__name__ == "N\xe4me"
        assert make(b"m.N", KeyError, NULL).__bases__ == (KeyError,)
        assert make(b"m.N", (KeyError, Error), NULL).__bases__ == (KeyError, Error)
        made = make(b"m.N", NULL, {"value": 5, "__module__": "elsewhere"})
        assert (made.value, made.__module__) == (5, "elsewhere")
        with pytest.raises(SystemError, match=r"name must be module\.class"):
            make(b"Name", NULL, NULL)
        with pytest.raises(UnicodeDecodeError):
            make(b"m.\xff", NULL, NULL)
        with pytest.raises(TypeError):
            make(b"m.N", 5, NULL)
    assert mod.new_exception_with_doc(b"m.N", b"its d\xc3\xb6c", NULL, NULL).__doc__ == "its d\xf6c"
    given = {"value": 5, "__module__": "m"}
    assert mod.new_exception_with_doc(b"m.N", b"doc", NULL, given).__doc__ == "doc"


def test_warnings(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ERRORS)
    for category in Warning, DeprecationWarning, UserWarning, NULL:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert mod.warn(category, "the w\xe4rning".encode(), 1) == 0
        assert len(caught) == 1
        assert str(caught[0].message) == "the w\xe4rning"
        assert issubclass(caught[0].category, Warning if category is NULL else category)
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="an error"):
            mod.warn(UserWarning, b"an error", 1)
    for level, function in enumerate([mod.warn, lambda *args: mod.warn(*args)], 1):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            line = sys._getframe().f_lineno + 1
            function(UserWarning, b"where", level)
        assert (caught[0].filename, caught[0].lineno) == (__file__, line)
    with pytest.raises(TypeError):
        mod.warn(1, b"text", 1)
    with pytest.raises(UnicodeDecodeError):
        mod.warn(UserWarning, b"\xff", 1)


def test_unraisable(hpy_module: ModuleFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    mod = hpy_module(ERRORS)
    seen: list[Any] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda info: seen.append((info.exc_type, info.object))
    )
    assert mod.unraisable(divide, "where") == 0
    assert mod.unraisable(divide, NULL) == 0
    assert mod.unraisable(lambda: fail(Error()), None) == 0
    assert seen == [(ZeroDivisionError, "where"), (ZeroDivisionError, None), (Error, None)]


def test_unraisable_in_a_process(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    done = run_python(
        """
        import mytest
        mytest.unraisable(lambda: 1 // 0, ...)
        mytest.unraisable(lambda: 1 // 0, "the object")
        """,
        module=hpy_module.build(ERRORS),
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("ZeroDivisionError") == 2
    assert "'the object'" in done.stderr


@pytest.mark.hpy_abis("cpython", "universal", "hybrid", "debug")
def test_fatal_error(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    done = run_python(
        "import mytest; mytest.fatal(b'the boom message')", module=hpy_module.build(ERRORS)
    )
    assert (done.returncode, done.stdout) == (-6, "")
    first = done.stderr.splitlines()[0]
    assert first.startswith("Fatal Python error: ")
    assert first.endswith(": the boom message")
