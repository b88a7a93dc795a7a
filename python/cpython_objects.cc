// CPython as the host of the debug context: what it knows about objects, and what the runtime tells it
// of them.
#include <Python.h>
#include <frameobject.h>  // PyFrame_GetLineNumber, on CPython 3.9
#include <pthread.h>

#include "cpython_host.h"
#include "debug_state.h"

namespace hpy::python {

namespace {

// The runtime tells these. An interpreter without a state has nothing that is observed.
debug_ctx::State* ObservingState() {
  DebugState* debug = DebugState::Find();
  return debug == nullptr ? nullptr : &debug->state;
}

void OnStored(void* owner, const HPyField* field, void* old, void* value) {
  if (auto* state = ObservingState()) state->fields.StoredElsewhere(owner, field, old, value);
}
void OnTaken(void* owner, void* value) {
  if (auto* state = ObservingState()) state->fields.Taken(owner, value);
}
void OnCleared(void* owner, int dies) {
  if (auto* state = ObservingState()) state->fields.Cleared(owner, dies != 0);
}
void OnDies(void* object) {
  if (auto* state = ObservingState()) state->guards.Dies(debug_ctx::Host::Borrow(object));
}

constexpr _HPyObserver kObserver = {OnStored, OnTaken, OnCleared, OnDies};

#if defined(__linux__)
debug_ctx::ObjectHost::Bounds FindThreadStack() {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {0, 0};
  void* low = nullptr;
  size_t size = 0;
  const bool known = pthread_attr_getstack(&attributes, &low, &size) == 0;
  pthread_attr_destroy(&attributes);
  const auto start = reinterpret_cast<uintptr_t>(low);
  return known ? debug_ctx::ObjectHost::Bounds{start, start + size}
               : debug_ctx::ObjectHost::Bounds{0, 0};
}
#else
debug_ctx::ObjectHost::Bounds FindThreadStack() { return {0, 0}; }
#endif

}  // namespace

void CPythonHost::UseObserver(const _HPyObserverFunctions* functions, HPyContext* universal) {
  observer_ = functions;
  universal_ = universal;
  store_field_ = functions->install(universal, &kObserver);
  has_shape = functions->has_shape;
  ForgetLines();  // their numbers are those of another state
}

void CPythonHost::ForgetLines() {
  for (Line& line : lines_) {
    Py_CLEAR(line.file);
    Py_CLEAR(line.function);
  }
}

uint32_t CPythonHost::PythonLine(debug_ctx::Stories& stories) {
  PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_Get());
  if (frame == nullptr) return 0;
  PyCodeObject* code = PyFrame_GetCode(frame);
  PyObject* const file = code->co_filename;
  PyObject* const function = code->co_name;
  const int number = PyFrame_GetLineNumber(frame);
  const uintptr_t hash =
      (reinterpret_cast<uintptr_t>(function) >> 4) + static_cast<uintptr_t>(number);
  Line& line = lines_[hash % kLines];
  if (line.file != file || line.function != function || line.line != number) {
    Py_XDECREF(line.file);
    Py_XDECREF(line.function);
    Py_INCREF(file);
    Py_INCREF(function);
    line = {file, function, number,
            stories.InternPython({{ToUtf8(function), ToUtf8(file), number}})};
  }
  Py_DECREF(code);
  Py_DECREF(frame);
  return line.number;
}

HPy CPythonHost::NewType(HPyType_Spec* spec, HPyType_SpecParam* params) {
  return observer_->type_from_spec(spec, params);
}

bool CPythonHost::IsObserved(HPy object) { return observer_->is_observed(Native(object)) != 0; }

debug_ctx::StructGuard CPythonHost::GuardOf(HPy object) {
  HPy_ssize_t struct_size = 0;
  char* bytes = observer_->guard_of(Native(object), &struct_size);
  return {bytes, static_cast<size_t>(struct_size)};
}

debug_ctx::ObjectHost::Struct CPythonHost::StructOf(HPy object) {
  HPy_ssize_t size = 0;
  const char* bytes = observer_->struct_of(Native(object), &size);
  return {bytes, static_cast<size_t>(size)};
}

debug_ctx::FieldVisits CPythonHost::FieldVisitsOf(HPy object) {
  switch (observer_->fields_of(Native(object))) {
    case HPY_FIELDS_NO_TRAVERSE:
      return debug_ctx::FieldVisits::kNone;
    case HPY_FIELDS_OBSERVED:
      return debug_ctx::FieldVisits::kObserved;
    default:
      return debug_ctx::FieldVisits::kForeign;
  }
}

void CPythonHost::Traverse(HPy object, HPyFunc_visitproc visit, void* arg) {
  observer_->traverse(Native(object), visit, arg);
}

HPyCFunction CPythonHost::TraverseFunction(HPy object) {
  return reinterpret_cast<HPyCFunction>(
      reinterpret_cast<void (*)()>(observer_->traverse_function(Native(object))));
}

void CPythonHost::StoreField(HPy owner, HPyField* field, HPy value) {
  store_field_(universal_, owner, field, value);
}

debug_ctx::ObjectHost::Bounds CPythonHost::ThreadStack() {
  // A main thread's stack grows, but its upper end stays where it is.
  static thread_local const Bounds bounds = FindThreadStack();
  return bounds;
}

}  // namespace hpy::python
