// CPython as the host of the debug context: what it knows about objects, and what the runtime tells it
// of them.
#include <Python.h>
#include <pthread.h>

#include "cpython_host.h"
#include "debug_ctx/policy.h"
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
  if (auto* state = ObservingState()) state->guards.Dies(state->host.Borrow(object));
}

constexpr _HPyObserver kObserver = {OnStored, OnTaken, OnCleared, OnDies};

int Deliver(void* state) {
  debug_ctx::DeliverReports(*static_cast<debug_ctx::State*>(state));
  return 0;
}

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
}

bool CPythonHost::HasShape(HPy object, HPyType_BuiltinShape shape) {
  return observer_->has_shape(Native(object), shape) != 0;
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

void CPythonHost::WantDelivery() {
  // When the queue is full the report has been written, and the rest comes with the next one.
  if (DebugState* debug = DebugState::Find()) Py_AddPendingCall(Deliver, &debug->state);
}

}  // namespace hpy::python
