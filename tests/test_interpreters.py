"""Debug mode in several interpreters of one process: each has handles and settings of its own."""

import sys
from typing import Any

import pytest

from support.child import Completed, PythonRunner
from support.extension import Extension, ModuleFactory
from support.interpreters import INTERPRETERS

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = """
#include "hpy.h"

static HPy kept;
static HPyContext *kept_ctx;

HPyDef_METH(keep, "keep", HPyFunc_O)
static HPy keep_impl(HPyContext *ctx, HPy self, HPy arg)
{
    kept = HPy_Dup(ctx, arg);  /* opens */
    return HPyLong_FromLongLong(ctx, (long long)kept._i);
}

HPyDef_METH(use, "use", HPyFunc_NOARGS)
static HPy use_impl(HPyContext *ctx, HPy self)
{
    return HPy_Dup(ctx, kept);  /* uses */
}

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(call, "call", HPyFunc_O)
static HPy call_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyContext *outer = kept_ctx;
    HPy result;
    kept_ctx = ctx;
    result = HPy_CallTupleDict(ctx, arg, HPy_NULL, HPy_NULL);
    kept_ctx = outer;
    return result;
}

/* With the context of the call() that is in progress, wherever that is. */
HPyDef_METH(use_context, "use_context", HPyFunc_O)
static HPy use_context_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_Dup(kept_ctx, arg);
}

/* The values of the constants, as text. */
HPyDef_METH(constants, "constants", HPyFunc_NOARGS)
static HPy constants_impl(HPyContext *ctx, HPy self)
{
    return HPyUnicode_FromFormat(ctx, "%zd %zd %zd", (HPy_ssize_t)ctx->h_None._i,
                                 (HPy_ssize_t)ctx->h_TypeError._i,
                                 (HPy_ssize_t)ctx->h_Builtins._i);
}

HPyDef_METH(get_builtins, "get_builtins", HPyFunc_NOARGS)
static HPy get_builtins_impl(HPyContext *ctx, HPy self)
{
    return HPy_Dup(ctx, ctx->h_Builtins);
}

HPyDef_METH(name, "name", HPyFunc_NOARGS)
static HPy name_impl(HPyContext *ctx, HPy self)
{
    return HPyUnicode_FromString(ctx, ctx->name);
}

/* An object whose end calls the API, and which may make a mistake then. */
typedef struct { HPyField text; int mistake; } Ends;
HPyType_HELPERS(Ends)

HPyDef_SLOT(Ends_new, HPy_tp_new)
static HPy Ends_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Ends *ends;
    HPy h = HPy_New(ctx, cls, &ends);
    if (HPy_IsNull(h)) return HPy_NULL;
    HPyField_Store(ctx, h, &ends->text, args[0]);
    ends->mistake = nargs > 1;
    return h;
}

HPyDef_SLOT(Ends_traverse, HPy_tp_traverse)
static int Ends_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    HPy_VISIT(&((Ends *)self)->text);
    return 0;
}

HPyDef_SLOT(Ends_finalize, HPy_tp_finalize)
static void Ends_finalize_impl(HPyContext *ctx, HPy self)
{
    Ends *ends = Ends_AsStruct(ctx, self);
    HPy text = HPyField_Load(ctx, self, ends->text);
    const char *bytes = HPyUnicode_AsUTF8AndSize(ctx, text, NULL);
    fprintf(stdout, "end of %s\\n", bytes);
    fflush(stdout);
    HPy_Close(ctx, text);
    if (ends->mistake) HPy_Close(ctx, text);
}

HPyDef_SLOT(Ends_destroy, HPy_tp_destroy)
static void Ends_destroy_impl(void *self)
{
    fprintf(stdout, "destroyed\\n");
    fflush(stdout);
}

static HPyDef *Ends_defines[] = {&Ends_new, &Ends_traverse, &Ends_finalize, &Ends_destroy, NULL};
static HPyType_Spec Ends_spec = {
    .name = "mytest.Ends",
    .basicsize = sizeof(Ends),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC,
    .builtin_shape = SHAPE(Ends),
    .defines = Ends_defines,
};

HPyDef_SLOT(add_types, HPy_mod_exec)
static int add_types_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Ends", &Ends_spec, NULL) ? 0 : -1;
}
""".replace('#include "hpy.h"', '#include "hpy.h"\n#include <stdio.h>', 1)


