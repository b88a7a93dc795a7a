// Loading of universal and hybrid extensions.
//
// The first line of every message is that of HPy 0.9, which tests of extensions assert. Advice
// follows on lines of its own or, where the whole text is asserted, in a note of the exception.
#include "universal/loader.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "runtime/ctx_internal.h"

namespace hpy::universal {
namespace {

// The highest minor version whose binaries run here. What we call ourselves is
// HPY_ABI_VERSION_MINOR: minor version 1 adds a member at the end of the context and is asked for
// by modules of the older spelling only.
constexpr uint32_t kHighestMinor = 1;

// An owned reference.
class Ref {
 public:
  explicit Ref(PyObject* object = nullptr) : object_(object) {}
  ~Ref() { Py_XDECREF(object_); }
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;
  PyObject* get() const { return object_; }
  PyObject* release() {
    PyObject* object = object_;
    object_ = nullptr;
    return object;
  }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_;
};

// NAME of the symbols: the last component of the module name, ASCII, '-' replaced.
class ShortName {
 public:
  static constexpr size_t kMaxLength = 200;

  // False with UnicodeEncodeError set when the name is not ASCII.
  bool Init(PyObject* name) {
    Ref ascii(PyUnicode_AsASCIIString(name));
    if (!ascii) return false;
    const char* full = PyBytes_AS_STRING(ascii.get());
    const char* dot = std::strrchr(full, '.');
    const char* last = dot == nullptr ? full : dot + 1;
    Set(last, std::strlen(last));
    return true;
  }
  // The file's name up to its first dot.
  bool InitFromPath(PyObject* path) {
    Ref encoded(PyUnicode_EncodeFSDefault(path));
    if (!encoded) return false;
    const char* full = PyBytes_AS_STRING(encoded.get());
    const char* slash = std::strrchr(full, '/');
    const char* file = slash == nullptr ? full : slash + 1;
    Set(file, std::strcspn(file, "."));
    return true;
  }
  const char* get() const { return text_; }

 private:
  void Set(const char* text, size_t length) {
    if (length > kMaxLength) length = kMaxLength;
    for (size_t i = 0; i < length; ++i) text_[i] = text[i] == '-' ? '_' : text[i];
    text_[length] = '\0';
  }

  char text_[kMaxLength + 1];
};

// The name of a symbol of the extension: prefix and short name.
class Symbol {
 public:
  Symbol(const char* prefix, const ShortName& name) {
    PyOS_snprintf(text_, sizeof(text_), "%s%s", prefix, name.get());
  }
  const char* get() const { return text_; }

 private:
  char text_[64 + ShortName::kMaxLength];
};

// One load, and what its messages speak of.
struct Request {
  const LoaderHost& host;
  PyObject* full_name;
  PyObject* path;
  ShortName name;
  void* library = nullptr;

