// Wrappers of slots that close handles or take arrays of them.
#include <cstdint>
#include <iterator>
#include <memory>
#include <new>

#include "debug_ctx/api_call.h"
#include "debug_ctx/check_types.h"
#include "debug_ctx/wrapper.h"

namespace hpy::debug_ctx {

using handles::Ending;
using handles::Slot;

namespace {

// The handles of an array, unwrapped. Short ones, that is nearly all, do not leave the stack.
class HandleArray {
 public:
  // False, and MemoryError is raised, when there is not enough memory. `position` is that of the array
  // among the parameters.
  bool Unwrap(ApiCall& api, const HPy* items, size_t count, int position) {
    // More than any array holds: the universal context refuses that before it reads.
    if (count > PTRDIFF_MAX / sizeof(HPy) - 1) return true;
    if (count > std::size(few_)) {
      many_.reset(new (std::nothrow) HPy[count]);
      if (many_ == nullptr) {
        api.universal()->ctx_Err_NoMemory(api.universal());
        return false;
      }
      data_ = many_.get();
    }
    for (size_t i = 0; i < count; i++) data_[i] = api.Unwrap(items[i], position);
    return true;
  }
  const HPy* data() const { return data_; }

 private:
  HPy few_[8];
  std::unique_ptr<HPy[]> many_;
  HPy* data_ = few_;
};

size_t KeywordCount(ApiCall& api, HPy kwnames) {
  if (HPy_IsNull(kwnames) || !api.ok()) return 0;
  HPyContext* const universal = api.universal();
  const HPy_ssize_t length = universal->ctx_Length(universal, kwnames);
  return length < 0 ? 0 : static_cast<size_t>(length);
}

// HPy_Call and HPy_CallMethod: the values of keywords stand behind the positional arguments.
template <typename S>
HPy CallWithArray(HPyContext* ctx, HPy callable, const HPy* args, size_t nargs, HPy kwnames,
                  const char* fatal, const stacktrace::CallSite& site) {
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  const HPy callable_u = api.Unwrap(callable, 1);
  const HPy kwnames_u = api.Unwrap(kwnames, 4);
  CheckIsTuple(api, kwnames, kwnames_u, 4, fatal);
  HandleArray args_u;
  const bool unwrapped = args_u.Unwrap(api, args, nargs + KeywordCount(api, kwnames_u), 2);
  if (!api.ok() || !unwrapped) return Refuse<S>();
  HPyContext* const universal = api.universal();
  const HPy result =
      (universal->*S::kMember)(universal, callable_u, args_u.data(), nargs, kwnames_u);
  api.Back();
  return api.Wrap(result);
}

// HPy_Close, whatever it is given.
[[gnu::hot, gnu::noinline]] void CheckAndClose(debug_ctx::Call& call, HPy handle, uintptr_t pc,
                                               uintptr_t sp, uintptr_t fp) {
  const stacktrace::CallSite site{pc, sp, fp};
  ApiCall api(call, table::Slot_ctx_Close::kInfo, site);
  if (api.ok()) api.Close(handle);
}

// The end of a HPy_Close.
[[gnu::noinline]] void CloseWrapped(debug_ctx::Call& call, HPy wrapped) {
  State& state = *call.state;
  state.universal->ctx_Close(state.universal, wrapped);
  thread_calls.innermost = &call;
}

// The same, where it pushes the oldest closed handle out.
[[gnu::noinline]] void ForgetAndClose(debug_ctx::Call& call, HPy wrapped) {
  call.state->table.Forget();
  CloseWrapped(call, wrapped);
}

// HPy_Close of any handle. `story` is that of the call site, if it is known.
[[gnu::hot, gnu::noinline]] void CloseUnusual(debug_ctx::Call& call, HPy handle, StoryId story,
                                              uintptr_t pc, uintptr_t sp, uintptr_t fp) {
  State& state = *call.state;
  Slot* const slot = state.table.Resolve(handle);
  if (slot == nullptr || !slot->is_owned()) return CheckAndClose(call, handle, pc, sp, fp);
  if (story == stacktrace::kNoStack) story = state.CaptureElsewhere(call, {pc, sp, fp});
  call.log.Pop(handle);
  CloseWrapped(call, state.Close(slot, story, Ending::kClosed));
}

}  // namespace

// All that it calls is called in tail position, and little is needed for long, for the call site is read
// again where it is needed: so few registers are saved.
void Wrapper<table::Slot_ctx_Close>::Call(HPyContext* ctx, HPy handle) {
  debug_ctx::Call* call = &DebugContext::From(ctx)->call;
  asm("" : "+r"(call));  // or gcc keeps `ctx` too
  if (call != thread_calls.innermost) [[unlikely]] {
    const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
    return CheckAndClose(*call, handle, site.pc, site.sp, site.fp);
  }
  const auto pc = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  auto sp = reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa());
  asm("" : "+r"(sp));  // or gcc keeps a copy in memory to compute with
  // None while closed handles are kept: UpdateMemoDepth().
  const StoryId story = stacktrace::Remembered(pc, sp, HPY_STACKTRACE_FRAME(), call->memo_limits);
  const auto unusual = [&]() __attribute__((always_inline)) {
    const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
    return CloseUnusual(*call, handle, story, site.pc, site.sp, site.fp);
  };
  if (story == stacktrace::kNoStack) [[unlikely]] {
    return unusual();
  }
  State& state = *call->state;
  Slot* const slot = state.table.Resolve(handle);
  if (slot == nullptr || !slot->is_plain() || slot->wears_out() ||
      (!call->log.Pop(handle) && !state.table.is_of_newest(*slot))) [[unlikely]] {
    return unusual();
  }
  const HPy wrapped = slot->wrapped();
  state.table.CloseNewest(slot, story, Ending::kClosed);
  if (state.table.must_forget()) [[unlikely]] {
    return ForgetAndClose(*call, wrapped);
  }
  CloseWrapped(*call, wrapped);
}

