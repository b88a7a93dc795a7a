/* The extension that every consumer project here builds: its documentation says for which ABI. */
#include "hpy.h"

HPyDef_METH(add, "add", HPyFunc_VARARGS) static HPy
    add_impl(HPyContext* ctx, HPy self, const HPy* args, size_t nargs) {
  long a, b;
  (void)self;
  if (!HPyArg_Parse(ctx, NULL, args, nargs, "ll", &a, &b)) return HPy_NULL;
  return HPyLong_FromLong(ctx, a + b);
}

static HPyDef* module_defines[] = {&add, NULL};
static HPyModuleDef moduledef = {
    .doc = HPY_ABI,
    .defines = module_defines,
};
HPy_MODINIT(example, moduledef)
