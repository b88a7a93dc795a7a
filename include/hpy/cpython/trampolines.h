/* Trampolines of the CPython ABI: each calls its implementation directly. The objects are handles
 * already, and arrays of them are passed without copying. */
#ifndef HPY_CPYTHON_TRAMPOLINES_H
#define HPY_CPYTHON_TRAMPOLINES_H

#ifdef __cplusplus
extern "C" {
#endif

#define _HPy_H(object) _HPyCPy_FromObject(object)

HPyAPI_UNUSED const HPy* _HPyCPy_TupleItems(cpy_PyObject* tuple) {
  return (const HPy*)(const void*)((PyTupleObject*)tuple)->ob_item;
}

/* Those with a method's array of arguments, or a tuple. */

HPyAPI_UNUSED cpy_PyObject* _HPyTrampoline_VARARGS(HPyContext* ctx, HPyFunc_varargs impl,
                                                   cpy_PyObject* self, cpy_PyObject* const* args,
                                                   HPy_ssize_t nargs) {
  return _HPyX(impl(ctx, _HPy_H(self), (const HPy*)(const void*)args, (size_t)nargs));
}

/* Serves as a vectorcall function too, whose count has a flag in its top bit. */
HPyAPI_UNUSED cpy_PyObject* _HPyTrampoline_KEYWORDS(HPyContext* ctx, HPyFunc_keywords impl,
                                                    cpy_PyObject* self, cpy_PyObject* const* args,
                                                    size_t nargsf, cpy_PyObject* kwnames) {
  return _HPyX(impl(ctx, _HPy_H(self), (const HPy*)(const void*)args,
                    (size_t)PyVectorcall_NARGS(nargsf), _HPy_H(kwnames)));
}

HPyAPI_UNUSED int _HPyTrampoline_INITPROC(HPyContext* ctx, HPyFunc_initproc impl,
                                          cpy_PyObject* self, cpy_PyObject* args,
                                          cpy_PyObject* kw) {
  return impl(ctx, _HPy_H(self), _HPyCPy_TupleItems(args), PyTuple_GET_SIZE(args), _HPy_H(kw));
}

HPyAPI_UNUSED cpy_PyObject* _HPyTrampoline_NEWFUNC(HPyContext* ctx, HPyFunc_newfunc impl,
                                                   cpy_PyObject* self, cpy_PyObject* args,
                                                   cpy_PyObject* kw) {
  return _HPyX(
      impl(ctx, _HPy_H(self), _HPyCPy_TupleItems(args), PyTuple_GET_SIZE(args), _HPy_H(kw)));
}

/* HPy_buffer has the layout of Py_buffer, and the owned handle in it is an owned reference. */

HPyAPI_UNUSED int _HPyTrampoline_GETBUFFERPROC(HPyContext* ctx, HPyFunc_getbufferproc impl,
                                               cpy_PyObject* self, cpy_Py_buffer* view, int flags) {
  const int result = impl(ctx, _HPy_H(self), (HPy_buffer*)(void*)view, flags);
  if (result < 0) view->obj = NULL;
  return result;
}

HPyAPI_UNUSED void _HPyTrampoline_RELEASEBUFFERPROC(HPyContext* ctx, HPyFunc_releasebufferproc impl,
                                                    cpy_PyObject* self, cpy_Py_buffer* view) {
  impl(ctx, _HPy_H(self), (HPy_buffer*)(void*)view);
}

HPyAPI_UNUSED int _HPyTrampoline_TRAVERSEPROC(HPyContext* ctx, HPyFunc_traverseproc impl,
                                              cpy_PyObject* self, cpy_visitproc visit, void* arg) {
  (void)ctx;
  return _HPyType_CallTraverse(impl, self, visit, arg);
}

HPyAPI_UNUSED void _HPyTrampoline_CAPSULE_DESTRUCTOR(HPyContext* ctx,
                                                     HPyFunc_Capsule_Destructor impl,
                                                     cpy_PyObject* capsule) {
  const char* name = PyCapsule_GetName(capsule);
  (void)ctx;
  impl(name, PyCapsule_GetPointer(capsule, name), PyCapsule_GetContext(capsule));
}

/* The others pass objects and scalars on: PARAMS behind ctx and impl, ARGS what the implementation
 * gets, RESULT what becomes of its result. */
/* clang-format off */
#define _HPy_SAME(result) result
#define _HPy_TRAMPOLINE(NAME, type, ret, RESULT, PARAMS, ARGS)                               \
  HPyAPI_UNUSED ret _HPyTrampoline_##NAME(HPyContext* ctx, type impl, _HPy_UNPAREN PARAMS) { \
    return RESULT(impl(ctx, _HPy_UNPAREN ARGS));                                             \
  }
