// Which mode the environment variables HPY and HPY_DEBUG ask for.
#include "universal_environment.h"

#include <string_view>

namespace hpy::python {
namespace {

using universal::Mode;

// environment[name] as a new reference; nullptr without an exception when there is no such key.
PyObject* Get(PyObject* environment, const char* name) {
  PyObject* value = PyMapping_GetItemString(environment, name);
  if (value == nullptr && PyErr_ExceptionMatches(PyExc_KeyError)) PyErr_Clear();
  return value;
}

// The same, for a value that must be a str.
PyObject* GetText(PyObject* environment, const char* name) {
  PyObject* value = Get(environment, name);
  if (value != nullptr && !PyUnicode_Check(value)) {
    PyErr_Format(PyExc_TypeError, "the environment variable %s must be a str, not '%.200s'", name,
                 Py_TYPE(value)->tp_name);
    Py_DECREF(value);
    return nullptr;
  }
  return value;
}

// UTF-8 of a str that may hold undecodable bytes of the environment; a new bytes object.
PyObject* Encode(PyObject* text) {
  return PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
}

std::string_view View(PyObject* bytes) {
  return {PyBytes_AS_STRING(bytes), static_cast<size_t>(PyBytes_GET_SIZE(bytes))};
}

std::string_view Strip(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (Py_TOLOWER(text[i]) != lower[i]) return false;
  }
  return true;
}

bool ParseMode(std::string_view text, Mode* mode) {
  text = Strip(text);
  if (EqualsIgnoringCase(text, "debug")) {
    *mode = Mode::kDebug;
  } else if (EqualsIgnoringCase(text, "trace")) {
    *mode = Mode::kTrace;
  } else if (EqualsIgnoringCase(text, "universal") || text == "0") {
    *mode = Mode::kUniversal;
  } else {
    return false;
  }
  return true;
}

// The names of the module that is loaded.
class Names {
 public:
  Names(std::string_view full, std::string_view short_name) : full_(full), short_(short_name) {
    size_t dot = full.rfind('.');
    last_ = dot == std::string_view::npos ? full : full.substr(dot + 1);
  }
  bool Match(std::string_view name) const {
    name = Strip(name);
    return !name.empty() && (name == full_ || name == last_ || name == short_);
  }

 private:
  std::string_view full_, short_, last_;
};

// Calls visit(entry) for each entry of a comma-separated list until it returns false.
template <typename Visit>
void ForEachEntry(std::string_view list, Visit visit) {
  while (true) {
    size_t comma = list.find(',');
    if (!visit(list.substr(0, comma)) || comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

// False when the text of HPY is invalid.
bool ParseHpy(std::string_view text, const Names& names, Mode* mode) {
  if (text.find(':') == std::string_view::npos) return ParseMode(text, mode);
  bool valid = true;
  ForEachEntry(text, [&](std::string_view entry) {
    size_t colon = entry.rfind(':');
    if (colon == std::string_view::npos) {
      valid = Strip(entry).empty();  // a comma at the end does no harm
      return valid;
    }
    if (!names.Match(entry.substr(0, colon))) return true;
    valid = ParseMode(entry.substr(colon + 1), mode);
    return false;
  });
  return valid;
}

Mode ParseHpyDebug(std::string_view text, const Names& names) {
  if (Strip(text) == "1") return Mode::kDebug;
  Mode mode = Mode::kUniversal;
  ForEachEntry(text, [&](std::string_view entry) {
    if (names.Match(entry)) mode = Mode::kDebug;
    return mode != Mode::kDebug;
  });
  return mode;
}

}  // namespace

bool ModeFromEnvironment(PyObject* environment, PyObject* full_name, PyObject* short_name,
                         Mode* mode) {
  *mode = Mode::kUniversal;
  PyObject* hpy = GetText(environment, "HPY");
  if (hpy == nullptr && PyErr_Occurred()) return false;
  // HPY= in a shell is as good as unset.
  if (hpy != nullptr && PyUnicode_GET_LENGTH(hpy) == 0) Py_CLEAR(hpy);
  PyObject* text = hpy != nullptr ? hpy : GetText(environment, "HPY_DEBUG");
  if (text == nullptr) return !PyErr_Occurred();

  PyObject* bytes = Encode(text);
  PyObject* full = Encode(full_name);
  PyObject* last = Encode(short_name);
  bool valid = false;
  if (bytes != nullptr && full != nullptr && last != nullptr) {
    Names names(View(full), View(last));
    valid = true;
    if (hpy == nullptr) {
      *mode = ParseHpyDebug(View(bytes), names);
    } else if (!ParseHpy(View(bytes), names, mode)) {
      valid = false;
      PyErr_Format(PyExc_ValueError,
                   "invalid HPy mode: %.50U\nThe environment variable HPY must be debug, trace or "
                   "universal, "
                   "or a list like NAME:debug,OTHER:trace.",
                   text);
    }
  }
  Py_XDECREF(bytes);
  Py_XDECREF(full);
  Py_XDECREF(last);
  Py_DECREF(text);
  return valid;
}

int LogIsWanted(PyObject* environment) {
  PyObject* value = Get(environment, "HPY_LOG");
  if (value == nullptr) return PyErr_Occurred() ? -1 : 0;
  Py_DECREF(value);
  return 1;
}

}  // namespace hpy::python
