// The wrapper of a slot: a template over the slot, and explicit ones for slots that are not uniform.
//
// A uniform wrapper unwraps each `HPy` argument, calls the universal context, and wraps an `HPy` result.
// A slot that is not uniform, and has no Wrapper of its own, does not compile.
#ifndef HPY_DEBUG_CTX_WRAPPER_H_
#define HPY_DEBUG_CTX_WRAPPER_H_

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "debug_ctx/api_call.h"
#include "debug_ctx/slots.h"

namespace hpy::debug_ctx {

// Types that mean the same in every context, so that they are handed on as they are.
template <typename T, typename... Listed>
inline constexpr bool kIsOneOf = (std::is_same_v<T, Listed> || ...);
template <typename T>
inline constexpr bool kHandedOn =
    std::is_arithmetic_v<T> || std::is_enum_v<T> ||
    kIsOneOf<T, const char*, const wchar_t*, void*, void**, HPy_ssize_t*, HPyField*, HPyField,
             HPyGlobal*, HPyGlobal, HPyThreadState, HPyCapsule_Destructor*, HPyCallFunction*,
             cpy_PyObject*>;

// What a call that does not reach the interpreter returns. Memory that the extension may write to
// stands in for a struct, so that it survives until its function returns.
void* ScratchStruct();

template <typename S>
typename S::Result Refuse() {
  if constexpr (!std::is_void_v<typename S::Result>) {
    if constexpr (!S::kInfo.can_fail && std::is_same_v<typename S::Result, void*>) {
      return ScratchStruct();
    } else if constexpr (!S::kInfo.can_fail && std::is_same_v<typename S::Result, const char*>) {
      return "";
    } else {
      return S::Refused();
    }
  }
}

template <typename S, typename Function>
struct UniformCall;

template <typename S, typename R, typename... A>
struct UniformCall<S, R (*)(HPyContext*, A...)> {
  static_assert(((kIsHandle<A> || kHandedOn<A>)&&...),
                "this slot is not uniform: give it a Wrapper of its own");
  static_assert(std::is_void_v<R> || kIsHandle<R> || kHandedOn<R>,
                "this slot is not uniform: give it a Wrapper of its own");

  template <int position, typename T>
  static T Unwrap(ApiCall& api, T argument) {
    if constexpr (kIsHandle<T>) {
      return api.Unwrap(argument, position);
    } else {
      return argument;
    }
  }

  // The common way: every handle is open. `arguments` are unwrapped in place; where one is not an open
  // handle, false is returned.
  template <typename T>
  static bool Resolve(const handles::HandleTable& table, T& argument) {
    if constexpr (kIsHandle<T>) {
      const handles::Slot* slot = table.Resolve(argument);
      if (slot == nullptr) [[unlikely]] {
        return false;
      }
      argument = slot->wrapped();
    }
    return true;
  }

  // The other way: an argument may be null, or something is wrong. The call site comes last, so that
  // the arguments stay where they are.
  [[gnu::noinline, gnu::cold]] static R Check(HPyContext* ctx, A... arguments, uintptr_t pc,
                                              uintptr_t sp, uintptr_t fp) {
    return CheckAt(ctx, {pc, sp, fp}, std::index_sequence_for<A...>{}, arguments...);
  }
  template <size_t... I>
  [[gnu::always_inline]] static R CheckAt(HPyContext* ctx, const stacktrace::CallSite& site,
                                          std::index_sequence<I...>, A... arguments) {
    ApiCall api(ctx, S::kInfo, site);
    // Before any handle is looked at: this thread may not hold the interpreter.
    if (!api.ok()) return Refuse<S>();
    // Braces: unwrapped from left to right, so that the first mistake is the one reported.
    std::tuple<A...> unwrapped{Unwrap<static_cast<int>(I) + 1, A>(api, arguments)...};
    if (!api.ok()) return Refuse<S>();
    HPyContext* const universal = api.universal();
    if constexpr (std::is_void_v<R>) {
      (universal->*S::kMember)(universal, std::get<I>(unwrapped)...);
      api.Back();
    } else {
      const R result = (universal->*S::kMember)(universal, std::get<I>(unwrapped)...);
      api.Back();
      if constexpr (kIsHandle<R>) {
        return api.Wrap(result);
      } else {
        return result;
      }
    }
  }

