/* HPyType_FromSpec. */
#include "ctx_observer.h"
#include "ctx_type_info.h"

/* A type while it is being made. What it owns is freed by building_finish. */
typedef struct {
  const HPyType_Spec *spec;
  PyObject *bases;     /* a tuple, or NULL when no parameter names any; owned */
  PyObject *metaclass; /* borrowed, or NULL */
  int metaclass_count;
  PyTypeObject *base; /* the one that gives the layout; owned */
  _HPyTypeInfo *info; /* owned until the type has it */
  /* From the definitions. */
  const HPyDef *call, *traverse, *destroy;
  int has_members, has_explicit_call_offset;
  int observed;
  /* From the legacy slots. */
  const PyMethodDef *legacy_methods;
  const PyMemberDef *legacy_members;
  const PyGetSetDef *legacy_getsets;
  int legacy_dealloc, legacy_traverse, legacy_call, legacy_memory;
  PyObject *legacy_base, *legacy_bases; /* borrowed */
  /* For CPython. */
  PyMemberDef *members;
  PyType_Slot *slots;
  int slot_count;
  unsigned long flags;
} Building;

static int fail(PyObject *exception, const char *message) {
  PyErr_SetString(exception, message);
  return -1;
}

/* -- parameters
 * ------------------------------------------------------------------------------------- */

static int read_params(Building *b, const HPyType_SpecParam *params) {
  const HPyType_SpecParam *param;
  PyObject *tuple = NULL;
  int has_tuple = 0;
  Py_ssize_t base_count = 0;
  for (param = params; param != NULL && param->kind != 0; param++) {
    switch ((int)param->kind) {
      case HPyType_SpecParam_Base:
        base_count++;
        break;
      case HPyType_SpecParam_BasesTuple:
        if (has_tuple) {
          return fail(PyExc_TypeError, "multiple specifications of HPyType_SpecParam_BasesTuple");
        }
        has_tuple = 1;
        tuple = _h2py(param->object);
        break;
      case HPyType_SpecParam_Metaclass:
        b->metaclass_count++;
        b->metaclass = _h2py(param->object);
        break;
      default:
        PyErr_Format(PyExc_TypeError, "unknown HPyType_SpecParam specification for '%s'",
                     b->spec->name);
        return -1;
    }
  }
  if (has_tuple && base_count != 0) {
    return fail(PyExc_TypeError,
                "cannot specify both HPyType_SpecParam_Base and HPytype_SpecParam_BasesTuple");
  }
  if (has_tuple) {
    if (tuple == NULL || !PyTuple_Check(tuple)) {
      PyErr_Format(PyExc_TypeError,
                   "HPyType_SpecParam_BasesTuple: expected a tuple of types, got '%.200s'",
                   tuple == NULL ? "HPy_NULL" : Py_TYPE(tuple)->tp_name);
      return -1;
    }
    if (PyTuple_GET_SIZE(tuple) != 0) { /* no bases: object, as in a class statement */
      Py_INCREF(tuple);
      b->bases = tuple;
    }
  } else if (base_count != 0) {
    Py_ssize_t i = 0;
    b->bases = PyTuple_New(base_count);
    if (b->bases == NULL) return -1;
    for (param = params; param->kind != 0; param++) {
      PyObject *base = _h2py(param->object);
      if (param->kind != HPyType_SpecParam_Base) continue;
      if (base == NULL) return fail(PyExc_TypeError, "HPyType_SpecParam_Base is HPy_NULL");
      Py_INCREF(base);
      PyTuple_SET_ITEM(b->bases, i++, base);
    }
  }
  return 0;
}

/* -- what the spec says, and its checks
 * -------------------------------------------------------------- */

