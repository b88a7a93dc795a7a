/* Methods, getsets and members of a type, as CPython wants them. The user's HPyDefs are only
 * read: one of them may serve several types. */
#include "ctx_observer.h"
#include "ctx_type_info.h"

HPyAPI_IMPL int _HPyMeth_AsPyMethodDef(const HPyMeth *meth, PyMethodDef *result) {
  int flags;
  switch (meth->signature) {
    case HPyFunc_VARARGS:
      flags = METH_FASTCALL;
      break;
    case HPyFunc_KEYWORDS:
      flags = METH_FASTCALL | METH_KEYWORDS;
      break;
    case HPyFunc_NOARGS:
      flags = METH_NOARGS;
      break;
    case HPyFunc_O:
      flags = METH_O;
      break;
    default:
      PyErr_SetString(PyExc_ValueError, "Unsupported HPyMeth signature");
      return -1;
  }
  result->ml_name = meth->name;
  result->ml_meth = HPY_FUNCTION(PyCFunction, meth->cpy_trampoline);
  result->ml_flags = flags;
  result->ml_doc = meth->doc;
  return 0;
}

static Py_ssize_t count_kind(const HPyType_Spec *spec, HPyDef_Kind kind) {
  Py_ssize_t i, count = 0;
  for (i = 0; spec->defines != NULL && spec->defines[i] != NULL; i++) {
    if (spec->defines[i]->kind == kind) count++;
  }
  return count;
}