class Script:
    """Runs a script in a process with the extension and the functions of INTERPRETERS."""

    def __init__(self, extension: Extension, run_python: PythonRunner) -> None:
        self._extension = extension
        self._run_python = run_python

    def __call__(self, code: str, **how: Any) -> Completed:
        return self._run_python(INTERPRETERS + code, module=self._extension, **how)

    def output_of(self, code: str, **how: Any) -> list[str]:
        done = self(code, **how)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.splitlines()


@pytest.fixture
def script(hpy_module: ModuleFactory, run_python: PythonRunner) -> Script:
    return Script(hpy_module.build(SOURCE), run_python)


def test_leaks_and_generations(script: Script) -> None:
    lines = script.output_of(
        """
    import hpy.debug, mytest
    from hpy.universal import _debug
    def show(text):
        print(text, [leak.handle.repr for leak in hpy.debug.leaks()],
              [h.obj for h in _debug.get_open_handles(1)], flush=True)
    _debug.new_generation()
    _debug.new_generation()
    mytest.leak("main")
    sub = create()
    run(sub, '''if True:
        import hpy.debug, mytest
        from hpy.universal import _debug
        print("sub", hpy.debug.leaks(), _debug.new_generation())
        try:
            with hpy.debug.LeakDetector() as detector:
                mytest.leak("sub")
        except hpy.debug.HPyLeakError as error:
            print("sub", [leak.obj for leak in error.leaks], flush=True)
        else:
            raise AssertionError("no leak")
    ''')
    show("main")
    run(sub, "mytest.leak('more'); print(len(hpy.debug.leaks()), flush=True)")
    show("main")
    destroy(sub)
    show("main")
    with hpy.debug.LeakDetector():
        pass
    """
    )
    main = "main [\"'main'\"] ['main']"
    assert lines == ["sub [] 1", "sub ['sub']", main, "2", main, main]


def test_settings_and_hooks(script: Script) -> None:
    lines = script.output_of(
        """
    import hpy.debug, mytest
    from hpy.universal import _debug
    hpy.debug.configure(on_violation="raise", stack_depth=3, closed_handles=7)
    told = []
    hpy.debug.on_violation(told.append)
    _debug.set_on_invalid_handle(lambda: print("hook of main", flush=True))
    sub = create()
    run(sub, '''if True:
        import hpy.debug, mytest
        from hpy.universal import _debug
        settings = hpy.debug.configure(on_violation="warn")
        print(settings["on_violation"], settings["stack_depth"], settings["closed_handles"])
        print(_debug.get_closed_handles_queue_max_size(), flush=True)
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mytest.keep("x")
            h, = (h for h in _debug.get_open_handles(0) if h.obj == "x")
            h._force_close()
            try:
                mytest.use()
            except hpy.debug.HPyDebugError as error:
                print(error.violation.kind)
        print([w.message.violation.kind for w in caught], flush=True)
    ''')
    print(len(told), hpy.debug.configure()["on_violation"])
    mytest.keep("x")
    h, = (h for h in _debug.get_open_handles(0) if h.obj == "x")
    h._force_close()
    print(mytest.use())
    destroy(sub)
    """
    )
    assert lines == [
        *("abort 16 1024", "1024", "use-after-close", "['use-after-close']"),
        *("0 raise", "hook of main", "x"),
    ]


def test_handle_of_another_interpreter(script: Script) -> None:
    lines = script.output_of(
        """
    import hpy.debug, mytest
    hpy.debug.configure(on_violation="raise")
    bits = {mytest.keep("of main")}
    BODY = '''if True:
        import hpy.debug, mytest, os
        hpy.debug.configure(on_violation="raise")
        try:
            mytest.use()
        except hpy.debug.HPyDebugError as error:
            assert error.violation.kind in ("not-a-handle", "use-after-close")
            os.write(1, b"refused\\\\n")
    '''
    subs = [create() for i in range(5)]
    for sub in subs:
        run(sub, BODY)  # with the handle of the one before
        run(sub, "mytest.keep('of sub'); assert mytest.use() == 'of sub'")
    exec(BODY)
    mytest.keep("of main")
    for sub in subs:
        destroy(sub)
    print(mytest.use(), flush=True)
    sub = create()  # takes over what one of those had
    run(sub, "import mytest; mytest.keep('of sub')")
    destroy(sub)
    sub = create()
    run(sub, BODY)
    """
    )
    assert lines == ["refused"] * 6 + ["of main", "refused"]