static void read_legacy_slots(Building *b) {
  const PyType_Slot *slot = (const PyType_Slot *)b->spec->legacy_slots;
  for (; slot != NULL && slot->slot != 0; slot++) {
    switch (slot->slot) {
      case Py_tp_methods:
        b->legacy_methods = (const PyMethodDef *)slot->pfunc;
        break;
      case Py_tp_members:
        b->legacy_members = (const PyMemberDef *)slot->pfunc;
        break;
      case Py_tp_getset:
        b->legacy_getsets = (const PyGetSetDef *)slot->pfunc;
        break;
      case Py_tp_dealloc:
        b->legacy_dealloc = 1;
        break;
      case Py_tp_alloc:
      case Py_tp_free:
      case Py_tp_del:
        b->legacy_memory = 1;
        break;
      case Py_tp_traverse:
        b->legacy_traverse = 1;
        break;
      case Py_tp_call:
        b->legacy_call = 1;
        break;
      case Py_tp_base:
        b->legacy_base = (PyObject *)slot->pfunc;
        break;
      case Py_tp_bases:
        b->legacy_bases = (PyObject *)slot->pfunc;
        break;
      default:
        break;
    }
  }
}

static int is_call_offset(const char *name) { return strcmp(name, "__vectorcalloffset__") == 0; }

static void read_defines(Building *b) {
  HPyDef **defines = b->spec->defines;
  const PyMemberDef *member;
  for (; defines != NULL && *defines != NULL; defines++) {
    const HPyDef *def = *defines;
    if (def->kind == HPyDef_Kind_Slot) {
      if (def->slot.slot == HPy_tp_call) b->call = def;
      if (def->slot.slot == HPy_tp_traverse) b->traverse = def;
      if (def->slot.slot == HPy_tp_destroy) b->destroy = def;
    } else if (def->kind == HPyDef_Kind_Member) {
      b->has_members = 1;
      if (is_call_offset(def->member.name)) b->has_explicit_call_offset = 1;
    }
  }
  for (member = b->legacy_members; member != NULL && member->name != NULL; member++) {
    b->has_members = 1;
    if (is_call_offset(member->name)) b->has_explicit_call_offset = 1;
  }
}

/* The order is that of HPy 0.9; tests of it and of extensions compare the messages. */
static int check_spec(Building *b) {
  const HPyType_Spec *spec = b->spec;
  const int shape = (int)spec->builtin_shape;
  if (spec->legacy_slots != NULL && shape != HPyType_BuiltinShape_Legacy) {
    return fail(PyExc_TypeError,
                "cannot specify .legacy_slots without setting "
                ".builtin_shape=HPyType_BuiltinShape_Legacy");
  }
  if (b->legacy_dealloc && (b->traverse != NULL || b->destroy != NULL)) {
    return fail(PyExc_TypeError,
                "legacy tp_dealloc is incompatible with HPy_tp_traverse or HPy_tp_destroy.");
  }
  if ((spec->flags & HPy_TPFLAGS_HAVE_GC) != 0 && b->traverse == NULL && !b->legacy_traverse) {
    return fail(PyExc_ValueError,
                "You must provide an HPy_tp_traverse slot if you specify HPy_TPFLAGS_HAVE_GC");
  }
  if (shape < HPyType_BuiltinShape_Legacy || shape > HPyType_BuiltinShape_Dict) {
    PyErr_Format(PyExc_ValueError, "invalid shape: %d", shape);
    return -1;
  }
  if (b->call != NULL && spec->itemsize != 0) {
    return fail(PyExc_TypeError, "Cannot use HPy call protocol with var objects");
  }
  if (b->call != NULL && shape == HPyType_BuiltinShape_Legacy && spec->basicsize == 0) {
    return fail(
        PyExc_TypeError,
        "Cannot use HPy call protocol with legacy types that inherit the struct. Either set the "
        "basicsize to anon-zero value or use legacy slot 'Py_tp_call'.");
  }
  return 0;
}

