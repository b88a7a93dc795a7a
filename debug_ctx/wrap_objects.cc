// Wrappers of the slots that look inside objects: structs, fields, and globals.
#include <string>
#include <utility>

#include "debug_ctx/api_call.h"
#include "debug_ctx/policy.h"
#include "debug_ctx/story.h"
#include "debug_ctx/wrapper.h"

namespace hpy::debug_ctx {

using leakdetector::Kind;
using leakdetector::Violation;

namespace {

const char* ShapeName(HPyType_BuiltinShape shape) {
  switch (shape) {
#define HPY_SHAPE(name)             \
  case HPyType_BuiltinShape_##name: \
    return #name;
    HPY_SHAPE(Legacy)
    HPY_SHAPE(Object)
    HPY_SHAPE(Type)
    HPY_SHAPE(Long)
    HPY_SHAPE(Float)
    HPY_SHAPE(Unicode)
    HPY_SHAPE(Tuple)
    HPY_SHAPE(List)
    HPY_SHAPE(Dict)
#undef HPY_SHAPE
  }
  return "Legacy";
}

// Reports a mistake of a call that is sound all the same in the interpreter. True when it is to be
// made: under the policy warn execution goes on.
bool ReportSound(ApiCall& api, Kind kind, const std::string& what, int argument) {
  State& state = api.state();
  const size_t deferred = api.call().deferred.size();
  Violation violation = Begin({state, api.call(), &api.info(), &api.site()}, kind, what);
  violation.argument = argument;
  Report(state, api.call(), std::move(violation), /*can_fail=*/false);
  return api.call().deferred.size() == deferred;
}

void ReportEmpty(ApiCall& api, const char* what, int argument) {
  State& state = api.state();
  // A store that was refused during this call left it empty: that has been reported.
  if (!api.call().deferred.empty()) return;
  Violation violation = Begin({state, api.call(), &api.info(), &api.site()}, Kind::kNullArgument,
                              std::string(api.info().api) + " was given " + what);
  violation.argument = argument;
  Report(state, api.call(), std::move(violation), /*can_fail=*/false);
}

// -------------------------------------------------------------------------------------------------
// Structs

[[gnu::cold, gnu::noinline]] void* RefuseStruct(ApiCall& api, HPy handle, HPy object,
                                                HPyType_BuiltinShape shape) {
  State& state = api.state();
  HPyContext* const universal = state.universal;
  const HPy type = universal->ctx_Type(universal, object);
  const HPyType_BuiltinShape found = universal->ctx_Type_GetBuiltinShape(universal, type);
  universal->ctx_Close(universal, type);
  const Place place{state, api.call(), &api.info(), &api.site()};
  Violation violation =
      Begin(place, Kind::kWrongStruct,
            std::string(api.info().api) + " was given an object of type '" +
                state.host.TypeName(object) + "', whose shape is HPyType_BuiltinShape_" +
                ShapeName(found) + " where it needs HPyType_BuiltinShape_" + ShapeName(shape));
  violation.argument = 1;
  TellStory(place, state.table, handle, &violation);
  violation.opened.reset();
  const std::string fatal = std::string("Invalid usage of ") + api.info().api +
                            ". Expected shape HPyType_BuiltinShape_" + ShapeName(shape) +
                            " but got HPyType_BuiltinShape_" + ShapeName(found);
  Report(state, api.call(), std::move(violation), /*can_fail=*/false, fatal.c_str());
  return ScratchStruct();
}

template <typename S>
inline void* AsStruct(HPyContext* ctx, HPy handle, HPyType_BuiltinShape shape,
                      const stacktrace::CallSite& site) {
  ApiCall api(ctx, S::kInfo, site);
  const HPy object = api.Unwrap(handle, 1);
  if (!api.ok()) [[unlikely]] {
    return Refuse<S>();
  }
  if (!api.state().host.has_shape(Host::Native(object), shape)) [[unlikely]] {
    return RefuseStruct(api, handle, object, shape);
  }
  HPyContext* const universal = api.universal();
  return (universal->*S::kMember)(universal, object);
}

// Makes an object that has a struct.
HPy Guarded(ApiCall& api, HPy made) {
  State& state = api.state();
  if (HPy_IsNull(made)) return HPy_NULL;
  StoryId story = api.Capture();
  MadeStructs& others = api.call().made;
  if (!others.empty() && state.stories.Native(others.back().story) == story) {
    story = others.back().story;  // all of one call are made while one line of Python runs
  } else if (state.settings.python_stacks) {
    // The line alone: the function may have returned long before the struct is overrun.
    story = state.stories.WithPython(story, state.host.PythonLine(state.stories));
  }
  const bool armed = state.guards.Arm(made, story, api.call().function);
  const HPy handle = api.Wrap(made);
  if (armed && api.call().in_progress) {
    others.push_back({handle, story});
    api.call().attention = true;
  }
  return handle;
}

}  // namespace

#define HPY_AS_STRUCT(SHAPE)                                                                     \
  void* Wrapper<table::Slot_ctx_AsStruct_##SHAPE>::Call(HPyContext* ctx, HPy handle) {           \
    const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();                                \
    return AsStruct<table::Slot_ctx_AsStruct_##SHAPE>(ctx, handle, HPyType_BuiltinShape_##SHAPE, \
                                                      site);                                     \
  }
HPY_AS_STRUCT(Object)
HPY_AS_STRUCT(Legacy)
HPY_AS_STRUCT(Type)
HPY_AS_STRUCT(Long)
HPY_AS_STRUCT(Float)
HPY_AS_STRUCT(Unicode)
HPY_AS_STRUCT(Tuple)
HPY_AS_STRUCT(List)
HPY_AS_STRUCT(Dict)
#undef HPY_AS_STRUCT

