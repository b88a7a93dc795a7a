// The way from the interpreter into an extension's function: arguments become debug handles of the call,
// the function gets a context that is this call's alone, and its result is taken back.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/base/optimization.h"
#include "debug_ctx/call_scope.h"
#include "debug_ctx/report.h"
#include "debug_ctx/results.h"
#include "debug_ctx/state.h"
#include "debug_ctx/wrapper.h"

namespace hpy::debug_ctx {

using handles::Ending;
using handles::HandleTable;
using handles::Origin;
using handles::Slot;

namespace {

// A handle of an argument for which there is no slot in the call's run. Null when the table is full.
[[gnu::cold, gnu::noinline]] HPy OpenMore(State& state, Call& call, HPy borrowed) {
  const HPy handle =
      state.table.Open(borrowed, stacktrace::kNoStack, call.function, Origin::kArgument);
  call.more_arguments.push_back(handle);
  call.attention = true;  // when it ends
  return handle;
}

[[gnu::cold, gnu::noinline]] bool OpenedAllOf(const std::vector<HPy>& handles) {
  return std::none_of(handles.begin(), handles.end(), [](HPy h) { return HPy_IsNull(h); });
}

// Slots of the run of a call.
struct Run {
  Slot* first;
  Slot* end;
};

// Closes the arguments of a call, whatever they are.
[[gnu::noinline]] void CloseEach(State& state, const Call& call, Run run) {
  Slot* slot = run.first;
  if (!call.attention || !state.keeps_closed()) slot = state.table.CloseInRun(slot, run.end);
  if (slot == run.end) return;
  for (; slot != run.end; slot++) state.CloseArgument(slot);
  if (state.buffers.needs_flush()) state.buffers.Flush();
}

bool HasRun(const Call& call) {
  return call.arguments != nullptr && !HandleTable::IsWornOut(*call.arguments);
}

// An empty one, for calls that can have none; and one for those that have none yet.
constinit Slot no_slot{};
[[gnu::cold, gnu::noinline]] Run OtherRun(State& state, Call& call) {
  call.arguments = state.arguments_queued() ? nullptr : state.table.TakeRun(kArgumentRun);
  if (call.arguments == nullptr) return {&no_slot, &no_slot};
  return {call.arguments, call.arguments + kArgumentRun};
}

// Makes handles of objects, in place. Those beyond the run take ordinary slots. What it used of the run.
[[gnu::noinline]] Run OpenEach(State& state, Call& call, HPy* items, size_t count) {
  const Run run =
      HasRun(call) ? Run{call.arguments, call.arguments + kArgumentRun} : OtherRun(state, call);
  // Before anything is open, for it may throw.
  if (count > static_cast<size_t>(run.end - run.first)) call.more_arguments.reserve(count);
  HandleTable::RunOpener opener(state.table, run.first, call.function);
  for (HPy* item = items; item != items + count; item++) {
    if (HPy_IsNull(*item)) continue;
    const HPy borrowed = Host::BorrowNotNull(reinterpret_cast<void*>(item->_i));
    if (opener.next() != run.end) [[likely]] {
      *item = opener.Open(borrowed);
      continue;
    }
    opener.Done();
    *item = OpenMore(state, call, borrowed);
    opener.Resume();
  }
  opener.Done();
  return {run.first, opener.next()};
}

template <typename T>
using Converted = std::conditional_t<std::is_same_v<T, cpy_PyObject*>, HPy, T>;
template <typename T>
inline constexpr size_t kIsObject = std::is_same_v<T, cpy_PyObject*>;

template <typename... A>
inline constexpr size_t kObjects = (kIsObject<A> + ... + 0);

// An object as it is given to Arguments::OpenItems(). What is none is a null one there.
HPy ItemOf(cpy_PyObject* object) { return HPy{reinterpret_cast<intptr_t>(object)}; }
template <typename T>
HPy ItemOf(T) {
  return HPy_NULL;
}
// What became of them.
HPy FromItem(HPy handle, cpy_PyObject*) { return handle; }
template <typename T>
T FromItem(HPy, T plain) {
  return plain;
}
template <typename... A, size_t... I>
std::tuple<Converted<A>...> FromItems(const HPy* items, std::index_sequence<I...>, A... arguments) {
  return {FromItem(items[I], arguments)...};
}

// The argument handles of one call: opened from left to right, closed in that order after the call, those
// beyond its run at the end of it (CallScope::End). They borrow the caller's references; null stays null.
// `row`: how many there are if Open() opens them.
template <size_t row = 0>
class Arguments {
 public:
  [[gnu::always_inline]] Arguments(State& state, Call& call) : state_(state), call_(call) {
    if constexpr (row == 0) run_ = {nullptr, nullptr};
  }
  [[gnu::always_inline]] ~Arguments() {
    if constexpr (row != 0) {
      if (ABSL_PREDICT_TRUE(row_ != nullptr && !call_.attention &&
                            state_.table.template CloseRow<row>(row_))) {
        return;
      }
    }
    CloseEach(state_, call_, row_ != nullptr ? Run{row_, row_ + row} : run_);
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  // Whether Open() can open them: the usual case.
  template <typename... A>
  [[gnu::always_inline]] bool Fit(A... arguments) const {
    static_assert(row == kObjects<A...> && row <= kArgumentRun);
    const Slot* const run = call_.arguments;
    if (ABSL_PREDICT_FALSE(run == nullptr || KeepsAny(run))) return false;
    // One question for all the rest: what is one less than the address of no object has the sign of a slot
    // that is worn out.
    return static_cast<int64_t>((run->value | ... | OneLess(arguments))) >= 0;
  }
  template <typename... A>
  [[gnu::always_inline]] std::array<HPy, sizeof...(A)> Open(A... arguments) {
    row_ = call_.arguments;
    HandleTable::RunOpener opener(state_.table, row_, call_.function);
    const std::array items{OpenNext(opener, arguments)...};
    opener.Done();
    return items;
  }
  // Of any number, in place. False if some could not be opened, for the table is full.
  [[nodiscard]] bool OpenItems(HPy* items, size_t count) {
    run_ = {nullptr, nullptr};  // what holds if that throws
    run_ = OpenEach(state_, call_, items, count);
    return !call_.attention || OpenedAllOf(call_.more_arguments);  // OpenMore() asks for it
  }

 private:
  static uint64_t OneLess(cpy_PyObject* object) { return reinterpret_cast<uintptr_t>(object) - 1; }
  template <typename T>
  static uint64_t OneLess(T) {
    return 0;
  }
  [[gnu::always_inline]] static bool KeepsAny(const Slot* slots) {
    bool any = false;
    for (size_t i = 0; i < row; i++) any |= slots[i].keeps();
    return any;
  }
  [[gnu::always_inline]] static HPy OpenNext(HandleTable::RunOpener& opener, cpy_PyObject* object) {
    return opener.OpenNext(Host::BorrowNotNull(object));
  }
  template <typename T>
  [[gnu::always_inline]] static HPy OpenNext(HandleTable::RunOpener&, T) {
    return HPy_NULL;
  }

  State& state_;
  Call& call_;
  Slot* row_ = nullptr;  // what Open() opened, else null
  Run run_;              // of OpenItems(), where `row_` is null
};

// Through void (*)(): both compilers take that as a cast that is meant.
template <typename F>
F As(HPyCFunction function) {
  return reinterpret_cast<F>(reinterpret_cast<void (*)()>(function));
}

// The native object of a result, a new reference; null with an exception set where there is none to give.
[[gnu::cold, gnu::noinline]] cpy_PyObject* CheckAndTake(State& state, Call& call, HPy result,
                                                        Silent silent) {
  OnReturn(call);
  HPy taken = HPy_NULL;
  // While the handle of the result still tells which of them it is.
  if (call.attention && !call.made.empty()) state.guards.CheckReturn(call);
  if (!HPy_IsNull(result)) {
    Slot* slot = state.table.Resolve(result);
    if (slot == nullptr || !slot->is_owned()) {
      taken = OnInvalidResult(state, call, result);
    } else {
      taken = state.Close(slot, stacktrace::kNoStack, Ending::kReturned);
    }
  }
  if (MustGiveUp(state, call, HPy_IsNull(taken), silent)) {
    state.universal->ctx_Close(state.universal, taken);
    taken = HPy_NULL;
  }
  return static_cast<cpy_PyObject*>(Host::Native(taken));
}

[[gnu::noinline]] void Forget(State& state) { state.table.Forget(); }

// The same, and at once where nothing is amiss.
[[gnu::always_inline]] inline cpy_PyObject* TakeResult(State& state, Call& call, HPy result,
                                                       Silent silent) {
  HandleTable& table = state.table;
  Slot* const slot = table.Resolve(result);
  if (call.attention || slot == nullptr || !slot->is_plain() || slot->wears_out() ||
      call.has_exception()) [[unlikely]] {
    return CheckAndTake(state, call, result, silent);
  }
  if (!call.log.Pop(result) && !table.is_of_newest(*slot)) [[unlikely]] {
    return CheckAndTake(state, call, result, silent);
  }
  const HPy taken = slot->wrapped();
  table.CloseNewest(slot, stacktrace::kNoStack, Ending::kReturned);
  if (table.must_forget()) [[unlikely]] {
    Forget(state);
  } else if (call.attention) {
    __builtin_unreachable();  // it was asked above
  }
  return static_cast<cpy_PyObject*>(Host::NativeOfNotNull(taken));
}

// A number: negative ones are errors, of a hash only -1 is (which HPy_tp_hash may return silently).
template <typename R>
R TakeResult(State& state, Call& call, R result, Silent silent) {
  constexpr R kFailed = static_cast<R>(-1);
  OnReturn(call);
  const bool failed = silent == Silent::kAllowed ? result == kFailed : result < 0;
  return MustGiveUp(state, call, failed, silent) ? kFailed : result;
}

template <typename R>
using Native = std::conditional_t<kIsHandle<R>, cpy_PyObject*, R>;

template <typename R>
Native<R> Failed(State& state) {
  state.universal->ctx_Err_NoMemory(state.universal);
  if constexpr (kIsHandle<R>) {
    return nullptr;
  } else {
    return static_cast<R>(-1);
  }
}

// This and the next ones are part of the frame of the trampoline, at which captures stop.
//
// Calls `function` with R(HPyContext *, converted arguments...). Not if some handle could not be opened.
template <typename R, typename... A>
[[gnu::always_inline]] inline R CallWith(const CallScope& scope, Arguments<kObjects<A...>>& handles,
                                         HPyCFunction function, bool* opened, A... arguments) {
  std::array<HPy, sizeof...(A)> items;
  if (ABSL_PREDICT_TRUE(handles.Fit(arguments...))) {
    items = handles.Open(arguments...);
  } else {
    // Others: no pointer to `items` is given away, so that it is never in memory.
    std::array opening{ItemOf(arguments)...};
    *opened = handles.OpenItems(opening.data(), opening.size());
    if (!*opened) return R();
    items = opening;
  }
  return std::apply(
      [&](auto... c) {
        return As<R (*)(HPyContext*, Converted<A>...)>(function)(scope.context(), c...);
      },
      FromItems(items.data(), std::index_sequence_for<A...>{}, arguments...));
}

template <typename R, Silent silent = Silent::kNever, typename... A>
[[gnu::always_inline]] inline Native<R> Invoke(State& state, HPyCFunction function,
                                               A... arguments) {
  const debug_ctx::Call* mark;
  CallScope scope(state, function, reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()), &mark);
  Arguments<kObjects<A...>> handles(state, scope.call());
  bool opened = true;
  const R result = CallWith<R>(scope, handles, function, &opened, arguments...);
  if (!opened) [[unlikely]] {
    return Failed<R>(state);
  }
  return TakeResult(state, scope.call(), result, silent);
}

// The same for functions without a result: what was deferred cannot be raised, only reported.
template <typename... A>
[[gnu::always_inline]] inline void InvokeVoid(State& state, HPyCFunction function, A... arguments) {
  const debug_ctx::Call* mark;
  CallScope scope(state, function, reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()), &mark);
  Arguments<kObjects<A...>> handles(state, scope.call());
  bool opened = true;
  CallWith<void>(scope, handles, function, &opened, arguments...);
  if (opened) Conclude(state, scope.call());
}

// Functions that take an array of arguments: (ctx, self, args, nargs, rest...). `values` is the whole
// length of the array, which with keywords is more than nargs.
template <typename R, typename Count, typename... Rest>
[[gnu::always_inline]] inline Native<R> InvokeArray(State& state, HPyCFunction function,
                                                    cpy_PyObject* self, cpy_PyObject* const* args,
                                                    Count nargs, size_t values, Rest... rest) {
  const debug_ctx::Call* mark;
  CallScope scope(state, function, reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()), &mark);
  Arguments<> handles(state, scope.call());
  HPy few[kArgumentRun];
  std::unique_ptr<HPy[]> many;
  HPy* items = few;
  const size_t count = 1 + values + sizeof...(Rest);
  if (count > kArgumentRun) [[unlikely]] {
    many.reset(new HPy[count]);
    items = many.get();
  }
  items[0] = ItemOf(self);
  for (size_t i = 0; i < values; i++) items[1 + i] = ItemOf(args[i]);
  HPy* const after = items + 1 + values;
  HPy* last = after;
  ((*last++ = ItemOf(rest)), ...);
  if (!handles.OpenItems(items, count)) return Failed<R>(state);
  const auto converted = FromItems(after, std::index_sequence_for<Rest...>{}, rest...);
  const R result = std::apply(
      [&](auto... c) {
        return As<R (*)(HPyContext*, HPy, const HPy*, Count, Converted<Rest>...)>(function)(
            scope.context(), items[0], items + 1, nargs, c...);
      },
      converted);
  return TakeResult(state, scope.call(), result, Silent::kNever);
}

