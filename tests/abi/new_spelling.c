/* Every macro of the headers in today's spelling. Compiled, never run; tests/test_headers.py. */
/* Lists of macro calls, and code as authors write it. */
/* clang-format off */
#include "hpy.h"

/* Macros that authors define, and one-letter names: no expansion may contain them. */
#define N "n"
#define NAME "name"
#define SELF self
#define BUF_SIZE 16
#define MYSLOT HPy_tp_repr
#define NUM_HANDLES 3
#define CAPSULE_NAME "capsule"
#define MODE_READ_ONLY 0
#define NO_ARGUMENTS HPyFunc_NOARGS

typedef struct {
  double x;
  HPyField field;
  HPyCallFunction call;
} Point;
typedef struct {
  long value;
} Number;

HPyType_HELPERS(Point)
HPyType_HELPERS(Number, HPyType_BuiltinShape_Long)

HPY_MOD_EMBEDDABLE(simple)

HPyDef_METH(f, NAME, HPyFunc_NOARGS, .doc = "a, b (c)" " and more")
static HPy f_impl(HPyContext *ctx, HPy SELF) {
  (void)self;
  return HPyLong_FromLong(ctx, NUM_HANDLES + BUF_SIZE);
}

HPyDef_METH(g, N, NO_ARGUMENTS)
HPy g_impl(HPyContext *ctx, HPy self) {
  (void)self;
  return HPyUnicode_FromString(ctx, CAPSULE_NAME);
}

HPyDef_METH(h, "h", HPyFunc_O)
static HPy h_impl(HPyContext *ctx, HPy self, HPy arg) {
  HPy members[] = {self, arg, HPy_NULL};
  HPy i = HPy_NULL;
  HPyTracker tracker = HPyTracker_New(ctx, MODE_READ_ONLY);
  if HPy_IsNull(tracker) {
    return HPyErr_SetString(ctx, ctx->h_ValueError, "no tracker");
  }
  HPyTracker_Close(ctx, tracker);
  if (HPy_IsNull(i)) i = HPyTuple_Pack(ctx, 2, members[0], members[1]);
  return i;
}

HPyDef_METH(i, "i", HPyFunc_VARARGS,
            .doc = "over two lines")
static HPy i_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs) {
  long a, b;
  (void)self;
  if (!HPyArg_Parse(ctx, NULL, args, nargs, "ll", &a, &b)) return HPy_NULL;
  return HPy_BuildValue(ctx, "(ll)", a, b);
}

HPyDef_METH_IMPL(j, "j", j_implementation, HPyFunc_KEYWORDS)
static HPy j_implementation(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames) {
  static const char *keywords[] = {"a", NULL};
  HPyTracker tracker;
  HPy value = HPy_NULL;
  (void)self;
  if (!HPyArg_ParseKeywords(ctx, &tracker, args, nargs, kwnames, "O", keywords, &value)) {
    return HPy_NULL;
  }
  value = HPy_Dup(ctx, value);
  HPyTracker_Close(ctx, tracker);
  return value;
}

