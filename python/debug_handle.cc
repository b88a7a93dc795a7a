// The type DebugHandle: a view of one slot of the table, as Python sees it.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>

#include "debug_ctx/report.h"
#include "debug_state.h"
#include "stacktrace/stacktrace.h"

namespace hpy::python {

namespace {

using handles::Slot;

struct DebugHandle {
  PyObject_HEAD Slot* slot;
  DebugState* debug;
};

Slot& SlotOf(PyObject* self) { return *reinterpret_cast<DebugHandle*>(self)->slot; }

debug_ctx::State& StateOf(PyObject* self) {
  return reinterpret_cast<DebugHandle*>(self)->debug->state;
}

// The object that the slot refers to now, borrowed; null when it may be gone.
PyObject* ObjectOf(PyObject* self) {
  const Slot& slot = SlotOf(self);
  if (!slot.is_open() && !slot.kept) return nullptr;
  return static_cast<PyObject*>(debug_ctx::Host::Native(slot.wrapped()));
}

PyObject* GetObj(PyObject* self, void*) {
  PyObject* object = ObjectOf(self);
  if (object == nullptr) object = Py_None;
  Py_INCREF(object);
  return object;
}

PyObject* GetId(PyObject* self, void*) { return PyLong_FromVoidPtr(&SlotOf(self)); }

PyObject* GetOrder(PyObject* self, void*) {
  return PyLong_FromUnsignedLongLong(SlotOf(self).order);
}

PyObject* GetIsClosed(PyObject* self, void*) { return PyBool_FromLong(!SlotOf(self).is_open()); }

PyObject* GetRawDataSize(PyObject* self, void*) {
  return PyLong_FromSsize_t(StateOf(self).RawDataSize(SlotOf(self)));
}

PyObject* ForceClose(PyObject* self, PyObject*) {
  debug_ctx::ForceClose(StateOf(self), &SlotOf(self));
  if (PyErr_Occurred() != nullptr) return nullptr;
  Py_RETURN_NONE;
}

// Where it was opened, a line for each frame in the manner of glibc's backtrace_symbols, with what
// the debug information adds.
std::string Allocation(debug_ctx::State& state, const Slot& slot) {
  std::string text;
  const leakdetector::Stack stack =
      state.filter.Apply(stacktrace::Symbolize(state.stories.Native(slot.opened)));
  for (const stacktrace::Frame& frame : stack.native) {
    char offset[64];
    std::snprintf(offset, sizeof(offset), "(+0x%" PRIx64 ") [0x%" PRIx64 "]", frame.offset,
                  frame.offset);
    if (!text.empty()) text += '\n';
    text += frame.library + offset;
    if (!frame.function.empty()) text += " in " + frame.function;
    if (!frame.file.empty()) text += " at " + frame.file + ":" + std::to_string(frame.line);
  }
  return text;
}

PyObject* Repr(PyObject* self) {
  const Slot& slot = SlotOf(self);
  const std::string allocation = Allocation(StateOf(self), slot);
  const std::string tail = allocation.empty()
                               ? "To get the stack trace of where it was allocated use:\n"
                                 "hpy.debug.set_handle_stack_trace_limit"
                               : "Allocation stacktrace:\n" + allocation;
  PyObject* tail_text =
      PyUnicode_DecodeUTF8(tail.data(), static_cast<Py_ssize_t>(tail.size()), "replace");
  if (tail_text == nullptr) return nullptr;
  char id[32];  // %zx of PyUnicode_FromFormat is younger than the oldest CPython
  std::snprintf(id, sizeof(id), "0x%zx", reinterpret_cast<size_t>(&slot));
  PyObject* text =
      slot.is_open()
          ? PyUnicode_FromFormat("<DebugHandle %s for %R>\n%U", id, ObjectOf(self), tail_text)
          : PyUnicode_FromFormat("<DebugHandle %s CLOSED>\n%U", id, tail_text);
  Py_DECREF(tail_text);
  return text;
}

PyObject* RichCompare(PyObject* self, PyObject* other, int op) {
  if ((op != Py_EQ && op != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  const bool equal = Py_TYPE(other) == Py_TYPE(self) && &SlotOf(self) == &SlotOf(other);
  return PyBool_FromLong(equal == (op == Py_EQ));
}

void Dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyGetSetDef getset[] = {
    {"obj", GetObj, nullptr, "the object, or None where it may no longer exist", nullptr},
    {"id", GetId, nullptr, "the address of the record; equal for every view of one handle",
     nullptr},
    {"_order", GetOrder, nullptr, "grows from handle to handle, in the order of opening", nullptr},
    {"is_closed", GetIsClosed, nullptr, "whether the handle is closed", nullptr},
    {"raw_data_size", GetRawDataSize, nullptr,
     "size in bytes of the buffer that was given out for it, or -1", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef methods[] = {
    {"_force_close", ForceClose, METH_NOARGS, "Closes the handle as HPy_Close would."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("A view of a record of a debug handle. After the record is used "
                                  "again it shows the new handle.")},
    {Py_tp_getset, getset},
    {Py_tp_methods, methods},
    {Py_tp_repr, reinterpret_cast<void*>(Repr)},
    {Py_tp_richcompare, reinterpret_cast<void*>(RichCompare)},
    {Py_tp_hash, reinterpret_cast<void*>(PyObject_HashNotImplemented)},
    {Py_tp_dealloc, reinterpret_cast<void*>(Dealloc)},
    {0, nullptr},
};

PyType_Spec spec = {"hpy.debug._debug.DebugHandle", sizeof(DebugHandle), 0, Py_TPFLAGS_DEFAULT,
                    slots};

}  // namespace

PyObject* MakeDebugHandleType(DebugState& debug) {
  if (debug.handle_type == nullptr) {
    debug.handle_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    if (debug.handle_type != nullptr) debug.handle_type->tp_new = nullptr;  // made by us only
  }
  Py_XINCREF(debug.handle_type);
  return reinterpret_cast<PyObject*>(debug.handle_type);
}

PyObject* NewDebugHandle(DebugState& debug, Slot* slot) {
  PyObject* self = debug.handle_type->tp_alloc(debug.handle_type, 0);
  if (self != nullptr) {
    reinterpret_cast<DebugHandle*>(self)->slot = slot;
    reinterpret_cast<DebugHandle*>(self)->debug = &debug;
  }
  return self;
}

}  // namespace hpy::python