  static R Call(HPyContext* ctx, A... arguments) {
    debug_ctx::Call& call = DebugContext::From(ctx)->call;
    State& state = *call.state;
    std::tuple<A...> given(arguments...);
    if (&call != thread_calls.innermost || !(Resolve(state.table, arguments) && ...)) [[unlikely]] {
      const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
      return std::apply(
          [&](A... as_given) { return Check(ctx, as_given..., site.pc, site.sp, site.fp); }, given);
    }
    HPyContext* const universal = state.universal;
    if constexpr (std::is_void_v<R>) {
      (universal->*S::kMember)(universal, arguments...);
      thread_calls.innermost = &call;  // see ApiCall::Back()
    } else {
      const R result = (universal->*S::kMember)(universal, arguments...);
      thread_calls.innermost = &call;
      if constexpr (kIsHandle<R>) {
        // Only now: so the registers need not be kept over the call.
        const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
        return State::OpenAt(call, result, site.pc, site.sp, site.fp);
      } else {
        return result;
      }
    }
  }
};

template <typename S>
struct Wrapper : UniformCall<S, std::remove_const_t<std::remove_reference_t<
                                    decltype(std::declval<HPyContext&>().*S::kMember)>>> {};

// Slots that are not uniform, with the reason. Their functions are in wrap_*.cc.
#define HPY_WRAPPED_BY_HAND(member, ret, params) \
  template <>                                    \
  struct Wrapper<table::Slot_##member> {         \
    static ret Call params;                      \
  };

// Ends a handle.
HPY_WRAPPED_BY_HAND(ctx_Close, void, (HPyContext*, HPy))
// Bytes of an object: the extension gets a copy that lives as long as its handle.
HPY_WRAPPED_BY_HAND(ctx_Bytes_AsString, const char*, (HPyContext*, HPy))
HPY_WRAPPED_BY_HAND(ctx_Bytes_AS_STRING, const char*, (HPyContext*, HPy))
HPY_WRAPPED_BY_HAND(ctx_Unicode_AsUTF8AndSize, const char*, (HPyContext*, HPy, HPy_ssize_t*))
HPY_WRAPPED_BY_HAND(ctx_Type_GetName, const char*, (HPyContext*, HPy))
// Read what the host knows about the object's type.
HPY_WRAPPED_BY_HAND(ctx_AsStruct_Object, void*, (HPyContext*, HPy))
HPY_WRAPPED_BY_HAND(ctx_AsStruct_Legacy, void*, (HPyContext*, HPy))
HPY_WRAPPED_BY_HAND(ctx_AsStruct_Type, void*, (HPyContext*, HPy))
HPY_WRAPPED_BY_HAND(ctx_AsStruct_Long, void*, (HPyContext*, HPy))
HPY_WRAPPED_BY_HAND(ctx_AsStruct_Float, void*, (HPyContext*, HPy))
HPY_WRAPPED_BY_HAND(ctx_AsStruct_Unicode, void*, (HPyContext*, HPy))
HPY_WRAPPED_BY_HAND(ctx_AsStruct_Tuple, void*, (HPyContext*, HPy))
HPY_WRAPPED_BY_HAND(ctx_AsStruct_List, void*, (HPyContext*, HPy))
HPY_WRAPPED_BY_HAND(ctx_AsStruct_Dict, void*, (HPyContext*, HPy))
// Arms the guard behind the new struct.
HPY_WRAPPED_BY_HAND(ctx_New, HPy, (HPyContext*, HPy, void**))
// What is stored in fields is compared with what is visited.
HPY_WRAPPED_BY_HAND(ctx_Field_Store, void, (HPyContext*, HPy, HPyField*, HPy))
HPY_WRAPPED_BY_HAND(ctx_Field_Load, HPy, (HPyContext*, HPy, HPyField))
// Globals have to be listed by a module.
HPY_WRAPPED_BY_HAND(ctx_Global_Store, void, (HPyContext*, HPyGlobal*, HPy))
HPY_WRAPPED_BY_HAND(ctx_Global_Load, HPy, (HPyContext*, HPyGlobal))
// Arguments whose type is checked.
HPY_WRAPPED_BY_HAND(ctx_TypeCheck, int, (HPyContext*, HPy, HPy))
HPY_WRAPPED_BY_HAND(ctx_Type_IsSubtype, int, (HPyContext*, HPy, HPy))
HPY_WRAPPED_BY_HAND(ctx_Unicode_Substring, HPy, (HPyContext*, HPy, HPy_ssize_t, HPy_ssize_t))
// Arrays of handles.
HPY_WRAPPED_BY_HAND(ctx_Tuple_FromArray, HPy, (HPyContext*, const HPy*, HPy_ssize_t))
HPY_WRAPPED_BY_HAND(ctx_Type_GenericNew, HPy, (HPyContext*, HPy, const HPy*, HPy_ssize_t, HPy))
HPY_WRAPPED_BY_HAND(ctx_Call, HPy, (HPyContext*, HPy, const HPy*, size_t, HPy))
HPY_WRAPPED_BY_HAND(ctx_CallMethod, HPy, (HPyContext*, HPy, const HPy*, size_t, HPy))
// A handle is returned through a pointer.
HPY_WRAPPED_BY_HAND(ctx_ContextVar_Get, int32_t, (HPyContext*, HPy, HPy, HPy*))
// Definitions: their functions get names here.
HPY_WRAPPED_BY_HAND(ctx_Type_FromSpec, HPy, (HPyContext*, HPyType_Spec*, HPyType_SpecParam*))
HPY_WRAPPED_BY_HAND(ctx_Module_Create, HPy, (HPyContext*, HPyModuleDef*))
// They begin or end on a thread that does not hold the interpreter.
HPY_WRAPPED_BY_HAND(ctx_LeavePythonExecution, HPyThreadState, (HPyContext*))
HPY_WRAPPED_BY_HAND(ctx_ReenterPythonExecution, void, (HPyContext*, HPyThreadState))
// The way into extensions: trampoline.cc.
HPY_WRAPPED_BY_HAND(ctx_CallRealFunctionFromTrampoline, void,
                    (HPyContext*, HPyFunc_Signature, HPyCFunction, void*))