#define _HPy_TRAMPOLINE_VOID(NAME, type, PARAMS, ARGS)                                        \
  HPyAPI_UNUSED void _HPyTrampoline_##NAME(HPyContext* ctx, type impl, _HPy_UNPAREN PARAMS) { \
    impl(ctx, _HPy_UNPAREN ARGS);                                                             \
  }

#define _HPy_P1 cpy_PyObject* arg0
#define _HPy_P2 cpy_PyObject* arg0, cpy_PyObject* arg1
#define _HPy_P3 cpy_PyObject* arg0, cpy_PyObject* arg1, cpy_PyObject* arg2
#define _HPy_A1 _HPy_H(arg0)
#define _HPy_A2 _HPy_H(arg0), _HPy_H(arg1)
#define _HPy_A3 _HPy_H(arg0), _HPy_H(arg1), _HPy_H(arg2)

_HPy_TRAMPOLINE(NOARGS, HPyFunc_noargs, cpy_PyObject*, _HPyX, (_HPy_P1), (_HPy_A1))
_HPy_TRAMPOLINE(O, HPyFunc_o, cpy_PyObject*, _HPyX, (_HPy_P2), (_HPy_A2))
_HPy_TRAMPOLINE(UNARYFUNC, HPyFunc_unaryfunc, cpy_PyObject*, _HPyX, (_HPy_P1), (_HPy_A1))
_HPy_TRAMPOLINE(BINARYFUNC, HPyFunc_binaryfunc, cpy_PyObject*, _HPyX, (_HPy_P2), (_HPy_A2))
_HPy_TRAMPOLINE(TERNARYFUNC, HPyFunc_ternaryfunc, cpy_PyObject*, _HPyX, (_HPy_P3), (_HPy_A3))
_HPy_TRAMPOLINE(INQUIRY, HPyFunc_inquiry, int, _HPy_SAME, (_HPy_P1), (_HPy_A1))
_HPy_TRAMPOLINE(LENFUNC, HPyFunc_lenfunc, HPy_ssize_t, _HPy_SAME, (_HPy_P1), (_HPy_A1))
_HPy_TRAMPOLINE(SSIZEARGFUNC, HPyFunc_ssizeargfunc, cpy_PyObject*, _HPyX,
                (_HPy_P1, HPy_ssize_t arg1), (_HPy_A1, arg1))
_HPy_TRAMPOLINE(SSIZESSIZEARGFUNC, HPyFunc_ssizessizeargfunc, cpy_PyObject*, _HPyX,
                (_HPy_P1, HPy_ssize_t arg1, HPy_ssize_t arg2), (_HPy_A1, arg1, arg2))
_HPy_TRAMPOLINE(SSIZEOBJARGPROC, HPyFunc_ssizeobjargproc, int, _HPy_SAME,
                (_HPy_P1, HPy_ssize_t arg1, cpy_PyObject* arg2), (_HPy_A1, arg1, _HPy_H(arg2)))
_HPy_TRAMPOLINE(SSIZESSIZEOBJARGPROC, HPyFunc_ssizessizeobjargproc, int, _HPy_SAME,
                (_HPy_P1, HPy_ssize_t arg1, HPy_ssize_t arg2, cpy_PyObject* arg3),
                (_HPy_A1, arg1, arg2, _HPy_H(arg3)))
