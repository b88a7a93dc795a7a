"""The universal context: bytes, code, context variables, capsules, globals, and leaving Python."""

import contextvars
import sys
import types
from typing import Callable

import pytest

from support.child import PythonRunner
from support.extension import ModuleFactory

HPY_ABIS = ["universal", "cpython"]


def test_bytes_and_tuples_from_memory(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        HPyDef_METH(from_text, "from_text", HPyFunc_O)
        static HPy from_text_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            (void)self;
            return HPyBytes_FromStringAndSize(ctx, "abc", HPyLong_AsSsize_t(ctx, arg));
        }
        HPyDef_METH(from_null, "from_null", HPyFunc_O)
        static HPy from_null_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            (void)self;
            return HPyBytes_FromStringAndSize(ctx, NULL, HPyLong_AsSsize_t(ctx, arg));
        }
        HPyDef_METH(tuple, "tuple", HPyFunc_O)
        static HPy tuple_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            HPy items[] = {arg, self, arg};
            return HPyTuple_FromArray(ctx, items, HPyLong_AsSsize_t(ctx, arg));
        }
    """)
    assert module.from_text(2) == b"ab"
    assert module.from_text(0) == b""
    with pytest.raises(SystemError):
        module.from_text(-1)
    for size in -1, 0, 1:
        with pytest.raises(
            ValueError, match=r"^NULL char \* passed to HPyBytes_FromStringAndSize$"
        ):
            module.from_null(size)
    assert module.tuple(3) == (3, module, 3)
    assert module.tuple(0) == ()
    with pytest.raises(SystemError):
        module.tuple(-1)


def test_compile_and_eval(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        HPyDef_METH(compile_, "compile_", HPyFunc_VARARGS)
        static HPy compile__impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            (void)self;
            (void)nargs;
            return HPy_Compile_s(ctx, HPyUnicode_AsUTF8AndSize(ctx, args[0], NULL), "the file",
                                 (HPy_SourceKind)HPyLong_AsLong(ctx, args[1]));
        }
        HPyDef_METH(eval_, "eval_", HPyFunc_VARARGS)
        static HPy eval__impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            (void)self;
            return HPy_EvalCode(ctx, args[0], args[1], nargs > 2 ? args[2] : HPy_NULL);
        }
    """)
    code = module.compile_("a + b", 0)
    assert isinstance(code, types.CodeType)
    assert code.co_filename == "the file"
    assert module.eval_(code, {"a": 1, "b": 2}) == 3
    assert module.eval_(code, {"a": 1, "b": 2}, {"b": 10}) == 11
    scope: dict[str, object] = {}
    assert module.eval_(module.compile_("x = 1\ny = 2", 1), scope) is None
    assert (scope["x"], scope["y"]) == (1, 2)
    assert isinstance(module.compile_("1", 2), types.CodeType)
    with pytest.raises(SyntaxError):
        module.compile_("a +", 0)
    with pytest.raises(SystemError, match="invalid source kind"):
        module.compile_("1", 777)
    with pytest.raises(NameError):
        module.eval_(code, {})
    for arguments, text in [
        ((1, {}), "requires a code object, got 'int'"),
        ((code, 1), "requires globals to be a dict, got 'int'"),
        ((code, {}, 1), "requires locals to be a mapping or null handle, got 'int'"),
    ]:
        with pytest.raises(TypeError, match=text):
            module.eval_(*arguments)


def test_context_variables(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        HPyDef_METH(get, "get", HPyFunc_VARARGS)
        static HPy get_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            HPy result = self; /* it is always written */
            HPy other = nargs > 1 ? args[1] : HPy_NULL;
            if (HPyContextVar_Get(ctx, args[0], other, &result) < 0)
                return HPy_IsNull(result) ? HPy_NULL : HPy_Dup(ctx, self);
            return HPy_IsNull(result) ? HPyUnicode_FromString(ctx, "nothing") : result;
        }
    """)
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    assert module.get(variable) == "nothing"
    assert module.get(variable, "default") == "default"
    variable.set("value")
    assert module.get(variable, "default") == "value"
    with pytest.raises(TypeError):
        module.get(1)


def test_capsules(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        static int value = 42, ended;
        HPyCapsule_DESTRUCTOR(destroy)
        static void destroy_impl(const char *name, void *pointer, void *context)
        {
            if (name && name[0] == 'n' && pointer == (void *)&value && context == (void *)&ended)
                ended++;
        }
        HPyDef_METH(make, "make", HPyFunc_NOARGS)
        static HPy make_impl(HPyContext *ctx, HPy self)
        {
            HPy capsule = HPyCapsule_New(ctx, &value, "name", &destroy);
            (void)self;
            if (!HPy_IsNull(capsule) && HPyCapsule_SetContext(ctx, capsule, &ended) < 0) {
                HPy_Close(ctx, capsule);
                return HPy_NULL;
            }
            return capsule;
        }
        HPyDef_METH(look, "look", HPyFunc_O)
        static HPy look_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            int *pointer = (int *)HPyCapsule_GetPointer(ctx, arg, "name");
            (void)self;
            if (!pointer)
                return HPy_NULL;
            return HPy_BuildValue(ctx, "isi", *pointer, HPyCapsule_GetName(ctx, arg), ended);
        }
        HPyDef_METH(null, "null", HPyFunc_NOARGS)
        static HPy null_impl(HPyContext *ctx, HPy self)
        {
            (void)self;
            return HPyCapsule_New(ctx, NULL, "name", NULL);
        }
        HPyDef_METH(half, "half", HPyFunc_NOARGS)
        static HPy half_impl(HPyContext *ctx, HPy self)
        {
            static HPyCapsule_Destructor half_destructor = {NULL, destroy_impl};
            (void)self;
            return HPyCapsule_New(ctx, &value, "name", &half_destructor);
        }
        HPyDef_METH(set, "set", HPyFunc_VARARGS)
        static HPy set_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            static HPyCapsule_Destructor half_destructor = {NULL, destroy_impl};
            int failed = -1;
            (void)self;
            (void)nargs;
            switch (HPyLong_AsLong(ctx, args[1])) {
                case 0: failed = HPyCapsule_SetPointer(ctx, args[0], NULL); break;
                case 1: failed = HPyCapsule_SetDestructor(ctx, args[0], &half_destructor); break;
                case 2: failed = HPyCapsule_SetDestructor(ctx, args[0], NULL); break;
                case 3: failed = HPyCapsule_SetName(ctx, args[0], "other"); break;
            }
            return failed ? HPy_NULL : HPyLong_FromLong(ctx, ended);
        }
        static HPyDef *defines[] = {&make, &look, &null, &half, &set, NULL};
        static HPyModuleDef def = {.defines = defines};
        HPy_MODINIT(mytest, def)
    """)
    capsule = module.make()
    assert module.look(capsule) == (42, "name", 0)
    calls: list[tuple[Callable[[], object], str]] = [
        (module.null, "called with null pointer"),
        (module.half, r"^Invalid HPyCapsule destructor$"),
        (lambda: module.look(1), "invalid PyCapsule object"),
        (lambda: module.set(module.make(), 0), "called with null pointer"),
        (lambda: module.set(module.make(), 1), r"^Invalid HPyCapsule destructor$"),
    ]
    for call, text in calls:
        with pytest.raises(ValueError, match=text):
            call()
    del capsule
    capsule = module.make()
    assert module.set(capsule, 3) == 3
    with pytest.raises(ValueError, match="incorrect name"):
        module.look(capsule)
    assert module.set(capsule, 2) == 3
    del capsule
    assert module.set(module.make(), 3) == 3  # the destructor was taken away from the one before


