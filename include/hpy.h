/* HPy: what an extension includes in place of Python.h.
 *
 *     #include "hpy.h"
 *
 *     HPyDef_METH(myabs, "myabs", HPyFunc_O)
 *     static HPy myabs_impl(HPyContext *ctx, HPy self, HPy arg)
 *     {
 *         (void)self;
 *         return HPy_Absolute(ctx, arg);
 *     }
 *
 *     static HPyDef *defines[] = {&myabs, NULL};
 *     static HPyModuleDef moduledef = {.doc = "an example", .defines = defines};
 *     HPy_MODINIT(simple, moduledef)
 *
 * One of HPY_ABI_CPYTHON, HPY_ABI_UNIVERSAL and HPY_ABI_HYBRID selects the binary interface (see
 * hpy/abi_choice.h). Every handle that a function returns belongs to the caller, who closes it once
 * with HPy_Close; handles that a function receives belong to its caller. HPy_NULL as a result means
 * that an exception is set.
 *
 *     HPy one = HPyLong_FromLong(ctx, 1);
 *     HPy sum = HPy_Add(ctx, arg, one);
 *     return sum;                     <- `one` is never closed: debug mode reports the leak, and
 *                                        names the line of HPyLong_FromLong
 *
 * The older spelling of HPy 0.0.4 (HPyDef_METH with four fixed arguments, HPy_MODINIT with one,
 * HPyModule_Create, ...) is accepted as well; hpy/hpydef.h and hpy/hpymodule.h say how. */
#ifndef HPY_H
#define HPY_H

#include "hpy/abi_choice.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "hpy/macros.h"

#include "hpy/handle.h"
#include "hpy/hpyfunc.h"
#include "hpy/hpytype.h"
#include "hpy/hpymodule.h"
#include "hpy/context.h"

#ifdef HPY_ABI_CPYTHON
#include "hpy/cpython/convert.h"
#include "hpy/cpython/context.h"
#include "hpy/cpython/api.h"
#include "hpy/cpython/trampolines.h"
#else
#ifdef HPY_UNIVERSAL_CONTEXT /* hpy's own: the implementation of the universal context */
#include "hpy/cpython/convert.h"
#endif
#include "hpy/universal/api.h"
#include "hpy/universal/trampolines.h"
#endif

#include "hpy/inline_helpers.h"
#include "hpy/runtime.h"
#include "hpy/hpydef.h"
#include "hpy/modinit.h"

#endif /* HPY_H */
