// The debug states of the interpreters, shared by the files of hpy.debug._native.
#ifndef HPY_PYTHON_DEBUG_STATE_H_
#define HPY_PYTHON_DEBUG_STATE_H_

#include <Python.h>

#include <string>
#include <vector>

#include "cpython_host.h"
#include "debug_ctx/state.h"
#include "leakdetector/violation.h"
#include "universal/capi.h"

namespace hpy::python {

// Debug mode in one interpreter. Never freed: libraries keep the address of the context in it, and
// destroy functions still run when an interpreter ends, after all that Python code can notice. So a
// state keeps its interpreter until another one needs it. All of it is under the GIL, which all
// interpreters with a debug context share: in one with a GIL of its own CPython refuses to import us.
class DebugState {
 public:
  // That of the current interpreter, made at first use. Null with an exception set when hpy.universal
  // cannot be had.
  static DebugState* OfInterpreter();
  // The same, or null without an exception where there is none.
  static DebugState* Find();
  // That of some interpreter, for people in a debugger: also on a thread in which none executes.
  static DebugState* Any();

  CPythonHost host;
  debug_ctx::State state;
  std::vector<std::string> modules;     // names of those that were loaded in debug mode
  PyTypeObject* handle_type = nullptr;  // of DebugHandle objects; owned

 private:
  DebugState(PyInterpreterState* interpreter, int64_t id, const hpy_universal_capi& universal);
  static DebugState* New(PyInterpreterState* interpreter, const hpy_universal_capi& universal);
  static void InterpreterEnds(PyObject* capsule);

  static DebugState* states_;
  static DebugState* last_found_;  // the interpreter of which has not ended

  PyInterpreterState* interpreter_;
  int64_t id_;
  bool ended_ = false;  // free for another interpreter
  DebugState* next_ = nullptr;
};

// The module object hpy.debug._debug: the older functions. A new reference.
PyObject* MakeOldModule(DebugState& debug);

// The type of DebugHandle objects, and one for a slot. New references.
PyObject* MakeDebugHandleType(DebugState& debug);
PyObject* NewDebugHandle(DebugState& debug, handles::Slot* slot);

// Functions of the module: debug_leaks.cc.
PyObject* FindLeaks(PyObject* module, PyObject* args, PyObject* keywords);
PyObject* FlushNotes(PyObject* module, PyObject* unused);

// The file of the library with this address; empty when there is none.
std::string LibraryOf(const void* address);

// What this machine and this process offer, for `python -m hpy.debug doctor`: a dict.
PyObject* Doctor(PyObject*, PyObject*);

// A violation from the dict that its JSON text stands for. False with an exception set when it is none.
bool ViolationFromDict(PyObject* dict, leakdetector::Violation* violation);

}  // namespace hpy::python

#endif  // HPY_PYTHON_DEBUG_STATE_H_
