/* The records of interpreters: found by address, ended through a capsule in the interpreter's dict.
 *
 * CPython clears that dict after the modules are gone and before its last garbage collection, with
 * the interpreter still able to run destructors: the latest moment at which references can be
 * dropped. */
#include "ctx_interpreter.h"

#define CAPSULE_NAME "hpy interpreter record"

/* A destructor may store a new object in a global while the globals are released, and the
 * destructor of that object again; one that goes on for ever must not keep the interpreter from
 * ending. */
#define MAX_RELEASE_ROUNDS 100

_HPyInterpreter *_HPyInterpreter_only;

static _HPyInterpreter *records;
static _HPyInterpreter *last_found;

_HPyInterpreter *_HPyInterpreter_Find(void) {
  PyInterpreterState *state = PyInterpreterState_Get();
  _HPyInterpreter *record = last_found, *found = NULL;
  int in_use = 0;
  if (record != NULL && record->state == state) return record;
  for (record = records; record != NULL; record = record->next) {
    if (record->state == state) found = record;
    if (record->state != NULL) in_use++;
  }
  if (found != NULL) {
    last_found = found;
    if (in_use == 1) _HPyInterpreter_only = found;
  }
  return found;
}

/* The interpreter ends. Destructors may run while its references are dropped, and may load and
 * store globals: the record stays findable until there is nothing left in it. Others may run
 * afterwards: so even when one record remains, it is not taken for that of the current interpreter
 * before _HPyInterpreter_Find has seen that it is. */
static void interpreter_ends(PyObject *capsule) {
  _HPyInterpreter *record = (_HPyInterpreter *)PyCapsule_GetPointer(capsule, CAPSULE_NAME);
  int round;
  if (record == NULL) {
    PyErr_Clear();
    return;
  }
  for (round = 0; record->globals != NULL && round < MAX_RELEASE_ROUNDS; round++) {
    PyObject **globals = record->globals;
    Py_ssize_t size = record->globals_size, i;
    record->globals = NULL;
    record->globals_size = 0;
    for (i = 0; i < size; i++) Py_XDECREF(globals[i]);
    PyMem_RawFree(globals);
  }
  PyMem_RawFree(record->globals);
  record->globals = NULL;
  record->globals_size = 0;
  record->context_is_filled = 0;
  record->state = NULL;
  last_found = NULL;
  _HPyInterpreter_only = NULL;
}

/* A record that is free, or NULL with an exception set. */
static _HPyInterpreter *free_record(int64_t id) {
  _HPyInterpreter *record, *found = NULL;
  for (record = records; record != NULL; record = record->next) {
    if (record->state != NULL) continue;
    if (record->id == id) {
      PyErr_SetString(PyExc_SystemError,
                      "this interpreter has released what hpy keeps for it and is about to end");
      return NULL;
    }
    found = record;
  }
  if (found == NULL) {
    found = (_HPyInterpreter *)PyMem_RawCalloc(1, sizeof(*found));
    if (found == NULL) {
      PyErr_NoMemory();
      return NULL;
    }
    found->id = -1;
    found->next = records;
    records = found;
  }
  return found;
}

_HPyInterpreter *_HPyInterpreter_Attach(void) {
  PyInterpreterState *state;
  PyObject *dict, *capsule, *key;
  int64_t id;
  int failed;
  _HPyInterpreter *record = _HPyInterpreter_Find();
  if (record != NULL) return record;

  state = PyInterpreterState_Get();
  id = PyInterpreterState_GetID(state);
  if (id < 0) return NULL;
  record = free_record(id);
  if (record == NULL) return NULL;
  dict = PyInterpreterState_GetDict(state);
  if (dict == NULL) {
    PyErr_SetString(PyExc_SystemError, "the interpreter has no dict to keep the state of hpy in");
    return NULL;
  }
  /* The address makes the key unique: several copies of this file may be in the process. */
  key = PyUnicode_FromFormat("%s %p", CAPSULE_NAME, (void *)&records);
  if (key == NULL) return NULL;
  capsule = PyCapsule_New(record, CAPSULE_NAME, NULL);
  failed = capsule == NULL || PyDict_SetItem(dict, key, capsule) < 0 ||
           PyCapsule_SetDestructor(capsule, interpreter_ends) < 0;
  Py_DECREF(key);
  Py_XDECREF(capsule);
  if (failed) return NULL;
  record->state = state;
  record->id = id;
  _HPyInterpreter_only = NULL;
  return _HPyInterpreter_Find();
}
