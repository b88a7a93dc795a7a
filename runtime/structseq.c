/* HPyStructSequence_NewType and HPyStructSequence_New: tuples with named fields.
 *
 * Compiled into every extension. In the CPython ABI a type is one of PyStructSequence; where the
 * context stands between, it is a collections.namedtuple, made through the public API, so that it
 * works on any interpreter. Both have the class attribute n_fields. */
#define HPY_RUNTIME_SOURCE /* see hpy/runtime.h */
#include "hpy.h"

#include <string.h>

const char *const HPyStructSequence_UnnamedField = "_";

/* Returns 1, or 0 with an exception set. */
static int check_descriptor(HPyContext *ctx, const HPyStructSequence_Desc *desc) {
  if (desc->name != NULL) return 1;
  HPyErr_SetString(ctx, ctx->h_SystemError,
                   "Struct sequence descriptor does not define the name field.");
  return 0;
}

static HPy_ssize_t count_fields(const HPyStructSequence_Desc *desc) {
  HPy_ssize_t n = 0;
  while (desc->fields != NULL && desc->fields[n].name != NULL) n++;
  return n;
}

/* The number of fields of a struct sequence type; -1, without an exception, when `type` is none. */
static HPy_ssize_t n_fields_of(HPyContext *ctx, HPy type) {
  HPy_ssize_t n = -1;
  HPy attribute;
  if (!HPy_TypeCheck(ctx, type, ctx->h_TypeType) || !HPyType_IsSubtype(ctx, type, ctx->h_TupleType))
    return -1;
  attribute = HPy_GetAttr_s(ctx, type, "n_fields");
  if (!HPy_IsNull(attribute)) {
    n = HPyLong_AsSsize_t(ctx, attribute);
    HPy_Close(ctx, attribute);
  }
  if (n < 0) HPyErr_Clear(ctx);
  return n;
}

/* Returns 1, or 0 with an exception set. */
static int check_count(HPyContext *ctx, HPy_ssize_t wanted, HPy_ssize_t given) {
  if (wanted == given) return 1;
  HPyErr_Format(ctx, ctx->h_TypeError, "expected exactly %zd arguments but got %zd", wanted, given);
  return 0;
}

#ifdef HPY_ABI_CPYTHON

#include "compat.h"

/* The handle for a new reference, which it takes over. */
static HPy take_over(HPyContext *ctx, PyObject *object) {
  HPy h = HPy_FromPyObject(ctx, object);
  Py_XDECREF(object);
  return h;
}

HPy HPyStructSequence_NewType(HPyContext *ctx, HPyStructSequence_Desc *desc) {
  PyStructSequence_Desc cpy_desc;
  HPy_ssize_t i, n;
  PyTypeObject *type;
  if (!check_descriptor(ctx, desc)) return HPy_NULL;
  n = count_fields(desc);
  cpy_desc.name = desc->name;
  cpy_desc.doc = desc->doc;
  cpy_desc.n_in_sequence = (int)n;
  cpy_desc.fields = (PyStructSequence_Field *)calloc((size_t)n + 1, sizeof(*cpy_desc.fields));
  if (cpy_desc.fields == NULL) return HPyErr_NoMemory(ctx);
  for (i = 0; i < n; i++) {
    const HPyStructSequence_Field *field = &desc->fields[i];
    cpy_desc.fields[i].name =
        field->name == HPyStructSequence_UnnamedField ? HPY_COMPAT_UNNAMED_FIELD : field->name;
    cpy_desc.fields[i].doc = field->doc;
  }
  type = PyStructSequence_NewType(&cpy_desc);
  free(cpy_desc.fields);
  return take_over(ctx, (PyObject *)type);
}