size_t KeywordCount(State& state, cpy_PyObject* kwnames) {
  if (kwnames == nullptr) return 0;
  HPyContext* const universal = state.universal;
  return static_cast<size_t>(universal->ctx_Length(universal, Host::Borrow(kwnames)));
}

[[gnu::always_inline]] inline void CallKeywords(State& state, HPyCFunction function,
                                                _HPyFunc_args_KEYWORDS& a) {
  constexpr size_t kArgumentsOffset = size_t{1} << (8 * sizeof(size_t) - 1);  // of vectorcall
  const size_t nargs = a.nargsf & ~kArgumentsOffset;
  a.result = InvokeArray<HPy, size_t>(state, function, a.self, a.args, nargs,
                                      nargs + KeywordCount(state, a.kwnames), a.kwnames);
}

// HPy_tp_new and HPy_tp_init get their positional arguments in a tuple.
template <typename R, typename Args>
[[gnu::always_inline]] inline void CallWithTuple(State& state, HPyCFunction function, Args& a) {
  HPy_ssize_t nargs = 0;
  auto* const items = reinterpret_cast<cpy_PyObject* const*>(state.host.TupleItems(a.args, &nargs));
  a.result = InvokeArray<R, HPy_ssize_t>(state, function, a.self, items, nargs,
                                         static_cast<size_t>(nargs), a.kw);
}