_HPy_TRAMPOLINE(OBJOBJARGPROC, HPyFunc_objobjargproc, int, _HPy_SAME, (_HPy_P3), (_HPy_A3))
_HPy_TRAMPOLINE_VOID(FREEFUNC, HPyFunc_freefunc, (void* arg0), (arg0))
_HPy_TRAMPOLINE(GETATTRFUNC, HPyFunc_getattrfunc, cpy_PyObject*, _HPyX, (_HPy_P1, char* arg1),
                (_HPy_A1, arg1))
_HPy_TRAMPOLINE(GETATTROFUNC, HPyFunc_getattrofunc, cpy_PyObject*, _HPyX, (_HPy_P2), (_HPy_A2))
_HPy_TRAMPOLINE(SETATTRFUNC, HPyFunc_setattrfunc, int, _HPy_SAME,
                (_HPy_P1, char* arg1, cpy_PyObject* arg2), (_HPy_A1, arg1, _HPy_H(arg2)))
_HPy_TRAMPOLINE(SETATTROFUNC, HPyFunc_setattrofunc, int, _HPy_SAME, (_HPy_P3), (_HPy_A3))
_HPy_TRAMPOLINE(REPRFUNC, HPyFunc_reprfunc, cpy_PyObject*, _HPyX, (_HPy_P1), (_HPy_A1))
_HPy_TRAMPOLINE(HASHFUNC, HPyFunc_hashfunc, HPy_hash_t, _HPy_SAME, (_HPy_P1), (_HPy_A1))
_HPy_TRAMPOLINE(RICHCMPFUNC, HPyFunc_richcmpfunc, cpy_PyObject*, _HPyX,
                (_HPy_P2, HPy_RichCmpOp arg2), (_HPy_A2, arg2))
_HPy_TRAMPOLINE(GETITERFUNC, HPyFunc_getiterfunc, cpy_PyObject*, _HPyX, (_HPy_P1), (_HPy_A1))
_HPy_TRAMPOLINE(ITERNEXTFUNC, HPyFunc_iternextfunc, cpy_PyObject*, _HPyX, (_HPy_P1), (_HPy_A1))
_HPy_TRAMPOLINE(DESCRGETFUNC, HPyFunc_descrgetfunc, cpy_PyObject*, _HPyX, (_HPy_P3), (_HPy_A3))
_HPy_TRAMPOLINE(DESCRSETFUNC, HPyFunc_descrsetfunc, int, _HPy_SAME, (_HPy_P3), (_HPy_A3))
_HPy_TRAMPOLINE(GETTER, HPyFunc_getter, cpy_PyObject*, _HPyX, (_HPy_P1, void* arg1),
                (_HPy_A1, arg1))
_HPy_TRAMPOLINE(SETTER, HPyFunc_setter, int, _HPy_SAME, (_HPy_P2, void* arg2), (_HPy_A2, arg2))
_HPy_TRAMPOLINE(OBJOBJPROC, HPyFunc_objobjproc, int, _HPy_SAME, (_HPy_P2), (_HPy_A2))
_HPy_TRAMPOLINE_VOID(DESTRUCTOR, HPyFunc_destructor, (_HPy_P1), (_HPy_A1))
_HPy_TRAMPOLINE(MOD_CREATE, HPyFunc_mod_create, cpy_PyObject*, _HPyX, (_HPy_P1), (_HPy_A1))

/* clang-format on */
#undef _HPy_H
#undef _HPy_SAME
#undef _HPy_TRAMPOLINE
#undef _HPy_TRAMPOLINE_VOID
#undef _HPy_P1
#undef _HPy_P2
#undef _HPy_P3
#undef _HPy_A1
#undef _HPy_A2
#undef _HPy_A3

#ifdef __cplusplus
}
#endif

#endif /* HPY_CPYTHON_TRAMPOLINES_H */