HPy HPyStructSequence_New(HPyContext *ctx, HPy type, HPy_ssize_t nargs, HPy *args) {
  HPy_ssize_t i, n = n_fields_of(ctx, type);
  PyObject *cpy_type, *result;
  /* PyStructSequence_New trusts its argument; this attribute tells its own types from a
   * namedtuple that has an n_fields. */
  if (n >= 0 && !HPy_HasAttr_s(ctx, type, "n_unnamed_fields")) n = -1;
  if (n < 0) {
    if (HPy_TypeCheck(ctx, type, ctx->h_TypeType))
      HPyErr_Format(ctx, ctx->h_TypeError, "type '%s' does not look like a struct sequence type",
                    HPyType_GetName(ctx, type));
    else
      HPyErr_Format(ctx, ctx->h_TypeError, "object '%R' does not look like a struct sequence type",
                    type);
    return HPy_NULL;
  }
  if (!check_count(ctx, n, nargs)) return HPy_NULL;
  cpy_type = HPy_AsPyObject(ctx, type);
  result = PyStructSequence_New((PyTypeObject *)cpy_type);
  Py_DECREF(cpy_type);
  for (i = 0; result != NULL && i < n; i++)
    PyStructSequence_SetItem(result, i, HPy_AsPyObject(ctx, args[i]));
  return take_over(ctx, result);
}

#else

/* Adds a value to a dict and closes it. Returns 1, or 0 with an exception set. */
static int add_option(HPyContext *ctx, HPy options, const char *name, HPy value) {
  int status;
  if (HPy_IsNull(value)) return 0;
  status = HPy_SetItem_s(ctx, options, name, value);
  HPy_Close(ctx, value);
  return status == 0;
}

static HPy names_of_fields(HPyContext *ctx, const HPyStructSequence_Desc *desc, HPy_ssize_t n) {
  HPy_ssize_t i;
  HPyTupleBuilder builder = HPyTupleBuilder_New(ctx, n);
  for (i = 0; i < n; i++) {
    HPy name = HPyUnicode_FromString(ctx, desc->fields[i].name);
    if (HPy_IsNull(name)) {
      HPyTupleBuilder_Cancel(ctx, builder);
      return HPy_NULL;
    }
    HPyTupleBuilder_Set(ctx, builder, i, name);
    HPy_Close(ctx, name);
  }
  return HPyTupleBuilder_Build(ctx, builder);
}

static HPy n_times_none(HPyContext *ctx, HPy_ssize_t n) {
  HPy_ssize_t i;
  HPyTupleBuilder builder = HPyTupleBuilder_New(ctx, n);
  for (i = 0; i < n; i++) HPyTupleBuilder_Set(ctx, builder, i, ctx->h_None);
  return HPyTupleBuilder_Build(ctx, builder);
}

/* What stands before the last dot of the name. Returns a new handle, or HPy_NULL with an
 * exception set. */
static HPy module_part(HPyContext *ctx, const char *name, const char *dot) {
  HPy bytes, str;
  bytes = HPyBytes_FromStringAndSize(ctx, name, (HPy_ssize_t)(dot - name));
  if (HPy_IsNull(bytes)) return HPy_NULL;
  str = HPyUnicode_FromEncodedObject(ctx, bytes, "utf-8", "strict");
  HPy_Close(ctx, bytes);
  return str;
}

/* The keyword arguments for namedtuple. Without a dot in the name it chooses the module itself. */
static HPy namedtuple_options(HPyContext *ctx, const char *name, const char *dot, HPy_ssize_t n) {
  HPy options = HPyDict_New(ctx);
  if (HPy_IsNull(options)) return HPy_NULL;
  if (add_option(ctx, options, "rename", HPy_Dup(ctx, ctx->h_True)) &&
      add_option(ctx, options, "defaults", n_times_none(ctx, n)) &&
      (dot == NULL || add_option(ctx, options, "module", module_part(ctx, name, dot))))
    return options;
  HPy_Close(ctx, options);
  return HPy_NULL;
}

static HPy call_namedtuple(HPyContext *ctx, HPy args, HPy options) {
  HPy collections, result;
  collections = HPyImport_ImportModule(ctx, "collections");
  if (HPy_IsNull(collections)) return HPy_NULL;
  result = HPy_CallMethodTupleDict_s(ctx, "namedtuple", collections, args, options);
  HPy_Close(ctx, collections);
  return result;
}

