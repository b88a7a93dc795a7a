/* The spelling of HPy 0.0.4, that of the seeds. Compiled, never run; tests/test_headers.py. */
/* Lists of macro calls, and code as authors write it. */
/* clang-format off */
#define HPY_OLD_GETSET
#include "hpy.h"

typedef struct {
  double x;
} Point;
HPyType_HELPERS(Point)
typedef struct {
  double x;
} Legacy;
HPyType_LEGACY_HELPERS(Legacy)

HPyDef_METH(myabs, "myabs", myabs_impl, HPyFunc_O)
static HPy myabs_impl(HPyContext *ctx, HPy self, HPy arg) {
  (void)self;
  return HPy_Absolute(ctx, arg);
}

HPyDef_METH(f, "f", f_impl, HPyFunc_NOARGS, .doc = "a, b (c)" " and more")
static HPy f_impl(HPyContext *ctx, HPy self) { return HPy_Dup(ctx, self); }

HPyDef_METH(add_ints, "add_ints", add_ints_impl,
            HPyFunc_VARARGS)
static HPy add_ints_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs) {
  long a, b;
  (void)self;
  if (!HPyArg_Parse(ctx, NULL, args, nargs, "ll", &a, &b)) return HPy_NULL;
  return HPyLong_FromLong(ctx, a + b);
}

HPyDef_METH(keywords, "keywords", keywords_impl, HPyFunc_KEYWORDS, .doc = "doc")
static HPy keywords_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs, HPy kw) {
  static const char *names[] = {"a", "b", NULL};
  long a, b = 0;
  (void)self;
  if (!HPyArg_ParseKeywords(ctx, NULL, args, nargs, kw, "l|l", names, &a, &b)) return HPy_NULL;
  return HPyLong_FromLong(ctx, a + b);
}

/* In a macro, with pasted arguments. */
#define UNARY(NAME)                                 \
  HPyDef_SLOT(p_##NAME, NAME##_impl, HPy_nb_##NAME) \
  static HPy NAME##_impl(HPyContext *ctx, HPy self) { return HPy_Dup(ctx, self); }
UNARY(negative) UNARY(positive)

HPyDef_SLOT(generic_new, HPyType_GenericNew, HPy_tp_new)
HPyDef_SLOT(generic_new2, HPyType_GenericNew, HPy_tp_new)

HPyDef_SLOT(own_new, own_new_impl, HPy_tp_new)
static HPy own_new_impl(HPyContext *ctx, HPy type, HPy *args, HPy_ssize_t nargs, HPy kw) {
  Point *point;
  (void)args;
  (void)nargs;
  (void)kw;
  return HPy_New(ctx, type, &point);
}

HPyDef_SLOT(init, init_impl, HPy_tp_init)
static int init_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs, HPy kw) {
  (void)args;
  (void)kw;
  ((Point *)HPy_AsStruct(ctx, self))->x = (double)nargs;
  ((Legacy *)HPy_AsStructLegacy(ctx, self))->x = (double)nargs;
  return 0;
}

HPyDef_MEMBER(x, "x", HPyMember_DOUBLE, offsetof(Point, x), .readonly = 1)

HPyDef_GET(get, "get", get_impl, .doc = "doc")
static HPy get_impl(HPyContext *ctx, HPy self, void *closure) {
  (void)closure;
  return HPy_Dup(ctx, self);
}
HPyDef_SET(set, "set", set_impl)
static int set_impl(HPyContext *ctx, HPy self, HPy value, void *closure) {
  (void)ctx;
  (void)self;
  (void)value;
  (void)closure;
  return 0;
}
HPyDef_GETSET(getset, "getset", get_impl, set_impl, .closure = NULL)

static HPyType_Spec Point_spec = {
    .name = "simple.Point", .basicsize = sizeof(Point), .legacy = Point_IS_LEGACY};
static HPyType_Spec Legacy_spec = {
    .name = "simple.Legacy", .basicsize = sizeof(Legacy), .legacy = true};

static HPyDef *defines[] = {&myabs, &f, &add_ints, &keywords, NULL};
static HPyModuleDef simple = {
    .name = "simple", .doc = "doc", .size = -1, .legacy_methods = NULL, .defines = defines};

HPy_MODINIT(simple)
HPy init_simple_impl(HPyContext *ctx) {
  HPyType_SpecParam params[] = {{HPyType_SpecParam_Base, ctx->h_LongType}, {0}};
  HPy module = HPyModule_Create(ctx, &simple);
  HPy bytes;
  char *text;
  if (HPy_IsNull(module)) return HPy_NULL;
  if (!HPyHelpers_AddType(ctx, module, "Point", &Point_spec, NULL) ||
      !HPyHelpers_AddType(ctx, module, "Legacy", &Legacy_spec, params)) {
    HPy_Close(ctx, module);
    return HPy_NULL;
  }
  bytes = HPyBytes_FromString(ctx, ctx->ctx_version == 0 ? "0" : "1");
  text = HPyBytes_AsString(ctx, bytes);
  HPyErr_SetString(ctx, ctx->h_ValueError, text);
  HPy_Close(ctx, bytes);
  return module;
}