// An HPy_buffer is a Py_buffer with a handle in place of the object.
void CallGetBuffer(State& state, HPyCFunction function, _HPyFunc_args_GETBUFFERPROC& a) {
  HPy_buffer buffer = {};
  HPy owner = HPy_NULL;
  [&]() __attribute__((noinline)) {
    const debug_ctx::Call* mark;
    CallScope scope(state, function, reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()), &mark);
    Arguments<1> handles(state, scope.call());
    bool opened = true;
    const int status =
        CallWith<int>(scope, handles, function, &opened, a.self, &buffer, int{a.flags});
    if (!opened) {
      a.result = Failed<int>(state);
      return;
    }
    if (status >= 0 && !HPy_IsNull(buffer.obj)) {
      // The owner is a result too: what is wrong with it, or was deferred, takes it away.
      owner = Host::Borrow(TakeResult(state, scope.call(), buffer.obj, Silent::kNever));
      a.result = HPy_IsNull(owner) ? -1 : status;
    } else {
      a.result = TakeResult(state, scope.call(), status, Silent::kNever);
    }
  }
  ();
  if (a.result < 0) {
    // What the interpreter looks at after a failure.
    reinterpret_cast<HPy_buffer*>(a.view)->obj = HPy_NULL;
    return;
  }
  buffer.obj = HPy{reinterpret_cast<intptr_t>(Host::Native(owner))};
  static_assert(std::is_trivially_copyable_v<HPy_buffer>);
  std::memcpy(static_cast<void*>(a.view), &buffer, sizeof(buffer));
}