static HPy new_namedtuple(HPyContext *ctx, const HPyStructSequence_Desc *desc, HPy_ssize_t n) {
  const char *dot = strrchr(desc->name, '.');
  HPy options, names, args, result;
  names = names_of_fields(ctx, desc, n);
  if (HPy_IsNull(names)) return HPy_NULL;
  args = HPy_BuildValue(ctx, "(sO)", dot != NULL ? dot + 1 : desc->name, names);
  HPy_Close(ctx, names);
  if (HPy_IsNull(args)) return HPy_NULL;
  options = namedtuple_options(ctx, desc->name, dot, n);
  result = HPy_IsNull(options) ? HPy_NULL : call_namedtuple(ctx, args, options);
  if (!HPy_IsNull(options)) HPy_Close(ctx, options);
  HPy_Close(ctx, args);
  return result;
}

/* Sets an attribute to a value, which is closed. Returns 1, or 0 with an exception set. */
static int set_attribute(HPyContext *ctx, HPy object, const char *name, HPy value) {
  int status;
  if (HPy_IsNull(value)) return 0;
  status = HPy_SetAttr_s(ctx, object, name, value);
  HPy_Close(ctx, value);
  return status == 0;
}

static HPy str_or_none(HPyContext *ctx, const char *utf8) {
  return utf8 != NULL ? HPyUnicode_FromString(ctx, utf8) : HPy_Dup(ctx, ctx->h_None);
}

/* The documentation of the fields goes to their descriptors, whose names namedtuple chose.
 * Returns 1, or 0 with an exception set. */
static int document_fields(HPyContext *ctx, HPy type, const HPyStructSequence_Desc *desc,
                           HPy_ssize_t n) {
  HPy_ssize_t i;
  int success = 1;
  HPy names = HPy_GetAttr_s(ctx, type, "_fields");
  if (HPy_IsNull(names)) return 0;
  for (i = 0; success && i < n; i++) {
    HPy name, descriptor = HPy_NULL;
    if (desc->fields[i].doc == NULL) continue;
    name = HPy_GetItem_i(ctx, names, i);
    if (!HPy_IsNull(name)) {
      descriptor = HPy_GetAttr(ctx, type, name);
      HPy_Close(ctx, name);
    }
    success =
        !HPy_IsNull(descriptor) &&
        set_attribute(ctx, descriptor, "__doc__", HPyUnicode_FromString(ctx, desc->fields[i].doc));
    if (!HPy_IsNull(descriptor)) HPy_Close(ctx, descriptor);
  }
  HPy_Close(ctx, names);
  return success;
}

HPy HPyStructSequence_NewType(HPyContext *ctx, HPyStructSequence_Desc *desc) {
  HPy_ssize_t n;
  HPy type;
  if (!check_descriptor(ctx, desc)) return HPy_NULL;
  n = count_fields(desc);
  type = new_namedtuple(ctx, desc, n);
  if (HPy_IsNull(type)) return HPy_NULL;
  if (set_attribute(ctx, type, "__doc__", str_or_none(ctx, desc->doc)) &&
      set_attribute(ctx, type, "n_fields", HPyLong_FromSsize_t(ctx, n)) &&
      document_fields(ctx, type, desc, n))
    return type;
  HPy_Close(ctx, type);
  return HPy_NULL;
}

HPy HPyStructSequence_New(HPyContext *ctx, HPy type, HPy_ssize_t nargs, HPy *args) {
  const HPy_ssize_t n = n_fields_of(ctx, type);
  if (n < 0)
    return HPyErr_Format(ctx, ctx->h_TypeError,
                         "object '%R' does not look like a struct sequence type ", type);
  if (!check_count(ctx, n, nargs)) return HPy_NULL;
  return HPy_Call(ctx, type, args, (size_t)nargs, HPy_NULL);
}

#endif
