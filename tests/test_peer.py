"""ABI hpy0, both ways: what hpy 0.9.0 builds runs here, and what is built here runs there.

One source, built by each, and one script that tries the binary, run by each. The source uses
neither the members of the context from 263 on nor HPy_tp_descr_get: 0.9.0 has none of them.
"""

import subprocess
from pathlib import Path

import pytest

from support import peer, tree
from support.child import Completed, PythonRunner
from support.extension import ModuleFactory

pytestmark = pytest.mark.slow
HPY_ABIS = ["universal"]

SOURCE = r"""
#include "hpy.h"
#include <string.h>

static HPyGlobal kept;

HPyDef_METH(noargs, "noargs", HPyFunc_NOARGS, .doc = "its doc")
static HPy noargs_impl(HPyContext *ctx, HPy self)
{
    return HPyGlobal_Load(ctx, kept);
}

HPyDef_METH(keep, "keep", HPyFunc_O)
static HPy keep_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyGlobal_Store(ctx, &kept, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(varargs, "varargs", HPyFunc_VARARGS)
static HPy varargs_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    long a;
    double b = 0.5;
    const char *s;
    /* Not "|s": the parser that 0.9.0 compiles in asks whether HPy_NULL is a str. */
    if (!HPyArg_Parse(ctx, NULL, args, nargs, "ls|d:varargs", &a, &s, &b))
        return HPy_NULL;
    return HPy_BuildValue(ctx, "(l[d]{s:i})", a, b, s, (int)strlen(s));
}

HPyDef_METH(keywords, "keywords", HPyFunc_KEYWORDS)
static HPy keywords_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{
    static const char *names[] = {"a", "b", NULL};
    HPy a, b = HPy_NULL, result;
    HPyTracker ht;
    if (!HPyArg_ParseKeywords(ctx, &ht, args, nargs, kwnames, "O|O", names, &a, &b))
        return HPy_NULL;
    result = HPyTuple_Pack(ctx, 2, a, HPy_IsNull(b) ? ctx->h_Ellipsis : b);
    HPyTracker_Close(ctx, ht);
    return result;
}

HPyDef_METH(build, "build", HPyFunc_VARARGS)
static HPy build_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPyListBuilder builder = HPyListBuilder_New(ctx, (HPy_ssize_t)nargs);
    size_t i;
    for (i = 0; i < nargs; i++)
        HPyListBuilder_Set(ctx, builder, (HPy_ssize_t)i, args[i]);
    return HPyListBuilder_Build(ctx, builder);
}

HPyDef_METH(fail, "fail", HPyFunc_O)
static HPy fail_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPyErr_Format(ctx, ctx->h_ValueError, "%S and %d", arg, 42);
}

HPyDef_METH(call, "call", HPyFunc_VARARGS)
static HPy call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return HPy_CallTupleDict(ctx, args[0], args[1], nargs > 2 ? args[2] : HPy_NULL);
}

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(without_python, "without_python", HPyFunc_O)
static HPy without_python_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_ssize_t size, i, sum = 0;
    const char *utf8 = HPyUnicode_AsUTF8AndSize(ctx, arg, &size);
    if (utf8 == NULL)
        return HPy_NULL;
    HPy_BEGIN_LEAVE_PYTHON(ctx)
    for (i = 0; i < size; i++)
        sum += utf8[i];
    HPy_END_LEAVE_PYTHON(ctx)
    return HPyLong_FromSsize_t(ctx, sum);
}

typedef struct {
    double x;
    long n;
    HPyField other;
} Point;
HPyType_HELPERS(Point)

static long destroyed = 0;

HPyDef_SLOT(Point_new, HPy_tp_new)
static HPy Point_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    static const char *names[] = {"x", "n", NULL};
    Point *point;
    double x = 1.5;
    long n = 3;
    HPy h;
    if (!HPyArg_ParseKeywordsDict(ctx, NULL, args, nargs, kw, "|dl", names, &x, &n))
        return HPy_NULL;
    h = HPy_New(ctx, cls, &point);
    if (HPy_IsNull(h))
        return HPy_NULL;
    point->x = x;
    point->n = n;
    return h;
}

HPyDef_SLOT(Point_traverse, HPy_tp_traverse)
static int Point_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    HPy_VISIT(&((Point *)self)->other);
    return 0;
}

HPyDef_SLOT(Point_destroy, HPy_tp_destroy)
static void Point_destroy_impl(void *self)
{
    destroyed++;
}

HPyDef_SLOT(Point_repr, HPy_tp_repr)
static HPy Point_repr_impl(HPyContext *ctx, HPy self)
{
    return HPyUnicode_FromFormat(ctx, "Point(n=%ld)", Point_AsStruct(ctx, self)->n);
}

HPyDef_SLOT(Point_add, HPy_nb_add)
static HPy Point_add_impl(HPyContext *ctx, HPy left, HPy right)
{
    return HPyLong_FromLong(ctx, Point_AsStruct(ctx, left)->n + HPyLong_AsLong(ctx, right));
}

HPyDef_SLOT(Point_compare, HPy_tp_richcompare)
static HPy Point_compare_impl(HPyContext *ctx, HPy left, HPy right, HPy_RichCmpOp op)
{
    HPy_RETURN_RICHCOMPARE(ctx, Point_AsStruct(ctx, left)->n, Point_AsStruct(ctx, right)->n, op);
}

HPyDef_SLOT(Point_length, HPy_sq_length)
static HPy_ssize_t Point_length_impl(HPyContext *ctx, HPy self)
{
    return (HPy_ssize_t)Point_AsStruct(ctx, self)->n;
}

HPyDef_SLOT(Point_getbuffer, HPy_bf_getbuffer)
static int Point_getbuffer_impl(HPyContext *ctx, HPy self, HPy_buffer *buffer, int flags)
{
    memset(buffer, 0, sizeof(*buffer));
    buffer->buf = &Point_AsStruct(ctx, self)->n;
    buffer->obj = HPy_Dup(ctx, self);
    buffer->len = buffer->itemsize = sizeof(long);
    buffer->ndim = 1;
    buffer->format = (char *)"l";
    buffer->shape = NULL;
    return 0;
}

HPyDef_METH(Point_method, "method", HPyFunc_O)
static HPy Point_method_impl(HPyContext *ctx, HPy self, HPy arg)
{
    Point *point = Point_AsStruct(ctx, self);
    HPyField_Store(ctx, self, &point->other, arg);
    return HPyField_Load(ctx, self, point->other);
}

HPyDef_MEMBER(Point_x, "x", HPyMember_DOUBLE, offsetof(Point, x))
HPyDef_MEMBER(Point_n, "n", HPyMember_LONG, offsetof(Point, n), .readonly = 1)

HPyDef_GETSET(Point_other, "other")
static HPy Point_other_get(HPyContext *ctx, HPy self, void *closure)
{
    Point *point = Point_AsStruct(ctx, self);
    if (HPyField_IsNull(point->other))
        return HPy_Dup(ctx, ctx->h_None);
    return HPyField_Load(ctx, self, point->other);
}
static int Point_other_set(HPyContext *ctx, HPy self, HPy value, void *closure)
{
    HPyField_Store(ctx, self, &Point_AsStruct(ctx, self)->other, value);
    return 0;
}

static HPyDef *Point_defines[] = {
    &Point_new, &Point_traverse, &Point_destroy, &Point_repr, &Point_add, &Point_compare,
    &Point_length, &Point_getbuffer, &Point_method, &Point_x, &Point_n, &Point_other, NULL,
};
static HPyType_Spec Point_spec = {
    .name = "exchanged.Point",
    .basicsize = sizeof(Point),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC | HPy_TPFLAGS_BASETYPE,
    .defines = Point_defines,
};

HPyDef_METH(count_destroyed, "count_destroyed", HPyFunc_NOARGS)
static HPy count_destroyed_impl(HPyContext *ctx, HPy self)
{
    return HPyLong_FromLong(ctx, destroyed);
}

HPyDef_SLOT(exec, HPy_mod_exec)
static int exec_impl(HPyContext *ctx, HPy module)
{
    HPyGlobal_Store(ctx, &kept, ctx->h_None);
    return HPyHelpers_AddType(ctx, module, "Point", &Point_spec, NULL) ? 0 : -1;
}

static HPyDef *defines[] = {
    &noargs, &keep, &varargs, &keywords, &build, &fail, &call, &leak, &without_python,
    &count_destroyed, &exec, NULL,
};
static HPyGlobal *globals[] = {&kept, NULL};
static HPyModuleDef exchanged = {.doc = "to and fro", .defines = defines, .globals = globals};
HPy_MODINIT(exchanged, exchanged)
"""