static int check_members(Building *b) {
  if (b->has_members && b->spec->basicsize == 0 && b->call == NULL) {
    return fail(PyExc_TypeError, "Type claims to have basicsize==0 but defines members");
  }
  if (b->call != NULL && b->has_explicit_call_offset) {
    return fail(
        PyExc_TypeError,
        "Cannot have HPy_tp_call and explicit member'__vectorcalloffset__'. Specify just one of "
        "them.");
  }
  if (b->metaclass_count > 1) {
    return fail(PyExc_ValueError, "metaclass was specified multiple times");
  }
  if (b->metaclass_count != 0) {
    PyTypeObject *metaclass = (PyTypeObject *)b->metaclass;
    int is_type = b->metaclass != NULL && PyType_Check(b->metaclass);
    if (is_type && metaclass->tp_new != NULL && metaclass->tp_new != PyType_Type.tp_new) {
      return fail(PyExc_TypeError, "Metaclasses with custom tp_new are not supported.");
    }
    if (!is_type || !PyType_IsSubtype(metaclass, &PyType_Type)) {
      if (b->metaclass == NULL)
        return fail(PyExc_TypeError, "HPyType_SpecParam_Metaclass is HPy_NULL");
      PyErr_Format(PyExc_TypeError, "Metaclass '%R' is not a subclass of 'type'.", b->metaclass);
      return -1;
    }
  }
  return 0;
}

/* -- the base that gives the layout
 * ------------------------------------------------------------------ */

/* With several bases CPython's rule for the best one is not public: a type without contents is
 * asked. */
static PyTypeObject *best_base(PyObject *bases) {
  static PyType_Slot no_slots[] = {{0, NULL}};
  PyType_Spec spec = {"hpy.probe", 0, 0, Py_TPFLAGS_DEFAULT, no_slots};
  PyObject *probe = PyType_FromSpecWithBases(&spec, bases);
  PyTypeObject *base;
  if (probe == NULL) return NULL;
  base = ((PyTypeObject *)probe)->tp_base;
  Py_INCREF(base);
  Py_DECREF(probe);
  return base;
}

static int find_base(Building *b) {
  PyObject *bases = b->bases != NULL ? b->bases : b->legacy_bases;
  PyObject *base = b->bases == NULL && b->legacy_base != NULL && b->legacy_bases == NULL
                       ? b->legacy_base
                       : (PyObject *)&PyBaseObject_Type;
  Py_ssize_t i;
  if (bases != NULL && PyTuple_Check(bases) && PyTuple_GET_SIZE(bases) != 0) {
    for (i = 0; i < PyTuple_GET_SIZE(bases); i++) {
      base = PyTuple_GET_ITEM(bases, i);
      if (!PyType_Check(base)) return fail(PyExc_TypeError, "bases must be types");
      /* With tp_traverse in the spec CPython would not inherit the flag, but the base's
       * functions need what goes with it. */
      if (b->traverse != NULL && PyType_IS_GC((PyTypeObject *)base)) b->flags |= Py_TPFLAGS_HAVE_GC;
    }
    if (PyTuple_GET_SIZE(bases) > 1) {
      b->base = best_base(bases);
      return b->base == NULL ? -1 : 0;
    }
  }
  if (!PyType_Check(base)) return fail(PyExc_TypeError, "bases must be types");
  if (b->traverse != NULL && PyType_IS_GC((PyTypeObject *)base)) b->flags |= Py_TPFLAGS_HAVE_GC;
  if (!PyType_HasFeature((PyTypeObject *)base, Py_TPFLAGS_BASETYPE)) {
    PyErr_Format(PyExc_TypeError, "type '%.100s' is not an acceptable base type",
                 ((PyTypeObject *)base)->tp_name);
    return -1;
  }
  Py_INCREF(base);
  b->base = (PyTypeObject *)base;
  return 0;
}

/* -- slots
 * ------------------------------------------------------------------------------------------ */

static void add_slot(Building *b, int slot, void *value) {
  b->slots[b->slot_count].slot = slot;
  b->slots[b->slot_count].pfunc = value;
  b->slot_count++;
}

/* A function as the pointer to data that PyType_Slot has for everything. */
#define ADD_FUNCTION(b, slot, function) add_slot(b, slot, (void *)(uintptr_t)(function))