HPy Wrapper<table::Slot_ctx_Tuple_FromArray>::Call(HPyContext* ctx, const HPy* items,
                                                   HPy_ssize_t count) {
  using S = table::Slot_ctx_Tuple_FromArray;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  HandleArray items_u;
  const bool unwrapped = items_u.Unwrap(api, items, count > 0 ? static_cast<size_t>(count) : 0, 1);
  if (!api.ok() || !unwrapped) return Refuse<S>();
  HPyContext* const universal = api.universal();
  return api.Wrap(universal->ctx_Tuple_FromArray(universal, items_u.data(), count));
}

HPy Wrapper<table::Slot_ctx_Call>::Call(HPyContext* ctx, HPy callable, const HPy* args,
                                        size_t nargs, HPy kwnames) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  return CallWithArray<table::Slot_ctx_Call>(
      ctx, callable, args, nargs, kwnames,
      "HPy_Call arg 'kwnames' must be a tuple object or HPy_NULL", site);
}

HPy Wrapper<table::Slot_ctx_CallMethod>::Call(HPyContext* ctx, HPy name, const HPy* args,
                                              size_t nargs, HPy kwnames) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  return CallWithArray<table::Slot_ctx_CallMethod>(
      ctx, name, args, nargs, kwnames,
      "HPy_CallMethod arg 'kwnames' must be a tuple object or HPy_NULL", site);
}

int32_t Wrapper<table::Slot_ctx_ContextVar_Get>::Call(HPyContext* ctx, HPy variable,
                                                      HPy default_value, HPy* result) {
  using S = table::Slot_ctx_ContextVar_Get;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  const HPy variable_u = api.Unwrap(variable, 1);
  const HPy default_u = api.Unwrap(default_value, 2);
  *result = HPy_NULL;
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  HPy value = HPy_NULL;
  const int32_t status = universal->ctx_ContextVar_Get(universal, variable_u, default_u, &value);
  if (status == 0) *result = api.Wrap(value);
  return status;
}

}  // namespace hpy::debug_ctx
