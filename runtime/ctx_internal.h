/* What runtime/ctx_*.c and universal/ share: conversions between handles and objects,
 * declarations.
 *
 * The files runtime/ctx_*.c are compiled twice: into extensions of the CPython ABI
 * (HPY_ABI_CPYTHON), where a handle is the address of an object, and into hpy.universal
 * (HPY_ABI_HYBRID and HPY_UNIVERSAL_CONTEXT), where it is that address plus one: odd, so that it
 * is never taken for an object nor for a handle of the debug context. Null is 0 in both. */
#ifndef HPY_RUNTIME_CTX_INTERNAL_H_
#define HPY_RUNTIME_CTX_INTERNAL_H_

#include "hpy.h"

#include "compat.h"

#if !defined(HPY_ABI_CPYTHON) && !defined(HPY_UNIVERSAL_CONTEXT)
#error "runtime/ctx_*.c belong to the CPython ABI and to the universal context only"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifdef HPY_ABI_CPYTHON
#define HPY_HANDLE_BIAS 0
#else
#define HPY_HANDLE_BIAS 1
#endif

/* Handle to object: borrowed. NULL for a null handle. */
static inline PyObject *_h2py(HPy h) {
  return h._i == 0 ? NULL : (PyObject *)(h._i - HPY_HANDLE_BIAS);
}

/* The same for a handle that cannot be null. */
static inline PyObject *_h2py_nn(HPy h) { return (PyObject *)(h._i - HPY_HANDLE_BIAS); }

/* Object to handle: the reference goes with it. HPy_NULL for NULL. */
static inline HPy _py2h(PyObject *object) {
  HPy h;
  h._i = object == NULL ? 0 : (intptr_t)object + HPY_HANDLE_BIAS;
  return h;
}

/* The same for an object that cannot be NULL. */
static inline HPy _py2h_nn(PyObject *object) {
  HPy h;
  h._i = (intptr_t)object + HPY_HANDLE_BIAS;
  return h;
}

static inline PyObject *_hf2py(HPyField field) {
  return field._i == 0 ? NULL : (PyObject *)(field._i - HPY_HANDLE_BIAS);
}

static inline HPyField _py2hf(PyObject *object) {
  HPyField field;
  field._i = object == NULL ? 0 : (intptr_t)object + HPY_HANDLE_BIAS;
  return field;
}

#ifdef HPY_UNIVERSAL_CONTEXT
/* The implementations of all rows of the table that are not an expression, so that the compiler
 * compares each with its row. (In the CPython ABI the headers declare them.) */
#define _HPY_DECLARE_OWN(ret, member, params) HPyAPI_IMPL ret member params;
#define _HPY_DECLARE_NOTHING(ret, member, params)
#define _HPY_DECLARE_C(...) _HPY_DECLARE_NOTHING
#define HPY_FUNC(index, member, name, ret, params, args, api, nullable, observed, raises, error, \
                 impl)                                                                           \
  _HPY_DECLARE_##impl(ret, member, params)
#define HPY_PROC(index, member, name, params, args, api, nullable, observed, raises, impl) \
  _HPY_DECLARE_##impl(void, member, params)
#include "hpy/abi/context.inc"
#undef _HPY_DECLARE_OWN
#undef _HPY_DECLARE_NOTHING
#undef _HPY_DECLARE_C
#endif

/* A function pointer as one of another type, through the one type that every compiler converts
 * without a warning. */
#define HPY_FUNCTION(type, function) ((type)(void (*)(void))(function))

/* What a TRAVERSEPROC trampoline does: calls `impl` with the struct of `self` that belongs to
 * the type which has `impl`, and a visit function that turns fields into objects. */
HPyAPI_IMPL int _HPyType_CallTraverse(HPyFunc_traverseproc impl, PyObject *self, visitproc visit,
                                      void *arg);

#ifdef HPY_UNIVERSAL_CONTEXT
/* Told before and after each call of an HPy_tp_traverse or HPy_tp_destroy, with memory in the frame
 * that makes the call, for as long as the call lasts. `destroys`: it is the latter. */
#define HPY_SLOT_FRAME_WORDS 6
typedef void (*_HPySlot_Begin)(void *frame, HPyCFunction function, const void *object,
                               int destroys);
typedef void (*_HPySlot_End)(const void *frame);
/* One watcher, for all types of the process, from now on. */
HPyAPI_IMPL void _HPyType_WatchSlots(_HPySlot_Begin begin, _HPySlot_End end);
#endif

/* The struct of an object as the type of HPy's that is nearest among its bases has it, the object
 * itself when there is none. */
HPyAPI_IMPL void *_HPyType_StructOf(PyObject *object);

/* The size of the struct that HPy_New(type) hands out, without what the runtime has behind it. 0
 * when the type has none, -1 when the struct is followed by data of variable size. */
HPyAPI_IMPL Py_ssize_t _HPyType_StructSize(PyTypeObject *type);

/* CPython's definition of the same module, after all checks. It is never freed. NULL with an
 * exception set when a check fails. Making the module from it: PyModule_FromDefAndSpec,
 * PyModule_ExecDef. */
HPyAPI_IMPL PyModuleDef *_HPyModuleDef_AsPyModuleDef(_HPyModuleDef_ABI *def);

#ifdef __cplusplus
}
#endif

#endif