static int make_slots(Building *b) {
  HPyDef **defines = b->spec->defines;
  const PyType_Slot *legacy = (const PyType_Slot *)b->spec->legacy_slots;
  size_t count = 12; /* what is added below, and the end */
  Py_ssize_t i;
  for (i = 0; defines != NULL && defines[i] != NULL; i++) count++;
  for (i = 0; legacy != NULL && legacy[i].slot != 0; i++) count++;
  b->slots = (PyType_Slot *)PyMem_Calloc(count, sizeof(PyType_Slot));
  if (b->slots == NULL) {
    PyErr_NoMemory();
    return -1;
  }

  for (i = 0; defines != NULL && defines[i] != NULL; i++) {
    const HPySlot *slot = &defines[i]->slot;
    if (defines[i]->kind != HPyDef_Kind_Slot) continue;
    switch ((int)slot->slot) {
      case HPy_tp_call:
      case HPy_tp_traverse:
      case HPy_tp_destroy:
        break;
      default:
        ADD_FUNCTION(b, (int)slot->slot, slot->cpy_trampoline);
    }
  }
  if (b->spec->doc != NULL) add_slot(b, Py_tp_doc, (void *)b->spec->doc); /* CPython copies it */
  if (b->info->methods != NULL) add_slot(b, Py_tp_methods, b->info->methods);
  if (b->members->name != NULL) add_slot(b, Py_tp_members, b->members);
  if (b->info->getsets->name != NULL) add_slot(b, Py_tp_getset, b->info->getsets);
  if (b->traverse != NULL) {
    ADD_FUNCTION(b, Py_tp_traverse, _HPyType_Traverse);
    ADD_FUNCTION(b, Py_tp_clear, _HPyType_Clear);
  }
  if (b->info->has_dealloc) ADD_FUNCTION(b, Py_tp_dealloc, _HPyType_Dealloc);
  if (b->call != NULL || b->has_explicit_call_offset || b->info->call_offset != 0) {
    if (!b->legacy_call) {
      ADD_FUNCTION(b, Py_tp_call, _HPyType_Call);
      if (b->info->call_offset != 0 || b->has_explicit_call_offset) {
        b->flags |= HPy_TPFLAGS_HAVE_VECTORCALL;
      }
    }
  }
  for (i = 0; legacy != NULL && legacy[i].slot != 0; i++) {
    if (legacy[i].slot != Py_tp_methods && legacy[i].slot != Py_tp_members &&
        legacy[i].slot != Py_tp_getset) {
      b->slots[b->slot_count++] = legacy[i];
    }
  }
  return 0;
}