void CallReleaseBuffer(State& state, HPyCFunction function, _HPyFunc_args_RELEASEBUFFERPROC& a) {
  HPy_buffer buffer;
  std::memcpy(&buffer, static_cast<const void*>(a.view), sizeof(buffer));
  const debug_ctx::Call* mark;
  CallScope scope(state, function, reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()), &mark);
  Arguments<> handles(state, scope.call());
  HPy items[] = {ItemOf(a.self), buffer.obj};  // objects still
  if (!handles.OpenItems(items, std::size(items))) return;
  buffer.obj = items[1];
  As<HPyFunc_releasebufferproc>(function)(scope.context(), items[0], &buffer);
  Conclude(state, scope.call());
}

// The frame of the trampoline of a signature. Numbers that no signature has, and the two that are never
// dispatched, are a fatal error of the universal context.
template <HPyFunc_Signature signature>
void CallAs(State& state, HPyCFunction f, void* args) {
  static_assert(signature == 0 || signature == HPyFunc_DESTROYFUNC ||
                    signature == HPyFunc_VECTORCALLFUNC || signature == _HPyFunc_Signature_END,
                "this signature is called: say how, below");
  state.universal->ctx_CallRealFunctionFromTrampoline(state.universal, signature, f, args);
}

#define HPY_CALL_AS(NAME, call)                                                              \
  template <>                                                                                \
  [[gnu::noinline]] void CallAs<HPyFunc_##NAME>(State & state, HPyCFunction f, void* args) { \
    auto& a = *static_cast<_HPyFunc_args_##NAME*>(args);                                     \
    call;                                                                                    \
  }