HPyAPI_IMPL int _HPyType_CollectMethods(_HPyTypeInfo *info, const HPyType_Spec *spec,
                                        const PyMethodDef *legacy) {
  Py_ssize_t count = count_kind(spec, HPyDef_Kind_Meth), i;
  const PyMethodDef *end = legacy;
  PyMethodDef *next;
  while (end != NULL && end->ml_name != NULL) end++;
  if (end != NULL) count += end - legacy;
  if (count == 0) return 0;
  info->methods = next = (PyMethodDef *)PyMem_Calloc((size_t)count + 1, sizeof(PyMethodDef));
  if (next == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (i = 0; spec->defines != NULL && spec->defines[i] != NULL; i++) {
    if (spec->defines[i]->kind != HPyDef_Kind_Meth) continue;
    if (_HPyMeth_AsPyMethodDef(&spec->defines[i]->meth, next++) < 0) return -1;
  }
  for (; legacy != end; legacy++) *next++ = *legacy;
  return 0;
}

/* -- members that are getsets
 * ----------------------------------------------------------------------- */

static PyObject *get_member(PyObject *self, void *closure) {
  const _HPyMemberRecord *record = (const _HPyMemberRecord *)closure;
  return PyMember_GetOne((const char *)_HPyTypeInfo_Struct(record->info, self),
                         (PyMemberDef *)&record->def);
}

static int set_member(PyObject *self, PyObject *value, void *closure) {
  const _HPyMemberRecord *record = (const _HPyMemberRecord *)closure;
  return PyMember_SetOne((char *)_HPyTypeInfo_Struct(record->info, self),
                         (PyMemberDef *)&record->def, value);
}

static HPyField *field_of(PyObject *self, const _HPyMemberRecord *record) {
  return (HPyField *)(void *)((char *)_HPyTypeInfo_Struct(record->info, self) + record->def.offset);
}

static void fail_no_attribute(PyObject *self, const _HPyMemberRecord *record) {
  PyErr_Format(PyExc_AttributeError, "'%.50s' object has no attribute '%s'", Py_TYPE(self)->tp_name,
               record->def.name);
}

static PyObject *get_field(PyObject *self, void *closure) {
  const _HPyMemberRecord *record = (const _HPyMemberRecord *)closure;
  PyObject *value = _hf2py(*field_of(self, record));
  if (value == NULL) {
    if (record->def.type == T_OBJECT_EX) {
      fail_no_attribute(self, record);
      return NULL;
    }
    value = Py_None;
  }
  Py_INCREF(value);
  return value;
}

static int set_field(PyObject *self, PyObject *value, void *closure) {
  const _HPyMemberRecord *record = (const _HPyMemberRecord *)closure;
  HPyField *field = field_of(self, record);
  PyObject *old = _hf2py(*field);
  if ((record->def.flags & READONLY) != 0) {
    PyErr_SetString(PyExc_AttributeError, "readonly attribute");
    return -1;
  }
  if (value == NULL && old == NULL && record->def.type == T_OBJECT_EX) {
    fail_no_attribute(self, record);
    return -1;
  }
  Py_XINCREF(value);
  *field = _py2hf(value);
  HPY_OBSERVE(stored, self, field, old, value);
  Py_XDECREF(old);
  return 0;
}

/* ---------------------------------------------------------------------------------------------- */

static int is_special(const char *name) {
  return strcmp(name, "__vectorcalloffset__") == 0 || strcmp(name, "__dictoffset__") == 0 ||
         strcmp(name, "__weaklistoffset__") == 0;
}

static int is_object(const HPyMember *member) {
  return member->type == HPyMember_OBJECT || member->type == HPyMember_OBJECT_EX;
}

/* CPython's own member descriptors read a PyObject pointer, at a fixed distance from the start
 * of the object. An HPyField is one in the CPython ABI only, and the struct of an int or tuple
 * has no fixed place. */
static int is_getset(const _HPyTypeInfo *info, const HPyMember *member) {
  if (HPY_HANDLE_BIAS != 0 && is_object(member)) return 1;
  return info->start == HPY_BEHIND_ITEMS;
}

static void copy_member(PyMemberDef *result, const HPyMember *member, Py_ssize_t start) {
  result->name = member->name;
  result->type = (int)member->type;
  result->offset = start + member->offset;
  result->flags = member->readonly ? READONLY : 0;
  result->doc = member->doc;
}

HPyAPI_IMPL int _HPyType_CollectMembers(_HPyTypeInfo *info, const HPyType_Spec *spec,
                                        const PyMemberDef *legacy_members,
                                        const PyGetSetDef *legacy_getsets,
                                        PyMemberDef **plain_members) {
  const PyMemberDef *members_end = legacy_members;
  const PyGetSetDef *getsets_end = legacy_getsets;
  Py_ssize_t members = count_kind(spec, HPyDef_Kind_Member);
  Py_ssize_t getsets = count_kind(spec, HPyDef_Kind_GetSet);
  Py_ssize_t legacy_member_count = 0, legacy_getset_count = 0, i;
  PyMemberDef *next_member;
  PyGetSetDef *next_getset;
  _HPyMemberRecord *next_record;
  while (members_end != NULL && members_end->name != NULL) members_end++;
  if (members_end != NULL) legacy_member_count = members_end - legacy_members;
  while (getsets_end != NULL && getsets_end->name != NULL) getsets_end++;
  if (getsets_end != NULL) legacy_getset_count = getsets_end - legacy_getsets;

  /* One more plain member for a hidden call pointer. */
  next_member =
      (PyMemberDef *)PyMem_Calloc((size_t)(members + legacy_member_count) + 2, sizeof(PyMemberDef));
  *plain_members = next_member;
  info->getsets = next_getset = (PyGetSetDef *)PyMem_Calloc(
      (size_t)(members + getsets + legacy_getset_count) + 1, sizeof(PyGetSetDef));
  info->members = next_record =
      (_HPyMemberRecord *)PyMem_Calloc((size_t)members + 1, sizeof(_HPyMemberRecord));
  if (next_member == NULL || next_getset == NULL || next_record == NULL) {
    PyErr_NoMemory();
    return -1;
  }

  for (i = 0; spec->defines != NULL && spec->defines[i] != NULL; i++) {
    const HPyDef *def = spec->defines[i];
    if (def->kind == HPyDef_Kind_GetSet) {
      next_getset->name = def->getset.name;
      next_getset->get = (getter)def->getset.getter_cpy_trampoline;
      next_getset->set = (setter)def->getset.setter_cpy_trampoline;
      next_getset->doc = def->getset.doc;
      next_getset->closure = def->getset.closure;
      next_getset++;
    } else if (def->kind == HPyDef_Kind_Member && !is_getset(info, &def->member)) {
      copy_member(next_member++, &def->member, info->start);
    }
  }
  for (; legacy_members != members_end; legacy_members++) *next_member++ = *legacy_members;
  for (; legacy_getsets != getsets_end; legacy_getsets++) *next_getset++ = *legacy_getsets;
  for (i = 0; spec->defines != NULL && spec->defines[i] != NULL; i++) {
    const HPyDef *def = spec->defines[i];
    if (def->kind != HPyDef_Kind_Member || !is_getset(info, &def->member)) continue;
    if (is_special(def->member.name)) {
      PyErr_Format(
          PyExc_TypeError,
          "type '%.100s' cannot have the member '%s': CPython needs it at a fixed place, but the "
          "struct of an int or tuple lies behind its digits or items",
          spec->name, def->member.name);
      return -1;
    }
    copy_member(&next_record->def, &def->member, 0);
    next_record->info = info;
    next_getset->name = def->member.name;
    next_getset->get = is_object(&def->member) ? get_field : get_member;
    next_getset->set = is_object(&def->member) ? set_field : set_member;
    next_getset->doc = def->member.doc;
    next_getset->closure = next_record++;
    next_getset++;
  }
  if (info->call_offset != 0) {
    next_member->name = "__vectorcalloffset__";
    next_member->type = T_PYSSIZET;
    next_member->offset = info->call_offset;
    next_member->flags = READONLY;
  }
  return 0;
}