static char *copy_string(const char *string) {
  size_t size = strlen(string) + 1;
  char *copy = (char *)PyMem_Malloc(size);
  if (copy == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  memcpy(copy, string, size);
  return copy;
}

/* Not where a struct in C of somebody else's may begin with this one and goes on where the guard
 * would be (a legacy type with subclasses), nor where the end of an object is the extension's
 * business. */
static int wants_guard(const Building *b) {
  return b->observed && !b->legacy_dealloc && !b->legacy_memory &&
         b->spec->builtin_shape != HPyType_BuiltinShape_Type &&
         (b->spec->builtin_shape != HPyType_BuiltinShape_Legacy ||
          (b->spec->flags & HPy_TPFLAGS_BASETYPE) == 0);
}

static int make_info(Building *b) {
  _HPyTypeInfo *info = b->info = _HPyTypeInfo_New();
  if (info == NULL) return -1;
  info->generated_traverse = _HPyType_Traverse;
  info->generated_clear = _HPyType_Clear;
  info->clear_fields = _HPyType_ClearFields;
  if (b->call != NULL) {
    info->call = HPY_FUNCTION(vectorcallfunc, b->call->slot.cpy_trampoline);
  }
  if (b->traverse != NULL) {
    info->traverse_impl = HPY_FUNCTION(HPyFunc_traverseproc, b->traverse->slot.impl);
    info->traverse = HPY_FUNCTION(traverseproc, b->traverse->slot.cpy_trampoline);
  }
  if (b->destroy != NULL) info->destroy = HPY_FUNCTION(HPyFunc_destroyfunc, b->destroy->slot.impl);
  info->observed = b->observed;
  info->has_dealloc = b->traverse != NULL || b->destroy != NULL || wants_guard(b);
  info->name = copy_string(b->spec->name); /* before 3.11 the type refers to it */
  return info->name == NULL ? -1 : 0;
}

/* -- the type
 * --------------------------------------------------------------------------------------- */

static PyObject *create(Building *b, int basicsize) {
  PyType_Spec spec;
  PyTypeObject *metaclass = (PyTypeObject *)b->metaclass;
  spec.name = b->info->name;
  spec.basicsize = basicsize;
  spec.itemsize = b->spec->itemsize;
  spec.flags = (unsigned int)(b->flags | _Py_TPFLAGS_HEAPTYPE);
  spec.slots = b->slots;
#if HPY_COMPAT_OWN_FROM_METACLASS
  return _HPyType_FromMetaclass(metaclass, &spec, b->bases, b->base);
#else
  if (metaclass != NULL) return PyType_FromMetaclass(metaclass, NULL, &spec, b->bases);
  return PyType_FromSpecWithBases(&spec, b->bases);
#endif
}

/* The type has been made, and nobody has seen it. */
static int complete(Building *b, PyTypeObject *type) {
  const _HPyTypeInfo *above = _HPyTypeInfo_Nearest(type->tp_base);
  type->tp_cache = (PyObject *)b->info;
  b->info = NULL;
  if (b->spec->builtin_shape == HPyType_BuiltinShape_Legacy && above != NULL &&
      above->shape != HPyType_BuiltinShape_Legacy) {
    return fail(PyExc_TypeError,
                "A legacy type should not inherit its memory layout from a pure type");
  }
  /* As CPython does itself from 3.12 on: what is called is the base's function, so also the fast
   * way. */
  if (type->tp_call == type->tp_base->tp_call && type->tp_vectorcall_offset > 0 &&
      type->tp_vectorcall_offset == type->tp_base->tp_vectorcall_offset &&
      (type->tp_base->tp_flags & Py_TPFLAGS_HAVE_VECTORCALL) != 0) {
    type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
  }
  return 0;
}

static PyObject *build(Building *b, const HPyType_SpecParam *params) {
  PyObject *type;
  int basicsize;
  if (b->spec->name == NULL) {
    fail(PyExc_SystemError, "Type spec does not define the name field.");
    return NULL;
  }
  b->flags = b->spec->flags;
  if (read_params(b, params) < 0) return NULL;
  read_legacy_slots(b);
  read_defines(b);
  if (check_spec(b) < 0 || make_info(b) < 0 ||
      _HPyType_CollectMethods(b->info, b->spec, b->legacy_methods) < 0 || check_members(b) < 0 ||
      find_base(b) < 0 ||
      _HPyType_Layout(b->info, b->spec, b->base, b->call != NULL, wants_guard(b), &basicsize) < 0 ||
      _HPyType_CollectMembers(b->info, b->spec, b->legacy_members, b->legacy_getsets, &b->members) <
          0 ||
      make_slots(b) < 0 || _HPyType_InitGC() < 0) {
    return NULL;
  }
  type = create(b, basicsize);
  if (type != NULL && complete(b, (PyTypeObject *)type) < 0) {
    Py_DECREF(type);
    return NULL;
  }
  return type;
}

static HPy from_spec(const HPyType_Spec *spec, const HPyType_SpecParam *params, int observed) {
  Building building;
  PyObject *type;
  memset(&building, 0, sizeof(building));
  building.spec = spec;
  building.observed = observed;
  type = build(&building, params);
  Py_XDECREF(building.bases);
  Py_XDECREF(building.base);
  Py_XDECREF(building.info);
  PyMem_Free(building.members);
  PyMem_Free(building.slots);
  return _py2h(type);
}

HPyAPI_IMPL HPy ctx_Type_FromSpec(HPyContext *ctx, HPyType_Spec *spec, HPyType_SpecParam *params) {
  (void)ctx;
  return from_spec(spec, params, 0);
}

#ifdef HPY_UNIVERSAL_CONTEXT
HPy _HPyObserver_TypeFromSpec(HPyType_Spec *spec, HPyType_SpecParam *params) {
  return from_spec(spec, params, 1);
}
#endif
