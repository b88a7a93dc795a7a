// The module hpy.universal: loads extensions of the universal and the hybrid ABI.
#include <Python.h>

#include <initializer_list>

#include "hpy/version.h"
#include "universal/capi.h"
#include "universal/context.h"
#include "universal/loader.h"
#include "universal/observer.h"
#include "universal_environment.h"

namespace hpy::python {
namespace {

using universal::Mode;

struct ModuleState {
  PyObject* import_error;
  hpy_universal_capi capi;
};

ModuleState* StateOf(PyObject* module) {
  return static_cast<ModuleState*>(PyModule_GetState(module));
}

// -------------------------------------------------------------------------------------------------
// The native modules of the other modes, which are imported when they are needed

struct NativeModule {
  const char* name;
  const char* capsule;
  const char* attribute;  // its module object of the older interface
  const char* what;
};
constexpr NativeModule kDebugModule = {"hpy.debug._native", HPY_DEBUG_CAPSULE, "_debug",
                                       "debug mode"};
constexpr NativeModule kTraceModule = {"hpy.trace._native", HPY_TRACE_CAPSULE, "_trace",
                                       "trace mode"};

// Replaces the ImportError that is set by one that says what to install; the old one becomes its
// cause.
void ExplainImportError(const NativeModule& native) {
  PyObject *type, *cause, *traceback;
  PyErr_Fetch(&type, &cause, &traceback);
  PyErr_NormalizeException(&type, &cause, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(cause, traceback);
  // A shared library that the system lacks is the other reason beside a broken installation.
  PyErr_Format(
      PyExc_ImportError,
      "HPy's %s needs the module %s, which cannot be imported: %S\n"
      "It is part of the package hpy (pip install --force-reinstall hpy) and uses the system's "
      "libunwind and libdw (Debian: apt-get install libunwind8 libdw1).",
      native.what, native.name, cause);
  PyObject *new_type, *error, *new_traceback;
  PyErr_Fetch(&new_type, &error, &new_traceback);
  PyErr_NormalizeException(&new_type, &error, &new_traceback);
  PyException_SetCause(error, cause);  // takes over the reference
  PyErr_Restore(new_type, error, new_traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
}

PyObject* ImportNative(const NativeModule& native) {
  PyObject* module = PyImport_ImportModule(native.name);
  if (module == nullptr && PyErr_ExceptionMatches(PyExc_ImportError)) ExplainImportError(native);
  return module;
}

const hpy_debug_capi* CapiOf(const NativeModule& native) {
  PyObject* module = ImportNative(native);
  if (module == nullptr) return nullptr;
  PyObject* capsule = PyObject_GetAttrString(module, "_capi");
  Py_DECREF(module);
  if (capsule == nullptr) return nullptr;
  auto* capi = static_cast<const hpy_debug_capi*>(PyCapsule_GetPointer(capsule, native.capsule));
  Py_DECREF(capsule);  // what it points at is static in the native module, which is never unloaded
  return capi;
}

const NativeModule& NativeModuleOf(Mode mode) {
  return mode == Mode::kTrace ? kTraceModule : kDebugModule;
}

HPyContext* ContextOf(Mode mode) {
  if (mode == Mode::kUniversal) return universal::ContextOfInterpreter();
  const hpy_debug_capi* capi = CapiOf(NativeModuleOf(mode));
  if (capi == nullptr) return nullptr;
  HPyContext* ctx = capi->get_ctx();
  if (ctx == nullptr && !PyErr_Occurred()) {
    PyErr_Format(PyExc_SystemError, "Could not create %s context",
                 mode == Mode::kTrace ? "trace" : "debug");
  }
  return ctx;
}

// The native module was imported for the context already, so this does not fail.
void RegisterModule(Mode mode, const char* name, const _HPyModuleDef_ABI* def, void* library) {
  if (mode == Mode::kUniversal) return;
  const hpy_debug_capi* capi = CapiOf(NativeModuleOf(mode));
  if (capi == nullptr) {
    PyErr_Clear();
  } else if (capi->register_module != nullptr) {
    capi->register_module(name, def, library);
  }
}

// -------------------------------------------------------------------------------------------------
// Functions

PyObject* LoadInMode(PyObject* module, PyObject* name, PyObject* path, PyObject* spec, Mode mode) {
  universal::LoaderHost host = {StateOf(module)->import_error, ContextOf, RegisterModule};
  return universal::Load(host, name, path, spec, mode);
}

PyObject* NewSpec(PyObject* name, PyObject* path) {
  PyObject* machinery = PyImport_ImportModule("importlib.machinery");
  if (machinery == nullptr) return nullptr;
  PyObject* type = PyObject_GetAttrString(machinery, "ModuleSpec");
  Py_DECREF(machinery);
  if (type == nullptr) return nullptr;
  PyObject* args = PyTuple_Pack(2, name, Py_None);
  PyObject* keywords = Py_BuildValue("{sO}", "origin", path);
  PyObject* spec =
      args == nullptr || keywords == nullptr ? nullptr : PyObject_Call(type, args, keywords);
  Py_XDECREF(args);
  Py_XDECREF(keywords);
  Py_DECREF(type);
  return spec;
}

// The two spellings: load(name, path, debug=False) and load(name, path, spec, debug=False,
// mode=-1). A bool in the third place is the older `debug`. A mode that is given wins; negative is
// HPy 0.9's way to give none, and as there a number that is no mode stands for the universal one.
bool ParseMode(PyObject* debug, PyObject* mode, Mode* result) {
  if (mode != Py_None) {
    PyObject* index = PyNumber_Index(mode);
    if (index == nullptr) return false;
    int overflow = 0;
    long number = PyLong_AsLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (number == -1 && PyErr_Occurred()) return false;
    if (overflow > 0 || (overflow == 0 && number >= 0)) {
      *result = number == 1 ? Mode::kDebug : number == 2 ? Mode::kTrace : Mode::kUniversal;
      return true;
    }
  }
  int is_debug = PyObject_IsTrue(debug);
  if (is_debug < 0) return false;
  *result = is_debug != 0 ? Mode::kDebug : Mode::kUniversal;
  return true;
}

PyObject* LoadFunction(PyObject* module, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"name", "path", "spec", "debug", "mode", nullptr};
  PyObject *name, *path, *spec = Py_None, *debug = Py_False, *mode = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "UO|OOO:load", const_cast<char**>(names), &name,
                                   &path, &spec, &debug, &mode)) {
    return nullptr;
  }
  if (PyBool_Check(spec)) {
    if (debug == Py_False) debug = spec;
    spec = Py_None;
  }
  Mode parsed;
  if (!ParseMode(debug, mode, &parsed)) return nullptr;
  PyObject* made = nullptr;
  if (spec == Py_None) {
    spec = made = NewSpec(name, path);
    if (made == nullptr) return nullptr;
  }
  PyObject* result = LoadInMode(module, name, path, spec, parsed);
  Py_XDECREF(made);
  return result;
}

// Sets an attribute of what was loaded. What a create slot made may be any object, and may refuse
// it.
bool SetAttribute(PyObject* object, const char* name, PyObject* value) {
  if (PyObject_SetAttrString(object, name, value) == 0) return true;
  if (PyModule_Check(object) ||
      !(PyErr_ExceptionMatches(PyExc_AttributeError) || PyErr_ExceptionMatches(PyExc_TypeError))) {
    return false;
  }
  PyErr_Clear();
  return true;
}

void Log(PyObject* name, Mode mode) {
  const char* behind = mode == Mode::kDebug   ? " with a debug context"
                       : mode == Mode::kTrace ? " with a trace context"
                                              : "";
  PySys_FormatStdout("Loading '%.200U' in HPy universal mode%s\n", name, behind);
}

PyObject* LoadBootstrap(PyObject* module, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"name",   "ext_name", "package", "file",
                                "loader", "spec",     "env",     nullptr};
  PyObject *name, *full_name, *package, *file, *loader, *spec, *environment;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "UUOOOOO:_load_bootstrap",
                                   const_cast<char**>(names), &name, &full_name, &package, &file,
                                   &loader, &spec, &environment)) {
    return nullptr;
  }
  Mode mode;
  if (!ModeFromEnvironment(environment, full_name, name, &mode)) return nullptr;
  int log = LogIsWanted(environment);
  if (log < 0) return nullptr;
  if (log > 0) Log(name, mode);

  PyObject* loaded = LoadInMode(module, name, file, spec, mode);
  if (loaded == nullptr) return nullptr;
  if (SetAttribute(loaded, "__file__", file) && SetAttribute(loaded, "__loader__", loader) &&
      SetAttribute(loaded, "__name__", full_name) && SetAttribute(loaded, "__package__", package) &&
      PyObject_SetAttrString(spec, "origin", file) == 0 && SetAttribute(loaded, "__spec__", spec)) {
    return loaded;
  }
  Py_DECREF(loaded);
  return nullptr;
}