@pytest.mark.hpy_abis("universal")
def test_an_overwritten_global(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        static HPyGlobal broken = {12345};
        HPyDef_METH(load, "load", HPyFunc_NOARGS)
        static HPy load_impl(HPyContext *ctx, HPy self)
        {
            (void)self;
            return HPyGlobal_Load(ctx, broken);
        }
        HPyDef_METH(store, "store", HPyFunc_O)
        static HPy store_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            (void)self;
            HPyGlobal_Store(ctx, &broken, arg);
            return HPy_NULL;
        }
        static HPyDef *defines[] = {&load, &store, NULL};
        static HPyModuleDef def = {.defines = defines};
        HPy_MODINIT(mytest, def)
    """)
    for call, name in (module.load, "HPyGlobal_Load"), (lambda: module.store(1), "HPyGlobal_Store"):
        with pytest.raises(SystemError, match=f"^{name}: this is not an HPyGlobal"):
            call()


@pytest.mark.promise("GLB-01", "GLB-03")
def test_globals(hpy_module: ModuleFactory) -> None:
    """Many globals; the last store counts, null empties, and references are given back."""
    module = hpy_module("""
        #include "hpy.h"
        #define COUNT 100
        static HPyGlobal many[COUNT];
        HPyDef_METH(store, "store", HPyFunc_VARARGS)
        static HPy store_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            long i = HPyLong_AsLong(ctx, args[0]);
            (void)self;
            HPyGlobal_Store(ctx, &many[i], nargs > 1 ? args[1] : HPy_NULL);
            return HPy_Dup(ctx, ctx->h_None);
        }
        HPyDef_METH(load, "load", HPyFunc_O)
        static HPy load_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            (void)self;
            return HPyGlobal_Load(ctx, many[HPyLong_AsLong(ctx, arg)]);
        }
        static HPyDef *defines[] = {&store, &load, NULL};
        static HPyGlobal *globals[] = {&many[0], NULL};
        static HPyModuleDef def = {.defines = defines, .globals = globals};
        HPy_MODINIT(mytest, def)
    """)
    module.store(5)  # empty already
    items = [object() for _ in range(100)]
    counts = [sys.getrefcount(item) for item in items]
    for i, item in enumerate(items):
        module.store(i, None)
        module.store(i, item)
    assert [module.load(i) for i in range(100)] == items
    del item
    assert [sys.getrefcount(item) for item in items] == [count + 1 for count in counts]
    for i in range(100):
        module.store(i)
    assert [sys.getrefcount(item) for item in items] == counts


@pytest.mark.promise("GIL-01")
@pytest.mark.hpy_abis("universal", "cpython")
def test_leave_and_reenter(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    extension = hpy_module.build("""
        #include "hpy.h"
        #include <unistd.h>
        HPyDef_METH(wait_for, "wait_for", HPyFunc_O)
        static HPy wait_for_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            char byte;
            int fd = (int)HPyLong_AsLong(ctx, arg);
            ssize_t count;
            (void)self;
            HPy_BEGIN_LEAVE_PYTHON(ctx)
            count = read(fd, &byte, 1);
            HPy_END_LEAVE_PYTHON(ctx)
            return HPyLong_FromLong(ctx, (long)count);
        }
    """)
    done = run_python(
        """
        import os, threading, mytest
        out, into = os.pipe()
        thread = threading.Thread(target=lambda: print(mytest.wait_for(out)))
        thread.start()
        os.write(into, b"x")
        thread.join()
        """,
        module=extension,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