HPY_CALL_AS(NOARGS, (a.result = Invoke<HPy>(state, f, a.self)))
HPY_CALL_AS(O, (a.result = Invoke<HPy>(state, f, a.self, a.arg)))
HPY_CALL_AS(VARARGS, (a.result = InvokeArray<HPy, size_t>(state, f, a.self, a.args,
                                                          static_cast<size_t>(a.nargs),
                                                          static_cast<size_t>(a.nargs))))
HPY_CALL_AS(KEYWORDS, CallKeywords(state, f, a))
HPY_CALL_AS(INITPROC, CallWithTuple<int>(state, f, a))
HPY_CALL_AS(NEWFUNC, CallWithTuple<HPy>(state, f, a))
HPY_CALL_AS(GETBUFFERPROC, CallGetBuffer(state, f, a))
HPY_CALL_AS(RELEASEBUFFERPROC, CallReleaseBuffer(state, f, a))
HPY_CALL_AS(UNARYFUNC, (a.result = Invoke<HPy>(state, f, a.arg0)))
HPY_CALL_AS(BINARYFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1)))
HPY_CALL_AS(TERNARYFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1, a.arg2)))
HPY_CALL_AS(INQUIRY, (a.result = Invoke<int>(state, f, a.arg0)))
HPY_CALL_AS(LENFUNC, (a.result = Invoke<HPy_ssize_t>(state, f, a.arg0)))
HPY_CALL_AS(SSIZEARGFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1)))
HPY_CALL_AS(SSIZESSIZEARGFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1, a.arg2)))
HPY_CALL_AS(SSIZEOBJARGPROC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
HPY_CALL_AS(SSIZESSIZEOBJARGPROC,
            (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2, a.arg3)))
