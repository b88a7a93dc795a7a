// What hpy.universal offers the native modules of the other modes.
#ifndef HPY_PYTHON_IMPORT_UNIVERSAL_H_
#define HPY_PYTHON_IMPORT_UNIVERSAL_H_

#include <Python.h>

#include "universal/capi.h"

namespace hpy::python {

// The interface of hpy.universal for the current interpreter, on behalf of module `who`. nullptr with
// an exception set.
inline const hpy_universal_capi* ImportUniversal(const char* who) {
  PyObject* module = PyImport_ImportModule("hpy.universal");
  if (module == nullptr) return nullptr;
  PyObject* capsule = PyObject_GetAttrString(module, "_capi");
  Py_DECREF(module);
  if (capsule == nullptr) return nullptr;
  auto* capi =
      static_cast<const hpy_universal_capi*>(PyCapsule_GetPointer(capsule, HPY_UNIVERSAL_CAPSULE));
  Py_DECREF(capsule);
  if (capi != nullptr && capi->version != HPY_CAPI_VERSION) {
    PyErr_Format(PyExc_ImportError,
                 "%s needs version %d of hpy.universal's interface, and found version %u: the two "
                 "come from different installations; reinstall hpy",
                 who, HPY_CAPI_VERSION, static_cast<unsigned>(capi->version));
    return nullptr;
  }
  return capi;
}

}  // namespace hpy::python

#endif  // HPY_PYTHON_IMPORT_UNIVERSAL_H_