/* In the author's own macro, with pasted arguments, on the line of the function that follows. */
#define POINT_OP(NAME)                                   \
  HPyDef_SLOT_IMPL(p_##NAME, NAME##_impl, HPy_nb_##NAME) \
  static HPy NAME##_impl(HPyContext *ctx, HPy v, HPy w) { (void)w; return HPy_Dup(ctx, v); }
POINT_OP(and) POINT_OP(or) POINT_OP(xor)

/* An API function as an implementation, of two types. */
HPyDef_SLOT_IMPL(k, HPyType_GenericNew, HPy_tp_new)
HPyDef_SLOT_IMPL(k2, HPyType_GenericNew, HPy_tp_new)

HPyDef_SLOT(A, MYSLOT)
static HPy A_impl(HPyContext *ctx, HPy self) { return HPyUnicode_FromFormat(ctx, "%R", self); }

HPyDef_SLOT(R, HPy_tp_richcompare)
static HPy R_impl(HPyContext *ctx, HPy self, HPy other, HPy_RichCmpOp op) {
  HPy_RETURN_RICHCOMPARE(ctx, Point_AsStruct(ctx, self)->x, Point_AsStruct(ctx, other)->x, op);
}

HPyDef_SLOT(S, HPy_tp_traverse)
static int S_impl(void *self, HPyFunc_visitproc visit, void *arg) {
  HPy_VISIT(&((Point *)self)->field);
  return 0;
}

HPyDef_SLOT(p, HPy_tp_destroy)
static void p_impl(void *self) { (void)self; }

HPyDef_SLOT(hash, HPy_tp_hash)
static HPy_ssize_t hash_impl(HPyContext *ctx, HPy self) {
  (void)ctx;
  (void)self;
  return 1;
}

HPyDef_MEMBER(x, "x", HPyMember_DOUBLE, offsetof(Point, x))
HPyDef_MEMBER(x1, "x1", HPyMember_DOUBLE, offsetof(Point, x), .readonly = 1)
HPyDef_MEMBER(x2, "x2", HPyMember_DOUBLE, offsetof(Point, x), .readonly = 1, .doc = "x")
HPyDef_MEMBER(call, "__vectorcalloffset__", HPyMember_HPYSSIZET, offsetof(Point, call),
              .readonly = 1)

HPyDef_GET(get, "get", .doc = "a" ", b")
static HPy get_get(HPyContext *ctx, HPy self, void *closure) {
  (void)self;
  (void)closure;
  return HPyFloat_FromDouble(ctx, 1.0);
}
HPyDef_GET_IMPL(get2, "get2", get_get, .closure = (void *)1000)

HPyDef_SET(set, "set")
static int set_set(HPyContext *ctx, HPy self, HPy value, void *closure) {
  (void)self;
  (void)closure;
  return HPyErr_Occurred(ctx) || HPy_IsNull(value) ? -1 : 0;
}
HPyDef_SET_IMPL(set2, "set2", set_set, .doc = "d")

HPyDef_GETSET(both, "both", .doc = "doc", .closure = NULL)
static HPy both_get(HPyContext *ctx, HPy self, void *closure) {
  return get_get(ctx, self, closure);
}
static int both_set(HPyContext *ctx, HPy self, HPy value, void *closure) {
  return set_set(ctx, self, value, closure);
}
HPyDef_GETSET_IMPL(both2, "both2", get_get, set_set)

HPyDef_CALL_FUNCTION(function)
static HPy function_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames) {
  HPy tuple, dict;
  (void)self;
  if (!HPyHelpers_PackArgsAndKeywords(ctx, args, nargs, kwnames, &tuple, &dict)) return HPy_NULL;
  if (!HPy_IsNull(dict)) HPy_Close(ctx, dict);
  return tuple;
}

HPyCapsule_DESTRUCTOR(point_destructor)
static void point_destructor_impl(const char *name, void *pointer, void *context) {
  (void)name;
  (void)pointer;
  (void)context;
}

static HPyDef *point_defines[] = {&k, &A, &R, &S, &p, &x, &get, NULL};
static HPyType_Spec Point_spec = {
    .name = "simple.Point",
    .basicsize = sizeof(Point),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC | HPy_TPFLAGS_BASETYPE,
    .builtin_shape = SHAPE(Point),
    .defines = point_defines,
    .doc = "a point",
};

static HPyGlobal global;
static HPyGlobal *globals[] = {&global, NULL};