HPY_CALL_AS(OBJOBJARGPROC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
HPY_CALL_AS(FREEFUNC, InvokeVoid(state, f, a.arg0))
HPY_CALL_AS(GETATTRFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1)))
HPY_CALL_AS(GETATTROFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1)))
HPY_CALL_AS(SETATTRFUNC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
HPY_CALL_AS(SETATTROFUNC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
HPY_CALL_AS(REPRFUNC, (a.result = Invoke<HPy>(state, f, a.arg0)))
HPY_CALL_AS(HASHFUNC, (a.result = Invoke<HPy_hash_t, Silent::kAllowed>(state, f, a.arg0)))
HPY_CALL_AS(RICHCMPFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1, a.arg2)))
HPY_CALL_AS(GETITERFUNC, (a.result = Invoke<HPy>(state, f, a.arg0)))
HPY_CALL_AS(ITERNEXTFUNC, (a.result = Invoke<HPy, Silent::kAllowed>(state, f, a.arg0)))
HPY_CALL_AS(DESCRGETFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1, a.arg2)))
HPY_CALL_AS(DESCRSETFUNC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
HPY_CALL_AS(GETTER, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1)))
HPY_CALL_AS(SETTER, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
HPY_CALL_AS(OBJOBJPROC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1)))
HPY_CALL_AS(DESTRUCTOR, InvokeVoid(state, f, a.arg0))
// Filled as an _HPyFunc_args_UNARYFUNC, which has the same layout.
HPY_CALL_AS(MOD_CREATE, (a.result = Invoke<HPy>(state, f, a.spec)))
// No handles, no context: as in the universal context.
HPY_CALL_AS(TRAVERSEPROC, CheckedTraverse(state, f, a))
#undef HPY_CALL_AS
template <>
void CallAs<HPyFunc_CAPSULE_DESTRUCTOR>(State& state, HPyCFunction f, void* args) {
  const bool pending_before = state.HasException();
  state.universal->ctx_CallRealFunctionFromTrampoline(state.universal, HPyFunc_CAPSULE_DESTRUCTOR,
                                                      f, args);
  CheckCapsuleDestructor(state, f, pending_before);
}

template <size_t... number>
constexpr auto MakeCallers(std::index_sequence<number...>) {
  return std::array{&CallAs<static_cast<HPyFunc_Signature>(number)>...};
}
constexpr auto kCallers =
    MakeCallers(std::make_index_sequence<static_cast<size_t>(_HPyFunc_Signature_END) + 1>());

// Where several interpreters use hpy, or the only one is another than before; or a number that is none.
[[gnu::cold, gnu::noinline]] void CallElsewhere(State& hint, HPyFunc_Signature signature,
                                                HPyCFunction f, void* args) {
  const size_t number = std::min(static_cast<size_t>(signature), kCallers.size() - 1);
  kCallers[number](hint.OfInterpreter(), f, args);
}

}  // namespace

// All that it calls is called in tail position: it has no frame.
void Wrapper<table::Slot_ctx_CallRealFunctionFromTrampoline>::Call(HPyContext* ctx,
                                                                   HPyFunc_Signature signature,
                                                                   HPyCFunction f, void* args) {
  State& state = *DebugContext::From(ctx)->call.state;
  if (!state.IsOfInterpreter() || static_cast<size_t>(signature) >= kCallers.size()) [[unlikely]] {
    return CallElsewhere(state, signature, f, args);
  }
  kCallers[static_cast<size_t>(signature)](state, f, args);
}

}  // namespace hpy::debug_ctx
