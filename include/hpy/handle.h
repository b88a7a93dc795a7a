/* Scalars, the handle types, and the names of CPython's own types. */
#ifndef HPY_HANDLE_H
#define HPY_HANDLE_H

#ifdef __cplusplus
extern "C" {
#endif

/* CPython's types: real ones where Python.h may be used, incomplete ones that cannot be filled in
 * the universal ABI. */
#ifdef HPY_ABI_UNIVERSAL
typedef struct FORBIDDEN_cpy_PyObject cpy_PyObject;
typedef struct FORBIDDEN_PyMethodDef cpy_PyMethodDef;
typedef struct FORBIDDEN_PyModuleDef cpy_PyModuleDef;
typedef struct FORBIDDEN_bufferinfo cpy_Py_buffer;
#ifndef HPY_ABI_VIEW
/* Of legacy definitions: so that the compiler says more than that it does not know the type. */
typedef struct FORBIDDEN_PyMethodDef PyMethodDef;
typedef struct FORBIDDEN_PyMemberDef PyMemberDef;
typedef struct FORBIDDEN_PyGetSetDef PyGetSetDef;
typedef struct FORBIDDEN_PyType_Slot PyType_Slot;
#endif
#else
typedef PyObject cpy_PyObject;
typedef PyMethodDef cpy_PyMethodDef;
typedef PyModuleDef cpy_PyModuleDef;
typedef Py_buffer cpy_Py_buffer;
#endif

/* HPy_hash_t and HPy_ssize_t are the same C type: authors return either from HPy_tp_hash. */
#ifdef HPY_ABI_CPYTHON
typedef Py_ssize_t HPy_ssize_t;
typedef Py_hash_t HPy_hash_t;
typedef Py_UCS4 HPy_UCS4;
#else
typedef intptr_t HPy_ssize_t;
typedef intptr_t HPy_hash_t;
typedef uint32_t HPy_UCS4;
#endif
/* Not PY_SSIZE_T_MAX: that may be POSIX's SSIZE_MAX, which not every order of headers defines. */
#define HPY_SSIZE_T_MAX INTPTR_MAX
#define HPY_SSIZE_T_MIN (-INTPTR_MAX - 1)

typedef cpy_PyObject* (*cpy_PyCFunction)(cpy_PyObject*, cpy_PyObject* const*, HPy_ssize_t);
typedef int (*cpy_visitproc)(cpy_PyObject*, void*);
typedef cpy_PyObject* (*cpy_getter)(cpy_PyObject*, void*);
typedef int (*cpy_setter)(cpy_PyObject*, cpy_PyObject*, void*);
typedef void (*cpy_PyCapsule_Destructor)(cpy_PyObject*);
typedef cpy_PyObject* (*cpy_vectorcallfunc)(cpy_PyObject* callable, cpy_PyObject* const* args,
                                            size_t nargsf, cpy_PyObject* kwnames);

/* Each of these is a struct with one word, so that the compiler refuses comparisons, arithmetic and
 * mixing them up. All bits zero is the null of every one of them, in every ABI and mode. */
typedef struct _HPy_s {
  intptr_t _i;
} HPy;
/* A reference held by an object's struct. */
typedef struct {
  intptr_t _i;
} HPyField;
/* A reference held by a static variable that the module definition lists. */
typedef struct {
  intptr_t _i;
} HPyGlobal;
typedef struct {
  intptr_t _lst;
} HPyListBuilder;
typedef struct {
  intptr_t _tup;
} HPyTupleBuilder;
typedef struct {
  intptr_t _i;
} HPyTracker;
typedef struct {
  intptr_t _i;
} HPyThreadState;

typedef struct _HPyContext_s HPyContext;

#ifdef __cplusplus
#ifdef _MSC_VER
#define HPy_NULL \
  { 0 }
#define HPyField_NULL \
  { 0 }
#else
#define HPy_NULL \
  HPy { 0 }
#define HPyField_NULL \
  HPyField { 0 }
#endif
#else
#define HPy_NULL \
  (HPy) { 0 }
#define HPyField_NULL \
  (HPyField) { 0 }
#endif

/* They look at `_i` only, so HPy_IsNull takes an HPyField or an HPyTracker too. */
#define HPy_IsNull(handle) ((handle)._i == 0)
#define HPyField_IsNull(field) ((field)._i == 0)

/* The bit pattern of a handle as a pointer and back. Ownership is unaffected. */
HPyAPI_UNUSED HPy HPy_FromVoidP(void* p) {
  HPy handle;
  handle._i = (intptr_t)p;
  return handle;
}

HPyAPI_UNUSED void* HPy_AsVoidP(HPy h) { return (void*)h._i; }

typedef enum {
  HPy_LT = 0,
  HPy_LE = 1,
  HPy_EQ = 2,
  HPy_NE = 3,
  HPy_GT = 4,
  HPy_GE = 5
} HPy_RichCmpOp;

typedef enum _HPy_ANY_INT {
  HPy_SourceKind_Expr = 0,
  HPy_SourceKind_File = 1,
  HPy_SourceKind_Single = 2
} HPy_SourceKind;

typedef enum _HPy_ANY_INT {
  HPyCapsule_key_Pointer = 0,
  HPyCapsule_key_Name = 1,
  HPyCapsule_key_Context = 2,
  HPyCapsule_key_Destructor = 3
} _HPyCapsule_key;

/* The layout of Py_buffer, with an owned handle in the place of the object pointer. */
typedef struct {
  void* buf;
  HPy obj;
  HPy_ssize_t len;
  HPy_ssize_t itemsize;
  int readonly;
  int ndim;
  char* format;
  HPy_ssize_t* shape;
  HPy_ssize_t* strides;
  HPy_ssize_t* suboffsets;
  void* internal;
} HPy_buffer;

#ifdef __cplusplus
}
#endif

#endif /* HPY_HANDLE_H */