HPy Wrapper<table::Slot_ctx_New>::Call(HPyContext* ctx, HPy type, void** data) {
  using S = table::Slot_ctx_New;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  const HPy type_u = api.Unwrap(type, 1);
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  return Guarded(api, universal->ctx_New(universal, type_u, data));
}

HPy Wrapper<table::Slot_ctx_Type_GenericNew>::Call(HPyContext* ctx, HPy type, const HPy* args,
                                                   HPy_ssize_t nargs, HPy kw) {
  using S = table::Slot_ctx_Type_GenericNew;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  const HPy type_u = api.Unwrap(type, 1);
  const HPy kw_u = api.Unwrap(kw, 4);
  // The arguments are ignored by contract, and may be anything.
  static_cast<void>(args);
  static_cast<void>(nargs);
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  return Guarded(api, universal->ctx_Type_GenericNew(universal, type_u, nullptr, 0, kw_u));
}

// -------------------------------------------------------------------------------------------------
// Fields

namespace {

// Between the caller's frame and the end of its stack. On a stack that is not the thread's own (of a
// coroutine) the end is not known: then up to the trampoline that called the extension.
bool IsOnStack(ApiCall& api, const void* pointer) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const uintptr_t sp = api.site().sp;
  if (address < sp) return false;
  const ObjectHost::Bounds stack = api.state().host.ThreadStack();
  if (sp >= stack.low && sp < stack.high) return address < stack.high;
  return address < api.call().stop_sp();
}

}  // namespace

void Wrapper<table::Slot_ctx_Field_Store>::Call(HPyContext* ctx, HPy owner, HPyField* field,
                                                HPy value) {
  using S = table::Slot_ctx_Field_Store;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  const HPy owner_u = api.Unwrap(owner, 1);
  const HPy value_u = api.Unwrap(value, 3);
  if (!api.ok()) return;
  State& state = api.state();
  Host& host = state.host;
  if (IsOnStack(api, field)) [[unlikely]] {
    if (!ReportSound(api, Kind::kFieldOnStack, "HPyField_Store was given a local variable", 2)) {
      *field = HPyField_NULL;  // nothing was ever stored there; so that it can be tested
      return;
    }
    host.StoreField(owner_u, field, value_u);
    return;
  }
  if (HPy_IsNull(owner_u)) {
    state.fields.StoredWithoutOwner(Host::Native(value_u));
  } else {
    const FieldVisits visits = host.FieldVisitsOf(owner_u);
    if (visits == FieldVisits::kNone && !HPy_IsNull(value_u)) [[unlikely]] {
      if (!ReportSound(api, Kind::kFieldWithoutTraverse,
                       "HPyField_Store was given a field of a '" + host.TypeName(owner_u) +
                           "' object, whose type has no HPy_tp_traverse",
                       1)) {
        return;
      }
    }
    if (visits == FieldVisits::kObserved) {
      // In front of the store: what it drops may run any code.
      state.fields.Stored(Host::Native(owner_u), field, Host::Native(HPy{field->_i}),
                          Host::Native(value_u), api.Capture(), api.call());
    }
  }
  host.StoreField(owner_u, field, value_u);
}

HPy Wrapper<table::Slot_ctx_Field_Load>::Call(HPyContext* ctx, HPy owner, HPyField field) {
  using S = table::Slot_ctx_Field_Load;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  const HPy owner_u = api.Unwrap(owner, 1);
  if (!api.ok()) return Refuse<S>();
  if (HPyField_IsNull(field)) [[unlikely]] {
    ReportEmpty(api, "a field in which nothing is stored", 2);
    return HPy_NULL;
  }
  HPyContext* const universal = api.universal();
  return api.Wrap(universal->ctx_Field_Load(universal, owner_u, field));
}

// -------------------------------------------------------------------------------------------------
// Globals

void Wrapper<table::Slot_ctx_Global_Store>::Call(HPyContext* ctx, HPyGlobal* global, HPy value) {
  using S = table::Slot_ctx_Global_Store;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  const HPy value_u = api.Unwrap(value, 2);
  if (!api.ok()) return;
  const Globals& globals = api.state().globals;
  if (!globals.IsListed(global) && !globals.IsExempt(site.pc, global)) [[unlikely]] {
    if (!ReportSound(api, Kind::kGlobalNotRegistered,
                     "HPyGlobal_Store was given an HPyGlobal that no loaded module lists", 1)) {
      return;
    }
  }
  HPyContext* const universal = api.universal();
  universal->ctx_Global_Store(universal, global, value_u);
}

HPy Wrapper<table::Slot_ctx_Global_Load>::Call(HPyContext* ctx, HPyGlobal global) {
  using S = table::Slot_ctx_Global_Load;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  bool reported = false;
  if (global._i != 0) {
    Globals& globals = api.state().globals;
    if (!globals.IsValueOfListed(global) && !globals.IsExempt(site.pc, nullptr)) [[unlikely]] {
      if (!ReportSound(api, Kind::kGlobalNotRegistered,
                       "HPyGlobal_Load was given an HPyGlobal that no loaded module lists", 1)) {
        return HPy_NULL;
      }
      reported = true;
    }
    const bool pending = universal->ctx_Err_Occurred(universal) != 0;
    const HPy loaded = universal->ctx_Global_Load(universal, global);
    if (!HPy_IsNull(loaded)) [[likely]] {
      return api.Wrap(loaded);
    }
    if (!pending) universal->ctx_Err_Clear(universal);
  }
  if (reported) return HPy_NULL;  // one report for one call
  ReportEmpty(api, "an HPyGlobal in which nothing is stored", 1);
  return HPy_NULL;
}

}  // namespace hpy::debug_ctx