// Builders and trackers are records of their own.
HPY_WRAPPED_BY_HAND(ctx_ListBuilder_New, HPyListBuilder, (HPyContext*, HPy_ssize_t))
HPY_WRAPPED_BY_HAND(ctx_ListBuilder_Set, void, (HPyContext*, HPyListBuilder, HPy_ssize_t, HPy))
HPY_WRAPPED_BY_HAND(ctx_ListBuilder_Build, HPy, (HPyContext*, HPyListBuilder))
HPY_WRAPPED_BY_HAND(ctx_ListBuilder_Cancel, void, (HPyContext*, HPyListBuilder))
HPY_WRAPPED_BY_HAND(ctx_TupleBuilder_New, HPyTupleBuilder, (HPyContext*, HPy_ssize_t))
HPY_WRAPPED_BY_HAND(ctx_TupleBuilder_Set, void, (HPyContext*, HPyTupleBuilder, HPy_ssize_t, HPy))
HPY_WRAPPED_BY_HAND(ctx_TupleBuilder_Build, HPy, (HPyContext*, HPyTupleBuilder))
HPY_WRAPPED_BY_HAND(ctx_TupleBuilder_Cancel, void, (HPyContext*, HPyTupleBuilder))
HPY_WRAPPED_BY_HAND(ctx_Tracker_New, HPyTracker, (HPyContext*, HPy_ssize_t))
HPY_WRAPPED_BY_HAND(ctx_Tracker_Add, int, (HPyContext*, HPyTracker, HPy))
HPY_WRAPPED_BY_HAND(ctx_Tracker_ForgetAll, void, (HPyContext*, HPyTracker))
HPY_WRAPPED_BY_HAND(ctx_Tracker_Close, void, (HPyContext*, HPyTracker))

#undef HPY_WRAPPED_BY_HAND

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_WRAPPER_H_