# Runs on both sides.
SCRIPT = r"""
import gc, sys
from importlib.machinery import ModuleSpec
import hpy.debug
from hpy.universal import load

path, debug = sys.argv[1], sys.argv[2] == "debug"
mod = load("exchanged", path, ModuleSpec("exchanged", None, origin=path), debug=debug)


def raises(error, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except error as e:
        return str(e)
    raise AssertionError("no " + error.__name__)


def check():
    assert (mod.__name__, mod.__doc__, mod.noargs.__doc__) == ("exchanged", "to and fro", "its doc")
    assert mod.noargs() is None
    witness = object()
    mod.keep(witness)
    assert mod.noargs() is witness
    mod.keep(None)
    assert mod.varargs(1, "") == (1, [0.5], {"": 0})
    assert mod.varargs(1, "abc", 2) == (1, [2.0], {"abc": 3})
    assert "varargs" in raises(TypeError, mod.varargs)
    raises(OverflowError, mod.varargs, 2**70, "")
    assert mod.keywords(1) == mod.keywords(a=1) == (1, ...)
    assert mod.keywords(1, b=2) == mod.keywords(b=2, a=1) == (1, 2)
    raises(TypeError, mod.keywords)
    assert mod.build() == []
    assert mod.build(1, "2", None) == [1, "2", None]
    assert raises(ValueError, mod.fail, "text") == "text and 42"
    assert mod.call(dict, ([("a", 1)],), {"b": 2}) == {"a": 1, "b": 2}
    raises(ZeroDivisionError, mod.call, divmod, (1, 0))
    assert mod.without_python("abc") == 294

    point = mod.Point(2.5, n=7)
    assert (repr(point), point.x, point.n, len(point), point + 5) == ("Point(n=7)", 2.5, 7, 7, 12)
    point.x = -1.0
    assert point.x == -1.0
    raises((AttributeError, TypeError), setattr, point, "n", 3)
    assert point == mod.Point(n=7) and point != mod.Point() and point > mod.Point()
    assert memoryview(point).tobytes() == (7).to_bytes(8, sys.byteorder)
    assert point.other is None
    assert point.method(witness) is witness is point.other
    point.other = point  # a cycle
    del point

    if hasattr(hpy.debug, "configure"):  # 0.9.0 crashes when such an instance dies, with any binary
        class Sub(mod.Point):
            pass

        assert Sub(1.0).x == 1.0
    gc.collect()
    assert mod.count_destroyed() > 0


check()
with hpy.debug.LeakDetector():
    check()
if debug:
    detector = hpy.debug.LeakDetector()
    detector.start()
    mod.leak("leaked")
    assert " for 'leaked'>" in raises(hpy.debug.HPyLeakError, detector.stop)
print("all well")
"""