PyObject* GetVersion(PyObject*, PyObject*) {
  return Py_BuildValue("ss", HPY_VERSION, HPY_GIT_REVISION);
}

// hpy.universal._debug and hpy.universal._trace: they cost nothing to who does not use them.
PyObject* GetAttr(PyObject* module, PyObject* name) {
  for (const NativeModule* native : {&kDebugModule, &kTraceModule}) {
    if (!PyUnicode_Check(name) || PyUnicode_CompareWithASCIIString(name, native->attribute) != 0)
      continue;
    PyObject* imported = ImportNative(*native);
    if (imported == nullptr) return nullptr;
    PyObject* value = PyObject_GetAttr(imported, name);
    Py_DECREF(imported);
    if (value != nullptr && PyObject_SetAttr(module, name, value) < 0) Py_CLEAR(value);
    return value;
  }
  PyErr_Format(PyExc_AttributeError, "module 'hpy.universal' has no attribute %R", name);
  return nullptr;
}

PyCFunction WithKeywords(PyObject* (*function)(PyObject*, PyObject*, PyObject*)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"load", WithKeywords(LoadFunction), METH_VARARGS | METH_KEYWORDS,
     "load($module, /, name, path, spec=None, debug=False, mode=None)\n--\n\n"
     "Loads the extension in the file `path` as module `name` and returns the module.\n\n"
     "debug=True or mode=MODE_DEBUG loads it with the debug context, mode=MODE_TRACE with the "
     "trace\n"
     "context; a mode that is given wins. The environment variables HPY and HPY_DEBUG are not "
     "looked at."},
    {"_load_bootstrap", WithKeywords(LoadBootstrap), METH_VARARGS | METH_KEYWORDS,
     "What the stub NAME.py of an extension calls."},
    {"get_version", GetVersion, METH_NOARGS,
     "get_version($module, /)\n--\n\nThe version of hpy and its revision in version control."},
    {"__getattr__", GetAttr, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// -------------------------------------------------------------------------------------------------
// The module

PyObject* MakeModuleForCapi(const char* name, _HPyModuleDef_ABI* def, PyObject* spec) {
  if (spec != nullptr) return universal::MakeModule(def, spec);
  PyObject* name_object = PyUnicode_FromString(name);
  if (name_object == nullptr) return nullptr;
  PyObject* made = NewSpec(name_object, Py_None);
  Py_DECREF(name_object);
  if (made == nullptr) return nullptr;
  PyObject* module = universal::MakeModule(def, made);
  Py_DECREF(made);
  return module;
}

PyObject* NewImportError() {
  PyObject* bases = PyTuple_Pack(2, PyExc_ImportError, PyExc_RuntimeError);
  if (bases == nullptr) return nullptr;
  PyObject* error =
      PyErr_NewExceptionWithDoc("hpy.universal.HPyImportError",
                                "A file that is no HPy extension, or one that cannot run here. It "
                                "is an ImportError for those who "
                                "import, and a RuntimeError for code that was written for HPy 0.9.",
                                bases, nullptr);
  Py_DECREF(bases);
  return error;
}

int Exec(PyObject* module) {
#ifdef Py_GIL_DISABLED
  PyErr_SetString(PyExc_ImportError,
                  "hpy.universal needs the GIL: free-threaded builds of CPython are not supported");
  return -1;
#endif
  ModuleState* state = StateOf(module);
  HPyContext* ctx = universal::ContextOfInterpreter();
  if (ctx == nullptr) return -1;
  state->capi = {ctx,
                 HPY_CAPI_VERSION,
                 universal::CallRealFunction,
                 MakeModuleForCapi,
                 universal::OnlyInterpreter(),
                 universal::ObserverFunctions(),

                 universal::WatchSlots};
  state->import_error = NewImportError();
  if (state->import_error == nullptr) return -1;
  if (PyObject_SetAttrString(module, "HPyImportError", state->import_error) < 0) return -1;
  PyObject* capsule = PyCapsule_New(&state->capi, HPY_UNIVERSAL_CAPSULE, nullptr);
  if (capsule == nullptr) return -1;
  int failed = PyObject_SetAttrString(module, "_capi", capsule);
  Py_DECREF(capsule);
  if (failed != 0) return -1;
  if (PyModule_AddIntConstant(module, "MODE_UNIVERSAL", static_cast<long>(Mode::kUniversal)) < 0 ||
      PyModule_AddIntConstant(module, "MODE_DEBUG", static_cast<long>(Mode::kDebug)) < 0 ||
      PyModule_AddIntConstant(module, "MODE_TRACE", static_cast<long>(Mode::kTrace)) < 0) {
    return -1;
  }
  return 0;
}

int Traverse(PyObject* module, visitproc visit, void* arg) {
  Py_VISIT(StateOf(module)->import_error);
  return 0;
}

int Clear(PyObject* module) {
  Py_CLEAR(StateOf(module)->import_error);
  return 0;
}

void Free(void* module) { Clear(static_cast<PyObject*>(module)); }

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(Exec)},
#ifdef Py_mod_multiple_interpreters
    // Those that share the GIL. In one with a GIL of its own CPython refuses the import and says
    // why.
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#endif
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "hpy.universal",
    "Loads HPy extensions of the universal and the hybrid ABI.",
    sizeof(ModuleState),
    methods,
    slots,
    Traverse,
    Clear,
    Free,
};

}  // namespace
}  // namespace hpy::python

PyMODINIT_FUNC PyInit_universal(void) { return PyModuleDef_Init(&hpy::python::definition); }