def test_constants(script: Script) -> None:
    """Of an interpreter they have one value in every context, and are its own objects."""
    lines = script.output_of(
        """
    import builtins, mytest
    def show(text):
        first = mytest.constants()
        assert mytest.call(mytest.constants) == first
        assert mytest.call(lambda: mytest.call(mytest.constants)) == first
        assert mytest.get_builtins() is builtins.__dict__
        return first
    first = show("main")
    sub = create()
    run(sub, '''if True:
        import builtins, mytest
        first = mytest.constants()
        assert mytest.call(mytest.constants) == first
        assert mytest.get_builtins() is builtins.__dict__
        print(first, flush=True)
    ''')
    assert show("main") == first
    print(first)
    """
    )
    assert len(set(lines)) == 2


def test_calls_of_two_interpreters_on_one_stack(script: Script) -> None:
    lines = script.output_of(
        """
    import hpy.debug, mytest
    hpy.debug.configure(on_violation="raise")
    sub = create()
    run(sub, "import hpy.debug, mytest; hpy.debug.configure(on_violation='raise')")
    def inner():
        # The context of a call in main is wrong here, and the error is one of this interpreter.
        run(sub, '''if True:
            try:
                mytest.use_context(3)
            except hpy.debug.HPyDebugError as error:
                print(error.violation.kind, error.violation.function, flush=True)
            mytest.leak("sub")
        ''')
        return "back"
    print(mytest.call(inner))
    print([leak.handle.repr for leak in hpy.debug.leaks()])
    destroy(sub)
    print(mytest.call(lambda: "again"))
    """
    )
    assert lines == ["stale-context use_context", "back", "[]", "again"]


def test_threads_of_two_interpreters(script: Script) -> None:
    """They take turns while calls are in progress in both."""
    lines = script.output_of(
        """
    import threading, hpy.debug, mytest
    BODY = '''if True:
        import hpy.debug, mytest, time
        with hpy.debug.LeakDetector():
            for i in range(300):
                assert mytest.call(lambda: time.sleep(0.00001) or [i]) == [i]
    '''
    subs = [create() for i in range(2)]
    failures = []
    def target(sub):
        try:
            run(sub, BODY)
        except BaseException as error:
            failures.append(error)
    threads = [threading.Thread(target=target, args=(sub,)) for sub in subs]
    for thread in threads:
        thread.start()
    exec(BODY)
    for thread in threads:
        thread.join()
    print(failures)
    """
    )
    assert lines == ["[]"]


@pytest.mark.parametrize("how", ["sub", "main"])
def test_destructors_at_the_end(script: Script, how: str) -> None:
    code = """
        import builtins, mytest
        mytest.leak("never closed")
        mytest.keep("never closed")
        kept = mytest.Ends("kept")
        class Cycle: pass
        cycle = Cycle()
        cycle.ends = mytest.Ends("cycle"), cycle
        builtins.late = mytest.Ends("late")
        import sys
        sys.late = mytest.Ends("later")
    """
    if how == "sub":
        code = f"sub = create()\n    run(sub, '''if True:{code}''')\n    destroy(sub)"
    else:
        code = f"if True:{code}"
    lines = script.output_of(f"    {code}\n    print('over', flush=True)\n")
    names = ["cycle", "kept", "late", "later"]
    assert sorted(line for line in lines if line.startswith("end of")) == [
        f"end of {name}" for name in names
    ]
    assert lines.count("destroyed") == len(names)
    assert (lines[-1] == "over") == (how == "sub")


@pytest.mark.parametrize("policy", ["abort", "raise", "warn"])
def test_mistake_in_a_destructor_at_the_end(script: Script, policy: str, tmp_path: Any) -> None:
    report = tmp_path / "report.jsonl"
    done = script(
        """
    sub = create()
    run(sub, '''if True:
        import sys, mytest
        sys.late = mytest.Ends("late", True)
        mytest.call(lambda: None)
    ''')
    destroy(sub)
    print("over", flush=True)
    """,
        env={"HPY_DEBUG_ON_VIOLATION": policy, "HPY_DEBUG_REPORT": str(report)},
    )
    assert '"kind":"double-close"' in report.read_text().replace(" ", "")
    if policy == "abort":
        assert done.returncode == -6
        assert "error[double-close]" in done.stderr
    else:
        assert done.returncode == 0
        assert done.stdout == "end of late\ndestroyed\nover\n"
        assert "HPy_Close was given a handle that is already closed" in done.stderr


