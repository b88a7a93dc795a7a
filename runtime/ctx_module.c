/* Module definitions: HPyModuleDef to PyModuleDef, and HPyModule_Create of the older spelling. */
#include "ctx_type_info.h"

/* A definition as CPython wants it. It is never freed: CPython remembers definitions, functions
 * refer to their entries in `methods`, and the number of different definitions is that of
 * modules in the program. The same definition gets the same record again. */
typedef struct Record {
  struct Record *next;
  PyModuleDef def;
  /* What it was made from. For HPyModule_Create the strings are copies and `source` is none: the
   * definition may lie on the stack. */
  const _HPyModuleDef_ABI *source;
  _HPyModuleDef_ABI contents;
  /* HPy_mod_create, which takes the spec and, as CPython passes it, the PyModuleDef. */
  PyObject *(*create)(PyObject *spec, PyModuleDef *def);
  PyModuleDef_Slot *slots;
  PyMethodDef *methods;
} Record;

/* Guarded by the GIL. */
static Record *records = NULL;

#define CREATE_AND_NOTHING_ELSE                                                                   \
  "This is not allowed because custom HPy_mod_create slot cannot return a builtin module object " \
  "and cannot make any use of any other data defined in the HPyModuleDef. Either do not define "  \
  "HPy_mod_create slot and let the runtime create a builtin module object from the provided "     \
  "HPyModuleDef, or do not define anything else but the HPy_mod_create slot."