@pytest.fixture(scope="module")
def peer_python() -> Path:
    python, why_not = peer.venv()
    if python is None:
        pytest.skip(why_not)
    return python


@pytest.fixture(scope="module")
def built_by_peer(peer_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peer")
    (folder / "exchanged.c").write_text(SOURCE)
    (folder / "setup.py").write_text(
        "from setuptools import setup, Extension\n"
        "setup(name='exchanged',"
        " hpy_ext_modules=[Extension('exchanged', sources=['exchanged.c'])])\n"
    )
    done = run_peer(peer_python, folder, "setup.py", "--hpy-abi=universal", "build_ext", "-i")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "exchanged.hpy0.so"


def run_peer(python: Path, folder: Path, *command: str) -> Completed:
    return subprocess.run(
        [str(python), *command],
        cwd=folder,
        env=peer.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_the_peer_is_the_peer(peer_python: Path, tmp_path: Path) -> None:
    code = "import hpy.universal as u; print(u.get_version()[0], u.__file__)"
    said = run_peer(peer_python, tmp_path, "-c", code).stdout
    assert said.startswith(f"{peer.VERSION} {peer_python.parents[1]}")
    assert str(tree.STAGED) not in said


@pytest.mark.promise("ABI-07", "ABI-08", "ABI-12")
@pytest.mark.parametrize("mode", ["universal", "debug"])
def test_built_by_the_peer_loaded_here(
    built_by_peer: Path, run_python: PythonRunner, mode: str
) -> None:
    done = run_python(SCRIPT, str(built_by_peer), mode)
    assert (done.returncode, done.stdout) == (0, "all well\n"), done.stderr
    assert done.stderr == ""


@pytest.mark.promise("DBG-11")
def test_reports_name_the_line_in_a_binary_of_the_peer(
    built_by_peer: Path, run_python: PythonRunner
) -> None:
    """It was compiled with -g, and knows nothing of us."""
    done = run_python(
        """
        import sys
        import hpy.debug, hpy.universal
        mod = hpy.universal.load("exchanged", sys.argv[1], debug=True)
        with hpy.debug.LeakDetector():
            mod.leak("leaked")
        """,
        str(built_by_peer),
    )
    line = 1 + SOURCE[: SOURCE.index("HPy_Dup(ctx, arg);")].count("\n")
    assert "1 unclosed handle:" in done.stderr
    assert f"in leak_impl at {built_by_peer.parent}/exchanged.c:{line}\n" in done.stderr


@pytest.mark.promise("ABI-07", "ABI-08", "ABI-12")
@pytest.mark.parametrize("mode", ["universal", "debug"])
def test_built_here_loaded_by_the_peer(
    hpy_module: ModuleFactory, peer_python: Path, tmp_path: Path, mode: str
) -> None:
    extension = hpy_module.build(SOURCE, name="exchanged")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run_peer(peer_python, tmp_path, "script.py", str(extension.path), mode)
    assert (done.returncode, done.stdout) == (0, "all well\n"), done.stderr


@pytest.mark.parametrize("mode", ["universal", "debug"])
def test_built_here_loaded_here(
    hpy_module: ModuleFactory, run_python: PythonRunner, mode: str
) -> None:
    """The measure of the others."""
    done = run_python(SCRIPT, str(hpy_module.build(SOURCE, name="exchanged").path), mode)
    assert (done.returncode, done.stdout, done.stderr) == (0, "all well\n", "")


def test_one_of_the_older_spelling_is_refused_by_the_peer(
    hpy_module: ModuleFactory, peer_python: Path, tmp_path: Path
) -> None:
    """It needs what the peer does not have: the version that it asks for says so."""
    extension = hpy_module.build(
        '#include "hpy.h"\n'
        'static HPyModuleDef exchanged = {.name = "exchanged", .size = -1};\n'
        "HPy_MODINIT(exchanged)\n"
        "HPy init_exchanged_impl(HPyContext *ctx)\n"
        "{ return HPyModule_Create(ctx, &exchanged); }\n",
        name="exchanged",
    )
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run_peer(peer_python, tmp_path, "script.py", str(extension.path), "universal")
    assert done.returncode == 1
    assert "unsupported version" in done.stderr
    assert "0.1" in done.stderr.splitlines()[-1]
