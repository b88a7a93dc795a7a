// hpy.debug._debug, that is hpy.universal._debug: the older functions of debug mode.
#include <algorithm>
#include <limits>

#include "debug_state.h"

namespace hpy::python {

namespace {

using handles::Slot;

PyObject* ListOf(DebugState& debug, const std::vector<Slot*>& slots) {
  PyObject* list = PyList_New(static_cast<Py_ssize_t>(slots.size()));
  if (list == nullptr) return nullptr;
  for (size_t i = 0; i < slots.size(); i++) {
    PyObject* handle = NewDebugHandle(debug, slots[i]);
    if (handle == nullptr) {
      Py_DECREF(list);
      return nullptr;
    }
    PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), handle);
  }
  return list;
}

PyObject* NewGeneration(PyObject*, PyObject*) {
  DebugState* debug = DebugState::OfInterpreter();
  return debug == nullptr ? nullptr : PyLong_FromLongLong(debug->state.NewGeneration());
}

PyObject* GetOpenHandles(PyObject*, PyObject* args) {
  long long generation;
  if (!PyArg_ParseTuple(args, "L:get_open_handles", &generation)) return nullptr;
  DebugState* debug = DebugState::OfInterpreter();
  return debug == nullptr ? nullptr : ListOf(*debug, debug->state.table.OpenSlots(generation));
}

PyObject* GetClosedHandles(PyObject*, PyObject* args) {
  long long generation = 0;
  if (PyTuple_GET_SIZE(args) > 1) {
    PyErr_SetString(PyExc_TypeError,
                    "get_closed_handles expects no arguments or exactly one argument");
    return nullptr;
  }
  if (!PyArg_ParseTuple(args, "|L:get_closed_handles", &generation)) return nullptr;
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  debug->state.QueueArguments();
  return ListOf(*debug, debug->state.table.ClosedSlots(generation));
}

// A size of a queue or limit: an int that is not negative.
bool ParseSize(PyObject* argument, size_t* size) {
  *size = PyLong_AsSize_t(argument);
  return *size != static_cast<size_t>(-1) || PyErr_Occurred() == nullptr;
}

PyObject* GetQueueSize(PyObject*, PyObject*) {
  DebugState* debug = DebugState::OfInterpreter();
  return debug == nullptr ? nullptr : PyLong_FromSize_t(debug->state.table.closed_queue_max());
}

PyObject* SetQueueSize(PyObject*, PyObject* argument) {
  size_t size;
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr || !ParseSize(argument, &size)) return nullptr;
  debug->state.QueueArguments();
  debug->state.table.set_closed_queue_max(size);
  Py_RETURN_NONE;
}

PyObject* GetRawDataMax(PyObject*, PyObject*) {
  DebugState* debug = DebugState::OfInterpreter();
  return debug == nullptr ? nullptr : PyLong_FromSize_t(debug->state.settings.closed_buffers);
}

PyObject* SetRawDataMax(PyObject*, PyObject* argument) {
  size_t size;
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr || !ParseSize(argument, &size)) return nullptr;
  debug->state.SetClosedBuffers(size);
  Py_RETURN_NONE;
}

PyObject* SetHook(PyObject** hook, PyObject* callable) {
  if (callable == Py_None) {
    callable = nullptr;
  } else if (!PyCallable_Check(callable)) {
    PyErr_SetString(PyExc_TypeError, "Expected a callable object");
    return nullptr;
  }
  Py_XINCREF(callable);
  Py_XDECREF(*hook);
  *hook = callable;
  Py_RETURN_NONE;
}

PyObject* SetOnInvalidHandle(PyObject*, PyObject* callable) {
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  PyObject* result = SetHook(&debug->host.callbacks.invalid_handle, callable);
  // From here on closed handles keep their object, for the call goes on with it.
  debug->state.KeepClosed(debug->host.callbacks.invalid_handle != nullptr);
  return result;
}

PyObject* SetOnInvalidBuilder(PyObject*, PyObject* callable) {
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  return SetHook(&debug->host.callbacks.invalid_builder, callable);
}

PyObject* SetTraceLimit(PyObject*, PyObject* argument) {
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  long limit = 0;
  if (argument != Py_None) {
    limit = PyLong_AsLong(argument);
    if (limit == -1 && PyErr_Occurred() != nullptr) return nullptr;
  }
  debug->state.SetStackDepth(
      static_cast<int>(std::clamp(limit, 0L, static_cast<long>(debug_ctx::kMaxStackDepth))));
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"new_generation", NewGeneration, METH_NOARGS, "Begins a generation and returns its number."},
    {"get_open_handles", GetOpenHandles, METH_VARARGS,
     "The open handles of a generation and later ones, oldest first."},
    {"get_closed_handles", GetClosedHandles, METH_VARARGS,
     "The closed handles that are remembered, the one closed first in front."},
    {"get_closed_handles_queue_max_size", GetQueueSize, METH_NOARGS,
     "How many closed handles are remembered."},
    {"set_closed_handles_queue_max_size", SetQueueSize, METH_O,
     "Sets how many closed handles are remembered."},
    {"get_protected_raw_data_max_size", GetRawDataMax, METH_NOARGS,
     "How many bytes of closed buffers are kept inaccessible."},
    {"set_protected_raw_data_max_size", SetRawDataMax, METH_O,
     "Sets how many bytes of closed buffers are kept inaccessible."},
    {"set_on_invalid_handle", SetOnInvalidHandle, METH_O,
     "Sets the function that is called, without arguments, at the use of an invalid handle."},
    {"set_on_invalid_builder_handle", SetOnInvalidBuilder, METH_O, "The same for builders."},
    {"set_handle_stack_trace_limit", SetTraceLimit, METH_O,
     "Sets how many frames are recorded for a new handle; None or 0: no stack."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyObject* MakeOldModule(DebugState& debug) {
  PyObject* module = PyModule_New("hpy.debug._debug");
  PyObject* type = MakeDebugHandleType(debug);
  if (module == nullptr || type == nullptr || PyModule_AddFunctions(module, functions) != 0 ||
      PyObject_SetAttrString(module, "DebugHandle", type) != 0) {
    Py_XDECREF(module);
    Py_XDECREF(type);
    return nullptr;
  }
  Py_DECREF(type);
  return module;
}

}  // namespace hpy::python