HPyDef_SLOT(execute, HPy_mod_exec)
static int execute_impl(HPyContext *ctx, HPy module) {
  static HPyStructSequence_Field fields[] = {{"a", "doc"}, {NULL, NULL}};
  static HPyStructSequence_Desc desc = {"simple.Sequence", NULL, fields};
  HPyType_SpecParam params[] = {{HPyType_SpecParam_Base, ctx->h_BaseObjectType},
                                {(HPyType_SpecParam_Kind)0, HPy_NULL}};
  Point *point = NULL;
  HPy type, object, capsule, sequence, list;
  HPyListBuilder builder;
  HPyListBuilder_i numbers;
  HPyBytesBuilder bytes;
  if (!HPyHelpers_AddType(ctx, module, "Point", &Point_spec, params)) return -1;
  type = HPyType_FromSpec(ctx, &Point_spec, NULL);
  if (HPy_IsNull(type)) return -1;
  object = HPy_New(ctx, type, &point);
  if (HPy_IsNull(object)) return -1;
  point->x = 1.0;
  point->field = HPyField_NULL;
  HPyField_Store(ctx, object, &point->field, HPy_NULL);
  HPy_SetCallFunction(ctx, object, &function);
  HPyGlobal_Store(ctx, &global, object);
  capsule = HPyCapsule_New(ctx, point, CAPSULE_NAME, &point_destructor);
  HPyCapsule_SetDestructor(ctx, capsule, NULL);
  sequence = HPyStructSequence_NewType(ctx, &desc);
  HPy_Close(ctx, sequence);
  builder = HPyListBuilder_New(ctx, 1);
  HPyListBuilder_Set(ctx, builder, 0, object);
  HPyListBuilder_Append(ctx, builder, object);
  list = HPyListBuilder_Build(ctx, builder);
  HPy_Close(ctx, list);
  numbers = HPyListBuilder_i_New(ctx, 1);
  HPyListBuilder_i_Set(ctx, numbers, 0, 42);
  HPyListBuilder_i_Cancel(ctx, numbers);
  bytes = HPyBytesBuilder_New(ctx, 1);
  HPyBytesBuilder_Cancel(ctx, bytes);
  HPy_BEGIN_LEAVE_PYTHON(ctx)
  point->x = 2.0;
  HPy_END_LEAVE_PYTHON(ctx)
  HPy_BEGIN_LEAVE_PYTHON(ctx);
  HPy_END_LEAVE_PYTHON(ctx);
  HPy_Close(ctx, capsule);
  HPy_Close(ctx, object);
  HPy_Close(ctx, type);
  return Number_AsStruct(ctx, module)->value == (long)HPyLong_AsPid(ctx, module) ? -1 : 0;
}

/* It ends with a call that does not return. */
HPyDef_METH(fatal, "fatal", HPyFunc_NOARGS)
static HPy fatal_impl(HPyContext *ctx, HPy self) {
  (void)self;
  HPy_FatalError(ctx, "the end");
}

#ifndef HPY_ABI_UNIVERSAL
static PyObject *legacy(PyObject *self, PyObject *arg) {
  (void)self;
  Py_INCREF(arg);
  return arg;
}
static PyMethodDef legacy_methods[] = {{"legacy", legacy, METH_O, NULL}, {NULL, NULL, 0, NULL}};
#define LEGACY_METHODS legacy_methods
#else
#define LEGACY_METHODS NULL
#endif

/* Defined elsewhere; and one that is written by hand and out of range. */
extern HPyDef elsewhere;
static HPyDef by_hand = {.kind = HPyDef_Kind_Meth,
                         .meth = {.name = "by_hand", .signature = (HPyFunc_Signature)1234}};

static HPyDef *module_defines[] = {&f, &g, &h, &i, &j, &execute, &by_hand, &elsewhere, NULL};

/* The same name for the variable and the module. */
static HPyModuleDef simple = {
    .doc = "ABI " HPY_ABI,
    .size = 0,
    .legacy_methods = LEGACY_METHODS,
    .defines = module_defines,
    .globals = globals,
};
HPy_MODINIT(simple, simple)

/* Any name will do for what an author keeps. */
HPyContext *ctx;
HPy handle;
const char *about(void);
const char *about(void) { return ctx->abi_version == HPY_ABI_VERSION ? ctx->name : HPY_ABI_TAG; }
