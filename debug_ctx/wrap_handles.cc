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
using stacktrace::MemoBucket;

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

// The same for any handle that the extension owns.
[[gnu::hot, gnu::noinline]] void CloseUnusual(debug_ctx::Call& call, HPy handle, Slot* slot,
                                              StoryId story) {
  call.log.Pop(handle);
  CloseWrapped(call, call.state->Close(slot, story, Ending::kClosed));
}

// HPy_Close from a site whose stack is known.
[[gnu::always_inline]] inline void CloseFrom(debug_ctx::Call& call, HPy handle, StoryId story,
                                             uintptr_t pc, uintptr_t sp, const uintptr_t* fp) {
  State& state = *call.state;
  Slot* const slot = state.table.Resolve(handle);
  if (slot == nullptr || !slot->is_plain() || slot->wears_out()) [[unlikely]] {
    if (slot != nullptr && slot->is_owned()) return CloseUnusual(call, handle, slot, story);
    return CheckAndClose(call, handle, pc, sp, *fp);
  }
  if (!call.log.Pop(handle) && !state.table.is_of_newest(*slot)) [[unlikely]] {
    return CloseUnusual(call, handle, slot, story);
  }
  const HPy wrapped = slot->wrapped();
  state.table.CloseNewest(slot, story, Ending::kClosed);
  if (state.table.must_forget()) [[unlikely]] {
    return ForgetAndClose(call, wrapped);
  }
  CloseWrapped(call, wrapped);
}

// The same where it is not in the first bucket of the memo.
[[gnu::hot, gnu::noinline]] void CloseSecond(debug_ctx::Call& call, HPy handle, uintptr_t pc,
                                             uintptr_t sp, uintptr_t fp) {
  const StoryId story = stacktrace::Remembered<MemoBucket::kSecond>(pc, sp, &fp, call.memo_limits);
  if (story == stacktrace::kNoStack) return CheckAndClose(call, handle, pc, sp, fp);
  CloseFrom(call, handle, story, pc, sp, &fp);
}

}  // namespace

// All that it calls is called in tail position, and little is needed for long: so few registers are
// saved.
void Wrapper<table::Slot_ctx_Close>::Call(HPyContext* ctx, HPy handle) {
  debug_ctx::Call& call = DebugContext::From(ctx)->call;
  const auto pc = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  auto sp = reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa());
  asm("" : "+r"(sp));  // or gcc keeps a copy in memory to compute with
  const uintptr_t* const fp = HPY_STACKTRACE_FRAME();
  if (&call != thread_calls.innermost) [[unlikely]] {
    return CheckAndClose(call, handle, pc, sp, *fp);
  }
  const StoryId story = stacktrace::Remembered<MemoBucket::kFirst>(pc, sp, fp, call.memo_limits);
  if (story == stacktrace::kNoStack) return CloseSecond(call, handle, pc, sp, *fp);
  CloseFrom(call, handle, story, pc, sp, fp);
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