  template <typename Function>
  Function Find(const Symbol& symbol) const {
    return reinterpret_cast<Function>(dlsym(library, symbol.get()));
  }
};

// The text of the last dl* error, decoded. nullptr when that fails.
PyObject* LastDlError() {
  const char* error = dlerror();
  if (error == nullptr) error = "no error message provided by the system";
  return PyUnicode_DecodeLocale(error, "surrogateescape");
}

// Raises the import error with `message` (reference taken over), `name` and `path`. `note` (or
// nullptr) is shown in tracebacks by CPython 3.11 and later, and is no part of the text.
void RaiseImportError(const Request& request, PyObject* message, const char* note = nullptr) {
  Ref text(message);
  if (!text) return;
  Ref args(PyTuple_Pack(1, text.get()));
  Ref keywords(Py_BuildValue("{sOsO}", "name", request.full_name, "path", request.path));
  if (!args || !keywords) return;
  Ref error(PyObject_Call(request.host.import_error, args.get(), keywords.get()));
  if (!error) return;
  if (note != nullptr && PyObject_HasAttrString(error.get(), "add_note")) {
    Ref none(PyObject_CallMethod(error.get(), "add_note", "s", note));
    if (!none) return;
  }
  PyErr_SetObject(request.host.import_error, error.get());
}

// Whether the file system knows the file; what dlopen says of a missing one is easily overlooked.
const char* AdviceForUnopened(const char* encoded_path, const char* error) {
  if (std::strstr(error, "cannot open shared object file") != nullptr &&
      std::strstr(error, encoded_path) != nullptr) {
    return "\nIs the path right? An extension NAME of the universal ABI is built as NAME.hpy0.so, "
           "next to its "
           "stub NAME.py (python setup.py --hpy-abi=universal build_ext -i).";
  }
  if (std::strstr(error, "undefined symbol: Py") != nullptr ||
      std::strstr(error, "undefined symbol: _Py") != nullptr) {
    return "\nThe file uses CPython's own API, of another version than this one: it was built with "
           "the hybrid "
           "or the cpython ABI for another interpreter. Rebuild it for this one.";
  }
  return "";
}

bool Open(Request& request) {
  Ref encoded(PyUnicode_EncodeFSDefault(request.path));
  if (!encoded) return false;
  char* path = nullptr;
  if (PyBytes_AsStringAndSize(encoded.get(), &path, nullptr) < 0) return false;  // an embedded NUL
  // Without a slash dlopen would search the system's folders.
  Ref here(std::strchr(path, '/') == nullptr ? PyBytes_FromFormat("./%s", path) : nullptr);
  if (std::strchr(path, '/') == nullptr && !here) return false;
  const char* to_open = here ? PyBytes_AS_STRING(here.get()) : path;

  // Constructors of the library may run Python code, but may not give up the GIL for long: as
  // CPython does.
  request.library = dlopen(to_open, RTLD_NOW | RTLD_LOCAL);
  if (request.library != nullptr) return true;
  Ref error(LastDlError());
  if (!error) return false;
  const char* error_text = PyUnicode_AsUTF8(error.get());
  if (error_text == nullptr) {
    PyErr_Clear();
    error_text = "";
  }
  RaiseImportError(
      request,
      PyUnicode_FromFormat(
          "Error during loading of the HPy extension module at path '%U'. Error message from "
          "dlopen/WinAPI: %U%s",
          request.path, error.get(), AdviceForUnopened(path, error_text)));
  return false;
}

// What the library is, when it is no HPy module of that name.
PyObject* AdviceForNoVersion(const Request& request) {
  const char* name = request.name.get();
  if (request.Find<void*>(Symbol("HPyInit_", request.name)) != nullptr) {
    return PyUnicode_FromFormat(
        "The file has a function HPyInit_%s, but no version: it was built with HPy 0.0.x. Rebuild "
        "it with "
        "the headers of this version (they accept the older spelling).",
        name);
  }
  if (request.Find<void*>(Symbol("PyInit_", request.name)) != nullptr) {
    return PyUnicode_FromFormat(
        "The file has a function PyInit_%s: it is an extension of CPython itself, or was built "
        "with the "
        "cpython ABI. Import it as any other module, or rebuild it with --hpy-abi=universal.",
        name);
  }
  // The likeliest mistake: the module is called like the file, and was asked for under another
  // name.
  ShortName called;
  if (called.InitFromPath(request.path)) {
    if (request.Find<void*>(Symbol("get_required_hpy_major_version_", called)) != nullptr) {
      return PyUnicode_FromFormat("The file has a module called '%s', but '%s' was asked for.",
                                  called.get(), name);
    }
  } else {
    PyErr_Clear();
  }
  return PyUnicode_FromFormat(
      "The file has no HPy module called '%s'. The name passed to load() must be the one in the "
      "extension's "
      "HPy_MODINIT(%s, ...), and HPy_MODINIT must be there.",
      name, name);
}

bool FindVersion(const Request& request, uint32_t* major, uint32_t* minor) {
  using VersionFunction = uint32_t (*)();
  Symbol minor_symbol("get_required_hpy_minor_version_", request.name);
  Symbol major_symbol("get_required_hpy_major_version_", request.name);
  auto minor_version = request.Find<VersionFunction>(minor_symbol);
  auto major_version =
      minor_version == nullptr ? nullptr : request.Find<VersionFunction>(major_symbol);
  if (minor_version == nullptr || major_version == nullptr) {
    Ref error(LastDlError());
    if (!error) return false;
    Ref advice(AdviceForNoVersion(request));
    if (!advice) return false;
    RaiseImportError(
        request,
        PyUnicode_FromFormat(
            "Error during loading of the HPy extension module at path '%U'. Cannot locate the "
            "required minimal HPy versions as symbols '%s' and `%s`. Error message from "
            "dlopen/WinAPI: %U\n%U",
            request.path, minor_symbol.get(), major_symbol.get(), error.get(), advice.get()));
    return false;
  }
  *minor = minor_version();
  *major = major_version();
  return true;
}

bool CheckVersion(const Request& request, uint32_t major, uint32_t minor) {
  if (major == HPY_ABI_VERSION && minor <= kHighestMinor) return true;
  RaiseImportError(
      request,
      PyUnicode_FromFormat(
          "HPy extension module '%s' requires unsupported version of the HPy runtime. Requested "
          "version: %u.%u. Current HPy version: %u.%u.",
          request.name.get(), static_cast<unsigned>(major), static_cast<unsigned>(minor),
          static_cast<unsigned>(HPY_ABI_VERSION), static_cast<unsigned>(HPY_ABI_VERSION_MINOR)),
      "Rebuild the extension with the hpy that is installed here, or install an hpy of that "
      "version.");
  return false;
}

// The tag is looked for in the name of the file. (HPy 0.9 takes the first one of the whole path,
// and so is misled by a folder called .hpy-something.) The older name NAME.hpy.so has none, and
// makes no claim.
bool CheckTag(const Request& request, uint32_t major, uint32_t minor) {
  Py_ssize_t length = PyUnicode_GET_LENGTH(request.path);
  Py_ssize_t slash = PyUnicode_FindChar(request.path, '/', 0, length, -1);
  if (slash == -2) return false;
  Ref file(PyUnicode_Substring(request.path, slash + 1, length));
  if (!file) return false;
  Ref bytes(PyUnicode_EncodeFSDefault(file.get()));
  if (!bytes) return false;
  const char* tag = std::strstr(PyBytes_AS_STRING(bytes.get()), ".hpy");
  if (tag != nullptr) {
    tag += std::strlen(".hpy");
    if (*tag == '.' || *tag == '-') return true;
  }
  if (tag == nullptr || *tag < '0' || *tag > '9') {
    RaiseImportError(
        request,
        PyUnicode_FromFormat(
            "HPy extension module '%s' at path '%U': could not find HPy ABI tag encoded in the "
            "filename. The extension claims to be compiled with HPy ABI version: %u.%u.",
            request.name.get(), request.path, static_cast<unsigned>(major),
            static_cast<unsigned>(minor)),
        "The file should be called NAME.hpy0.so (universal ABI) or like NAME.hpy0-cp311.so (hybrid "
        "ABI).");
    return false;
  }
  unsigned long number = std::strtoul(tag, nullptr, 10);
  if (number == major) return true;
  RaiseImportError(
      request,
      PyUnicode_FromFormat(
          "HPy extension module '%s' at path '%U': mismatch between the HPy ABI tag encoded in "
          "the filename and the major version requested by the HPy extension itself. Major "
          "version tag parsed from filename: %lu. Requested version: %u.%u.",
          request.name.get(), request.path, number, static_cast<unsigned>(major),
          static_cast<unsigned>(minor)),
      "Was the file renamed? Build it again.");
  return false;
}

// Looks up a function of the module; raises when it is missing.
template <typename Function>
Function FindRequired(const Request& request, const char* prefix) {
  Symbol symbol(prefix, request.name);
  auto function = request.Find<Function>(symbol);
  if (function != nullptr) return function;
  Ref error(LastDlError());
  if (!error) return nullptr;
  RaiseImportError(
      request,
      PyUnicode_FromFormat(
          "Error during loading of the HPy extension module at path '%U' while trying to find "
          "symbol '%s'. Did you usethe HPy_MODINIT macro to register your module? Error message "
          "from dlsym/WinAPI: %U",
          request.path, symbol.get(), error.get()));
  return nullptr;
}

const char* NameOf(Mode mode) {
  switch (mode) {
    case Mode::kDebug:
      return "debug";
    case Mode::kTrace:
      return "trace";
    case Mode::kUniversal:
      break;
  }
  return "universal";
}

// A module in a loaded library, and the mode of the context that its one variable holds. Libraries
// are never closed, so neither are these records freed; they are used under the GIL.
struct Loaded {
  void* library;
  Mode mode;
  Loaded* next;
  char name[ShortName::kMaxLength + 1];
};
Loaded* loaded_modules = nullptr;

// Notes the mode. Loading a module again in another mode changes the mode of the module objects
// that exist, for they share that variable: so it warns. False with an exception set.
bool NoteMode(const Request& request, Mode mode) {
  for (Loaded* loaded = loaded_modules; loaded != nullptr; loaded = loaded->next) {
    if (loaded->library != request.library || std::strcmp(loaded->name, request.name.get()) != 0)
      continue;
    if (loaded->mode != mode &&
        PyErr_WarnFormat(
            PyExc_RuntimeWarning, 1,
            "HPy extension module '%s' at path '%U' was loaded in %s mode before and is now loaded "
            "in %s mode. A library has one context: the module objects made from it before are in "
            "%s mode too from now on.",
            request.name.get(), request.path, NameOf(loaded->mode), NameOf(mode),
            NameOf(mode)) < 0) {
      return false;
    }
    loaded->mode = mode;
    return true;
  }
  auto* loaded = static_cast<Loaded*>(PyMem_RawCalloc(1, sizeof(Loaded)));
  if (loaded == nullptr) {
    PyErr_NoMemory();
    return false;
  }
  loaded->library = request.library;
  loaded->mode = mode;
  std::strcpy(loaded->name, request.name.get());
  loaded->next = loaded_modules;
  loaded_modules = loaded;
  return true;
}

}  // namespace

PyObject* MakeModule(_HPyModuleDef_ABI* def, PyObject* spec) {
  PyModuleDef* native = _HPyModuleDef_AsPyModuleDef(def);
  if (native == nullptr) return nullptr;
  Ref module(PyModule_FromDefAndSpec(native, spec));
  if (!module) return nullptr;
  if (PyModule_Check(module.get()) && PyModule_ExecDef(module.get(), native) < 0) return nullptr;
  return module.release();
}

PyObject* Load(const LoaderHost& host, PyObject* name, PyObject* path, PyObject* spec, Mode mode) {
  Request request{host, name, path, {}, nullptr};
  uint32_t major = 0, minor = 0;
  if (!request.name.Init(name) || !Open(request) || !FindVersion(request, &major, &minor) ||
      !CheckVersion(request, major, minor) || !CheckTag(request, major, minor)) {
    return nullptr;
  }
  HPyContext* ctx = host.context_of(mode);
  if (ctx == nullptr) return nullptr;

  auto init_context = FindRequired<void (*)(HPyContext*)>(request, "HPyInitGlobalContext_");
  if (init_context == nullptr) return nullptr;
  auto init = FindRequired<_HPyModuleDef_ABI* (*)()>(request, "HPyInit_");
  if (init == nullptr || !NoteMode(request, mode)) return nullptr;
  init_context(ctx);
  _HPyModuleDef_ABI* def = init();
  if (def == nullptr) {
    RaiseImportError(request,
                     PyUnicode_FromFormat(
                         "Error during loading of the HPy extension module at path '%U'. Function "
                         "'HPyInit_%s' returned NULL.",
                         path, request.name.get()));
    return nullptr;
  }
  host.register_module(mode, request.name.get(), def, request.library);
  return MakeModule(def, spec);
}

}  // namespace hpy::universal
