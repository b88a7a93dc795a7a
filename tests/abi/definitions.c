/* A definition for every slot, and a trampoline for every signature. Compiled, never run. */
/* Lists of macro calls, and code as authors write it. */
/* clang-format off */
#include "hpy.h"

/* The implementations are somewhere else: only their prototypes matter. */
#define HPY_SIGNATURE(value, NAME, ...) extern _HPyFuncType_HPyFunc_##NAME impl_##NAME;
#define HPY_SIGNATURE_BARE(value, NAME, ...) extern _HPyFuncType_HPyFunc_##NAME impl_##NAME;
#include "hpy/abi/signatures.inc"

#define HPY_SIGNATURE(value, NAME, ...) \
  HPyFunc_TRAMPOLINE(trampoline_##NAME, impl_##NAME, HPyFunc_##NAME)
#define HPY_SIGNATURE_BARE(value, NAME, ...) \
  HPyFunc_TRAMPOLINE(trampoline_##NAME, impl_##NAME, HPyFunc_##NAME)
#include "hpy/abi/signatures.inc"

/* Used, so that none of them warns. */
void (*trampolines[])(void) = {
#define HPY_SIGNATURE(value, NAME, ...) (void (*)(void))trampoline_##NAME,
#define HPY_SIGNATURE_BARE(value, NAME, ...) (void (*)(void))trampoline_##NAME,
#include "hpy/abi/signatures.inc"
};

/* The bodies of the implementations below, by signature. */
#define BODY_UNARYFUNC(NAME) static HPy NAME(HPyContext *ctx, HPy v) { return HPy_Dup(ctx, v); }
#define BODY_REPRFUNC(NAME) BODY_UNARYFUNC(NAME)
#define BODY_MOD_CREATE(NAME) BODY_UNARYFUNC(NAME)
#define BODY_BINARYFUNC(NAME) \
  static HPy NAME(HPyContext *ctx, HPy v, HPy w) { return HPy_Add(ctx, v, w); }
#define BODY_TERNARYFUNC(NAME) \
  static HPy NAME(HPyContext *ctx, HPy v, HPy w, HPy z) { return HPy_Power(ctx, v, w, z); }
#define BODY_INQUIRY(NAME) static int NAME(HPyContext *ctx, HPy v) { return HPy_IsTrue(ctx, v); }
#define BODY_LENFUNC(NAME) \
  static HPy_ssize_t NAME(HPyContext *ctx, HPy v) { return HPy_Length(ctx, v); }
#define BODY_HASHFUNC(NAME) \
  static HPy_hash_t NAME(HPyContext *ctx, HPy v) { return HPy_Hash(ctx, v); }
#define BODY_SSIZEARGFUNC(NAME) \
  static HPy NAME(HPyContext *ctx, HPy v, HPy_ssize_t n) { return HPy_GetItem_i(ctx, v, n); }
#define BODY_SSIZEOBJARGPROC(NAME)                                    \
  static int NAME(HPyContext *ctx, HPy v, HPy_ssize_t n, HPy value) { \
    return HPy_SetItem_i(ctx, v, n, value);                           \
  }
#define BODY_OBJOBJARGPROC(NAME) \
  static int NAME(HPyContext *ctx, HPy v, HPy w, HPy z) { return HPy_SetItem(ctx, v, w, z); }
#define BODY_OBJOBJPROC(NAME) \
  static int NAME(HPyContext *ctx, HPy v, HPy w) { return HPy_Contains(ctx, v, w); }
#define BODY_GETBUFFERPROC(NAME)                                         \
  static int NAME(HPyContext *ctx, HPy v, HPy_buffer *view, int flags) { \
    view->obj = HPy_Dup(ctx, v);                                         \
    return flags;                                                        \
  }
#define BODY_RELEASEBUFFERPROC(NAME) \
  static void NAME(HPyContext *ctx, HPy v, HPy_buffer *view) { HPy_Is(ctx, v, view->obj); }
#define BODY_KEYWORDS(NAME)                                                             \
  static HPy NAME(HPyContext *ctx, HPy v, const HPy *args, size_t nargs, HPy kwnames) { \
    return HPy_Call(ctx, v, args, nargs, kwnames);                                      \
  }
#define BODY_INITPROC(NAME)                                                             \
  static int NAME(HPyContext *ctx, HPy v, const HPy *args, HPy_ssize_t nargs, HPy kw) { \
    return nargs > 0 && HPy_Is(ctx, args[0], kw) ? HPy_IsTrue(ctx, v) : 0;              \
  }
#define BODY_NEWFUNC(NAME)                                                              \
  static HPy NAME(HPyContext *ctx, HPy v, const HPy *args, HPy_ssize_t nargs, HPy kw) { \
    return HPyType_GenericNew(ctx, v, args, nargs, kw);                                 \
  }
#define BODY_RICHCMPFUNC(NAME)                                       \
  static HPy NAME(HPyContext *ctx, HPy v, HPy w, HPy_RichCmpOp op) { \
    return HPy_RichCompare(ctx, v, w, (int)op);                      \
  }
#define BODY_TRAVERSEPROC(NAME)                                       \
  static int NAME(void *object, HPyFunc_visitproc visit, void *arg) { \
    HPy_VISIT((HPyField *)object);                                    \
    return 0;                                                         \
  }
#define BODY_DESTRUCTOR(NAME) static void NAME(HPyContext *ctx, HPy v) { _HPy_Dump(ctx, v); }
#define BODY_DESTROYFUNC(NAME) static void NAME(void *object) { free(object); }

#define IMPLEMENT(SLOT, SIGNATURE) \
  HPyDef_SLOT(def_##SLOT, SLOT) BODY_##SIGNATURE(def_##SLOT##_impl)
IMPLEMENT(HPy_bf_getbuffer, GETBUFFERPROC)
IMPLEMENT(HPy_bf_releasebuffer, RELEASEBUFFERPROC)
IMPLEMENT(HPy_mp_ass_subscript, OBJOBJARGPROC)
IMPLEMENT(HPy_mp_length, LENFUNC)
IMPLEMENT(HPy_mp_subscript, BINARYFUNC)
IMPLEMENT(HPy_nb_absolute, UNARYFUNC)
IMPLEMENT(HPy_nb_add, BINARYFUNC)
IMPLEMENT(HPy_nb_and, BINARYFUNC)
IMPLEMENT(HPy_nb_bool, INQUIRY)
IMPLEMENT(HPy_nb_divmod, BINARYFUNC)
IMPLEMENT(HPy_nb_float, UNARYFUNC)
IMPLEMENT(HPy_nb_floor_divide, BINARYFUNC)
IMPLEMENT(HPy_nb_index, UNARYFUNC)
IMPLEMENT(HPy_nb_inplace_add, BINARYFUNC)
IMPLEMENT(HPy_nb_inplace_and, BINARYFUNC)
IMPLEMENT(HPy_nb_inplace_floor_divide, BINARYFUNC)
IMPLEMENT(HPy_nb_inplace_lshift, BINARYFUNC)
IMPLEMENT(HPy_nb_inplace_multiply, BINARYFUNC)
IMPLEMENT(HPy_nb_inplace_or, BINARYFUNC)
IMPLEMENT(HPy_nb_inplace_power, TERNARYFUNC)
IMPLEMENT(HPy_nb_inplace_remainder, BINARYFUNC)
IMPLEMENT(HPy_nb_inplace_rshift, BINARYFUNC)
IMPLEMENT(HPy_nb_inplace_subtract, BINARYFUNC)
IMPLEMENT(HPy_nb_inplace_true_divide, BINARYFUNC)
IMPLEMENT(HPy_nb_inplace_xor, BINARYFUNC)
IMPLEMENT(HPy_nb_int, UNARYFUNC)
IMPLEMENT(HPy_nb_invert, UNARYFUNC)
IMPLEMENT(HPy_nb_lshift, BINARYFUNC)
IMPLEMENT(HPy_nb_multiply, BINARYFUNC)
IMPLEMENT(HPy_nb_negative, UNARYFUNC)
IMPLEMENT(HPy_nb_or, BINARYFUNC)
IMPLEMENT(HPy_nb_positive, UNARYFUNC)
IMPLEMENT(HPy_nb_power, TERNARYFUNC)
IMPLEMENT(HPy_nb_remainder, BINARYFUNC)
IMPLEMENT(HPy_nb_rshift, BINARYFUNC)
IMPLEMENT(HPy_nb_subtract, BINARYFUNC)
IMPLEMENT(HPy_nb_true_divide, BINARYFUNC)
IMPLEMENT(HPy_nb_xor, BINARYFUNC)
IMPLEMENT(HPy_sq_ass_item, SSIZEOBJARGPROC)
IMPLEMENT(HPy_sq_concat, BINARYFUNC)
IMPLEMENT(HPy_sq_contains, OBJOBJPROC)
IMPLEMENT(HPy_sq_inplace_concat, BINARYFUNC)
IMPLEMENT(HPy_sq_inplace_repeat, SSIZEARGFUNC)
IMPLEMENT(HPy_sq_item, SSIZEARGFUNC)
IMPLEMENT(HPy_sq_length, LENFUNC)
IMPLEMENT(HPy_sq_repeat, SSIZEARGFUNC)
IMPLEMENT(HPy_tp_call, KEYWORDS)
IMPLEMENT(HPy_tp_descr_get, TERNARYFUNC)
IMPLEMENT(HPy_tp_hash, HASHFUNC)
IMPLEMENT(HPy_tp_init, INITPROC)
IMPLEMENT(HPy_tp_new, NEWFUNC)
IMPLEMENT(HPy_tp_repr, REPRFUNC)
IMPLEMENT(HPy_tp_richcompare, RICHCMPFUNC)
IMPLEMENT(HPy_tp_str, REPRFUNC)
IMPLEMENT(HPy_tp_traverse, TRAVERSEPROC)
IMPLEMENT(HPy_nb_matrix_multiply, BINARYFUNC)
IMPLEMENT(HPy_nb_inplace_matrix_multiply, BINARYFUNC)
IMPLEMENT(HPy_tp_finalize, DESTRUCTOR)
IMPLEMENT(HPy_tp_destroy, DESTROYFUNC)
IMPLEMENT(HPy_mod_create, MOD_CREATE)
IMPLEMENT(HPy_mod_exec, INQUIRY)