static Record *new_record(const _HPyModuleDef_ABI *contents) {
  Record *record = (Record *)PyMem_RawCalloc(1, sizeof(Record));
  static const PyModuleDef_Base base = PyModuleDef_HEAD_INIT;
  if (record == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  record->contents = *contents;
  record->def.m_base = base;
  return record;
}

static void free_record(Record *record) {
  PyMem_RawFree(record->methods);
  PyMem_RawFree(record->slots);
  PyMem_RawFree(record);
}

static int same_contents(const _HPyModuleDef_ABI *a, const _HPyModuleDef_ABI *b) {
  return a->doc == b->doc && a->size == b->size && a->legacy_methods == b->legacy_methods &&
         a->defines == b->defines && a->globals == b->globals;
}

static int fail_memory(void) {
  PyErr_NoMemory();
  return -1;
}

/* HPy methods in order, then the legacy ones. */
static int collect_methods(Record *record) {
  HPyDef **defines = record->contents.defines;
  const PyMethodDef *legacy = record->contents.legacy_methods;
  size_t count = 0, i;
  PyMethodDef *next;
  for (i = 0; defines != NULL && defines[i] != NULL; i++) count++;
  for (i = 0; legacy != NULL && legacy[i].ml_name != NULL; i++) count++;
  record->methods = next = (PyMethodDef *)PyMem_RawCalloc(count + 1, sizeof(PyMethodDef));
  if (next == NULL) return fail_memory();
  for (i = 0; defines != NULL && defines[i] != NULL; i++) {
    if (defines[i]->kind != HPyDef_Kind_Meth) continue;
    if (_HPyMeth_AsPyMethodDef(&defines[i]->meth, next++) < 0) return -1;
  }
  for (i = 0; legacy != NULL && legacy[i].ml_name != NULL; i++) *next++ = legacy[i];
  if (record->methods->ml_name != NULL) record->def.m_methods = record->methods;
  return 0;
}

static int is_module_from_create(PyObject *module);

/* What CPython calls for a HPy_mod_create slot. The one that HPy_MODINIT generates for the older
 * spelling returns what HPyModule_Create made; no other module is allowed. */
static PyObject *create_module(PyObject *spec, PyModuleDef *def) {
  Record *record = (Record *)(void *)((char *)def - offsetof(Record, def));
  PyObject *name;
  PyObject *module = record->create(spec, def);
  if (module == NULL || !PyModule_Check(module)) return module;
  if (!is_module_from_create(module)) {
    PyErr_SetString(PyExc_SystemError,
                    "HPy_mod_create slot returned a builtin module object. This is currently not "
                    "supported.");
    goto fail;
  }
  /* The definition has the short name, the spec the one that the module is imported by. */
  name = PyObject_GetAttrString(spec, "name");
  if (name == NULL) goto fail;
  if (PyObject_SetAttrString(module, "__name__", name) < 0) {
    Py_DECREF(name);
    goto fail;
  }
  Py_DECREF(name);
  return module;
fail:
  Py_DECREF(module);
  return NULL;
}

static int collect_slots(Record *record) {
  HPyDef **defines = record->contents.defines;
  size_t count = 0, i;
  PyModuleDef_Slot *next;
  for (i = 0; defines != NULL && defines[i] != NULL; i++) count++;
  record->slots = next = (PyModuleDef_Slot *)PyMem_RawCalloc(count + 1, sizeof(PyModuleDef_Slot));
  if (next == NULL) return fail_memory();
  record->def.m_slots = next;
  for (i = 0; defines != NULL && defines[i] != NULL; i++) {
    const HPySlot *slot = &defines[i]->slot;
    if (defines[i]->kind != HPyDef_Kind_Slot) continue;
    switch ((int)slot->slot) {
      case HPy_mod_create:
        if (record->create != NULL) {
          PyErr_SetString(
              PyExc_SystemError,
              "Multiple definitions of the HPy_mod_create slot in HPyModuleDef.defines.");
          return -1;
        }
        record->create =
            HPY_FUNCTION(PyObject * (*)(PyObject *, PyModuleDef *), slot->cpy_trampoline);
        next->slot = Py_mod_create;
        next->value = (void *)(uintptr_t)create_module;
        break;
      case HPy_mod_exec:
        next->slot = Py_mod_exec;
        next->value = (void *)(uintptr_t)slot->cpy_trampoline;
        break;
      default:
        PyErr_Format(PyExc_SystemError, "Unsupported slot in HPyModuleDef.defines (value: %d).",
                     (int)slot->slot);
        return -1;
    }
    next++;
  }
  if (record->create == NULL) return 0;
  if (count != 1) {
    PyErr_SetString(PyExc_SystemError,
                    "HPyModuleDef defines a HPy_mod_create slot and some other slots or "
                    "methods. " CREATE_AND_NOTHING_ELSE);
    return -1;
  }
  if (record->contents.legacy_methods != NULL || record->contents.size != 0 ||
      record->contents.doc != NULL || record->contents.globals != NULL) {
    PyErr_SetString(
        PyExc_SystemError,
        "HPyModuleDef defines a HPy_mod_create slot and some of the other fields are not set "
        "to their default value. " CREATE_AND_NOTHING_ELSE);
    return -1;
  }
  return 0;
}

static int check_size(const _HPyModuleDef_ABI *def) {
  if (def->size < 0) {
    PyErr_SetString(PyExc_SystemError, "HPy does not permit HPyModuleDef.size < 0");
    return -1;
  }
  if (def->size > 0) {
    PyErr_SetString(
        PyExc_SystemError,
        "Module state is not supported yet in HPy, set HPyModuleDef.size = 0 if module state "
        "is not needed");
    return -1;
  }
  return 0;
}

HPyAPI_IMPL PyModuleDef *_HPyModuleDef_AsPyModuleDef(_HPyModuleDef_ABI *def) {
  Record *record;
  for (record = records; record != NULL; record = record->next) {
    if (record->source == def && same_contents(&record->contents, def)) return &record->def;
  }
  if (check_size(def) < 0) return NULL;
  record = new_record(def);
  if (record == NULL) return NULL;
  record->source = def;
  record->def.m_name = "hpy module"; /* CPython takes the name from the spec, but wants one here */
  record->def.m_doc = def->doc;
  if (collect_methods(record) < 0 || collect_slots(record) < 0) {
    free_record(record);
    return NULL;
  }
  record->next = records;
  records = record;
  return &record->def;
}

/* -- the older spelling
 * ------------------------------------------------------------------------------ */

static int same_string(const char *a, const char *b) {
  return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int copy_string(const char **result, const char *string) {
  size_t size;
  char *copy;
  *result = NULL;
  if (string == NULL) return 0;
  size = strlen(string) + 1;
  copy = (char *)PyMem_RawMalloc(size);
  if (copy == NULL) return fail_memory();
  memcpy(copy, string, size);
  *result = copy;
  return 0;
}

/* Single-phase definitions have no slots, so methods are all there is. `size` is usually -1 and
 * `globals` may lack its end: neither is looked at. */
static Record *record_for_create(const char *name, const _HPyModuleDef_ABI *def) {
  Record *record;
  HPyDef **defines;
  for (record = records; record != NULL; record = record->next) {
    if (record->source == NULL && record->contents.defines == def->defines &&
        record->contents.legacy_methods == def->legacy_methods &&
        same_string(record->def.m_name, name) && same_string(record->def.m_doc, def->doc)) {
      return record;
    }
  }
  for (defines = def->defines; defines != NULL && *defines != NULL; defines++) {
    if ((*defines)->kind == HPyDef_Kind_Slot) {
      PyErr_Format(PyExc_SystemError, "Unsupported slot in HPyModuleDef.defines (value: %d).",
                   (int)(*defines)->slot.slot);
      return NULL;
    }
  }
  record = new_record(def);
  if (record == NULL) return NULL;
  record->def.m_size = -1;
  if (copy_string(&record->def.m_name, name) < 0 || copy_string(&record->def.m_doc, def->doc) < 0 ||
      collect_methods(record) < 0) {
    PyMem_RawFree((char *)record->def.m_name);
    PyMem_RawFree((char *)record->def.m_doc);
    free_record(record);
    return NULL;
  }
  record->next = records;
  records = record;
  return record;
}

static int is_module_from_create(PyObject *module) {
  const PyModuleDef *def = PyModule_GetDef(module);
  const Record *record;
  if (def == NULL) return 0;
  for (record = records; record != NULL; record = record->next) {
    if (&record->def == def) return record->source == NULL;
  }
  return 0;
}

HPyAPI_IMPL HPy ctx_Module_Create(HPyContext *ctx, _HPyModuleDef_ABI *def) {
  const char *name = _HPyModuleDef_Name(def);
  Record *record;
  (void)ctx;
  if (name == NULL) {
    PyErr_SetString(
        PyExc_SystemError,
        "HPyModule_Create: the HPyModuleDef has no .name (with HPy_MODINIT(NAME, def) the name "
        "comes from the import, and HPyModule_Create is not needed)");
    return HPy_NULL;
  }
  record = record_for_create(name, def);
  if (record == NULL) return HPy_NULL;
  return _py2h(PyModule_Create2(&record->def, PYTHON_API_VERSION));
}