def test_again_after_the_end(script: Script) -> None:
    """A new interpreter finds nothing of the one before: no handle, setting, hook, subscriber."""
    lines = script.output_of(
        """
    import mytest
    mytest.keep("of main")
    BODY = '''if True:
        import hpy.debug, mytest
        from hpy.universal import _debug
        assert hpy.debug.leaks() == []
        print(len(_debug.get_closed_handles()))
        settings = hpy.debug.configure(on_violation="raise", stack_depth=2, closed_handles=9)
        assert settings["on_violation"] == "abort", settings
        assert settings["stack_depth"] == 16 and settings["closed_handles"] == 1024, settings
        assert hpy.debug.native.native().violation_count() == 0
        assert mytest.name() == "HPy Debug Mode ABI (CPython backend)"
        mytest.leak("left behind")
        leak, = hpy.debug.leaks()
        assert leak.opened.python[0].function == "<module>", leak
        hpy.debug.on_violation(lambda violation: None)
        try:
            mytest.use()
        except hpy.debug.HPyDebugError as error:
            print("found", flush=True)
        mytest.keep("kept")
        _debug.set_on_invalid_handle(print)
    '''
    for i in range(4):
        sub = create()
        run(sub, BODY)
        destroy(sub)
    """
    )
    assert len(set(lines[::2])) == 1, "closed handles of the import"
    assert lines[1::2] == ["found"] * 4


def test_a_hundred_interpreters(script: Script) -> None:
    """Neither memory nor address space grows with the interpreters that have ended."""
    lines = script.output_of(
        """
    import resource
    def size():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    def one():
        sub = create()
        run(sub, '''if True:
            import mytest
            for i in range(1000):
                mytest.leak(i)
        ''')
        destroy(sub)
    for i in range(5):
        one()
    before = size()
    for i in range(100):
        one()
    # Of debug mode alone a state has 8 GiB of address space.
    print((size() - before) / 2**30)
    """,
        timeout=300,
    )
    assert float(lines[0]) < 1


@pytest.mark.parametrize("first", ["universal", "debug"])
def test_two_modes(script: Script, first: str) -> None:
    """The mode is that of the last load, and what is checked belongs to who calls."""
    other = "debug" if first == "universal" else "universal"
    lines = script.output_of(
        f"""
    import mytest
    sub = create()
    run(sub, '''if True:
        import os, warnings
        os.environ["HPY"] = "{other}"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import mytest
        for warning in caught:
            print(warning.category.__name__, "was loaded in {first} mode" in str(warning.message))
        print(mytest.name())
        mytest.leak("sub")
        import hpy.debug
        print([(leak.function, leak.handle.repr) for leak in hpy.debug.leaks()], flush=True)
    ''')
    print(mytest.name())
    mytest.leak("main")
    import builtins, hpy.debug
    assert mytest.get_builtins() is builtins.__dict__
    print([(leak.function, leak.handle.repr) for leak in hpy.debug.leaks()], flush=True)
    destroy(sub)
    print(mytest.name())
    """,
        env={"HPY": first},
    )
    name = "HPy Debug Mode ABI (CPython backend)"
    if other != "debug":
        name = "HPy Universal ABI (CPython backend)"
    leaks = {who: f"[('leak', \"'{who}'\")]" for who in ("sub", "main")}
    if other != "debug":
        leaks = {"sub": "[]", "main": "[]"}
    assert lines == ["RuntimeWarning True", name, leaks["sub"], name, leaks["main"], name]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters share the GIL")
def test_an_interpreter_with_its_own_gil(script: Script) -> None:
    lines = script.output_of(
        """
    import mytest
    run(create(own_gil=True), '''if True:
        for name in ("hpy.debug._native", "mytest"):
            try:
                __import__(name)
            except ImportError as error:
                print(error)
        import hpy.debug
        try:
            hpy.debug.leaks()
        except ImportError as error:
            print(error, flush=True)
    ''')
    """
    )
    assert lines[0] == "module hpy.debug._native does not support loading in subinterpreters"
    assert lines[1] == "module hpy.universal does not support loading in subinterpreters"
    assert lines[2] == (
        "the debug mode of hpy works in interpreters that share the GIL only: module "
        "hpy.debug._native does not support loading in subinterpreters"
    )
