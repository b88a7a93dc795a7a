// Loading of universal and hybrid extensions: from a file to a module object.
#ifndef HPY_UNIVERSAL_LOADER_H_
#define HPY_UNIVERSAL_LOADER_H_

#include <Python.h>

#include "hpy.h"

namespace hpy::universal {

enum class Mode { kUniversal = 0, kDebug = 1, kTrace = 2 };

// What the loader needs from the module hpy.universal. `import_error` (borrowed) is the exception
// class of everything that is wrong with a file; it is both an ImportError and a RuntimeError.
struct LoaderHost {
  PyObject* import_error;
  // The context of a mode for the current interpreter, or nullptr with an exception set.
  HPyContext* (*context_of)(Mode mode);
  // Tells the native module of a mode of a definition that was loaded in it. Cannot fail.
  void (*register_module)(Mode mode, const char* name, const _HPyModuleDef_ABI* def, void* library);
};

// Loads the file `path` (str) as module `name` (str, full dotted name; the symbols carry its last
// component) for `spec`, and executes it. A new reference, or nullptr with an exception set. The
// library is never closed.
PyObject* Load(const LoaderHost& host, PyObject* name, PyObject* path, PyObject* spec, Mode mode);

// The module object of a definition: created for the spec and executed. A new reference, or nullptr
// with an exception set.
PyObject* MakeModule(_HPyModuleDef_ABI* def, PyObject* spec);

}  // namespace hpy::universal

#endif  // HPY_UNIVERSAL_LOADER_H_
