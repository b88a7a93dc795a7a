// The debug state of this process, shared by the files of hpy.debug._native.
#ifndef HPY_PYTHON_DEBUG_STATE_H_
#define HPY_PYTHON_DEBUG_STATE_H_

#include <Python.h>

#include <string>
#include <vector>

#include "cpython_host.h"
#include "debug_ctx/state.h"
#include "leakdetector/violation.h"

namespace hpy::python {

struct DebugState {
  CPythonHost host;
  debug_ctx::State state;
};

// Made at first use from the universal context. Null with an exception set when hpy.universal cannot
// be had.
DebugState* GetDebugState();

// The module object hpy.debug._debug: the older functions. A new reference.
PyObject* MakeOldModule();

// The type of DebugHandle objects, and one for a slot. New references.
PyObject* MakeDebugHandleType();
PyObject* NewDebugHandle(handles::Slot* slot);

// A violation from the dict that its JSON text stands for. False with an exception set when it is none.
bool ViolationFromDict(PyObject* dict, leakdetector::Violation* violation);

}  // namespace hpy::python

#endif  // HPY_PYTHON_DEBUG_STATE_H_
