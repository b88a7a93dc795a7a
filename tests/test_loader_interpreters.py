"""Loading in several interpreters, and modules that are made and filled by slots."""

import sys
from types import SimpleNamespace

import pytest

from support.child import PythonRunner
from support.extension import ModuleFactory
from support.interpreters import INTERPRETERS

HPY_ABIS = ["universal"]

GLOBALS = """
    #include "hpy.h"

    static HPyGlobal kept;

    HPyDef_METH(keep, "keep", HPyFunc_O)
    static HPy keep_impl(HPyContext *ctx, HPy self, HPy arg)
    {
        (void)self;
        HPyGlobal_Store(ctx, &kept, arg);
        return HPy_Dup(ctx, ctx->h_None);
    }

    HPyDef_METH(get, "get", HPyFunc_NOARGS)
    static HPy get_impl(HPyContext *ctx, HPy self)
    {
        (void)self;
        return HPyGlobal_Load(ctx, kept);
    }

    HPyDef_METH(builtins, "builtins", HPyFunc_NOARGS)
    static HPy builtins_impl(HPyContext *ctx, HPy self)
    {
        (void)self;
        return HPy_Dup(ctx, ctx->h_Builtins);
    }

    static HPyDef *defines[] = {&keep, &get, &builtins, NULL};
    static HPyGlobal *globals[] = {&kept, NULL};
    static HPyModuleDef def = {.defines = defines, .globals = globals};
    HPy_MODINIT(mytest, def)
"""


@pytest.mark.promise("API-12", "GLB-02", "GLB-05", "GLB-09")
@pytest.mark.hpy_abis("universal", "cpython")
def test_globals_of_interpreters(
    hpy_module: ModuleFactory, hpy_abi: str, run_python: PythonRunner
) -> None:
    extension = hpy_module.build(GLOBALS)
    # In the CPython ABI the constants are static variables of the extension.
    builtins = "builtins.__dict__" if hpy_abi == "universal" else "mytest.builtins()"
    done = run_python(
        INTERPRETERS
        + """
    BODY = '''if True:
        import builtins, os, mytest
        assert mytest.builtins() is BUILTINS
        try:
            mytest.get()
        except SystemError as error:
            assert "nothing was stored in this HPyGlobal" in str(error)
        else:
            assert False, "sees the object of another interpreter"
        class Kept:
            def __init__(self, text):
                self.text = text
            def __del__(self, write=os.write):
                write(1, b"end of " + self.text)
        mytest.keep(Kept(TEXT))
        mytest.keep(Kept(TEXT))
        assert type(mytest.get()) is Kept
    '''
    os.write(1, b"main\\n")
    exec(BODY.replace("TEXT", "b'main\\\\n'"))
    for i in range(3):
        interpreter = create(False)
        run(interpreter, BODY.replace("TEXT", "b'sub\\\\n'"))
        os.write(1, b"destroy\\n")
        _interpreters.destroy(interpreter)
        assert mytest.get().text == b"main\\n"
        assert mytest.builtins() is BUILTINS
    a, b = create(False), create(False)
    run(a, BODY.replace("TEXT", "b'a\\\\n'"))
    run(b, BODY.replace("TEXT", "b'b\\\\n'"))
    assert mytest.get().text == b"main\\n"
    run(a, "import builtins; assert mytest.get().text == b'a\\\\n'")
    run(a, "assert mytest.builtins() is BUILTINS")
    run(b, "import builtins; assert mytest.get().text == b'b\\\\n'")
    run(b, "assert mytest.builtins() is BUILTINS")
    _interpreters.destroy(a)
    run(b, "assert mytest.get().text == b'b\\\\n'")
    _interpreters.destroy(b)
    os.write(1, b"over\\n")
    """.replace("BUILTINS", builtins),
        module=extension,
    )
    assert done.stderr == ""
    expected = "main\nend of main\n" + "end of sub\ndestroy\nend of sub\n" * 3
    expected += "end of a\nend of b\nend of a\nend of b\nover\nend of main\n"
    assert done.stdout == expected


@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters share the GIL")
def test_an_interpreter_with_its_own_gil(run_python: PythonRunner) -> None:
    done = run_python(
        INTERPRETERS
        + """
    run(create(True), '''if True:
        try:
            import hpy.universal
        except ImportError as error:
            print(error)
    ''')
    """
    )
    assert done.stderr == ""
    assert done.stdout == "module hpy.universal does not support loading in subinterpreters\n"


def test_create_slot(hpy_module: ModuleFactory) -> None:
    """What a create slot makes is the result of load, and gets the spec."""
    module = hpy_module("""
        #include "hpy.h"
        HPyDef_SLOT(create, HPy_mod_create)
        static HPy create_impl(HPyContext *ctx, HPy spec)
        {
            HPy types = HPyImport_ImportModule(ctx, "types");
            HPy type = HPy_GetAttr_s(ctx, types, "SimpleNamespace");
            HPy made = HPy_CallTupleDict(ctx, type, HPy_NULL, HPy_NULL);
            HPy_SetAttr_s(ctx, made, "spec", spec);
            HPy_Close(ctx, types);
            HPy_Close(ctx, type);
            return made;
        }
        static HPyDef *defines[] = {&create, NULL};
        static HPyModuleDef def = {.defines = defines};
        HPy_MODINIT(mytest, def)
    """)
    assert type(module) is SimpleNamespace
    assert module.spec.name == "mytest"


def test_exec_slot_that_fails(hpy_module: ModuleFactory) -> None:
    source = """
        #include "hpy.h"
        HPyDef_SLOT(run, HPy_mod_exec)
        static int run_impl(HPyContext *ctx, HPy module)
        {
            (void)module;
            HPyErr_SetString(ctx, ctx->h_OverflowError, "from the exec slot");
            return -1;
        }
    """
    with pytest.raises(OverflowError, match="from the exec slot"):
        hpy_module(source)
