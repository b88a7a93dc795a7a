// The way from the interpreter into an extension's function: arguments become debug handles of the call,
// the function gets a context that is this call's alone, and its result is taken back.
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/container/inlined_vector.h"
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

// The argument handles of one call: opened from left to right, closed in that order after the call.
class Arguments {
 public:
  [[gnu::always_inline]] Arguments(State& state, Call& call) : state_(state), call_(call) {
    if (call.arguments == nullptr || HandleTable::IsWornOut(*call.arguments)) [[unlikely]] {
      call.arguments = state.arguments_queued() ? nullptr : state.table.TakeRun(kArgumentRun);
    }
    next_ = call.arguments;
    end_ = next_ == nullptr ? nullptr : next_ + kArgumentRun;
  }
  [[gnu::always_inline]] ~Arguments() {
    const Slot* const end = next_;
    for (Slot* slot = call_.arguments; slot != end; slot++) {
      if (slot->has_buffer || state_.keep_closed || !slot->is_open()) [[unlikely]] {
        CloseArgument(state_, slot);
      } else {
        state_.table.CloseInRun(slot);
      }
    }
    if (!more_.empty()) [[unlikely]] {
      CloseMore();
    }
    if (state_.buffers.needs_flush()) [[unlikely]] {
      state_.buffers.Flush();
    }
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  // Borrows the caller's reference. Null stays null.
  [[gnu::always_inline]] HPy Open(HPy borrowed) {
    if (HPy_IsNull(borrowed)) [[unlikely]] {
      return HPy_NULL;
    }
    if (next_ == end_) [[unlikely]] {
      return OpenMore(borrowed);
    }
    return state_.table.OpenInRun(next_++, borrowed, call_.function);
  }
  [[gnu::always_inline]] HPy Open(cpy_PyObject* object) { return Open(state_.host.Borrow(object)); }
  template <typename T>
  T Open(T plain) {
    return plain;
  }

  // Some could not be opened: the table is full.
  bool failed() const { return failed_; }

 private:
  [[gnu::noinline]] HPy OpenMore(HPy borrowed) {
    const HPy handle =
        state_.table.Open(borrowed, stacktrace::kNoStack, call_.function, Origin::kArgument);
    if (HPy_IsNull(handle)) {
      failed_ = true;
      return handle;
    }
    more_.push_back(handle);
    return handle;
  }
  [[gnu::noinline]] void CloseMore() {
    for (HPy handle : more_) {
      if (Slot* slot = state_.table.Resolve(handle)) CloseArgument(state_, slot);
    }
  }
  [[gnu::noinline]] static void CloseArgument(State& state, Slot* slot) {
    if (!slot->is_open()) return;  // an older hook let the extension close it
    const bool keep = state.keep_closed;
    if (keep) state.universal->ctx_Dup(state.universal, slot->wrapped());
    state.CloseSlot(slot, stacktrace::kNoStack, Ending::kClosed, keep);
  }

  State& state_;
  Call& call_;
  Slot* next_;  // of the call's run
  Slot* end_;
  bool failed_ = false;
  absl::InlinedVector<HPy, 8> more_;  // beyond it
};

// Through void (*)(): both compilers take that as a cast that is meant.
template <typename F>
F As(HPyCFunction function) {
  return reinterpret_cast<F>(reinterpret_cast<void (*)()>(function));
}

template <typename T>
using Converted = std::conditional_t<std::is_same_v<T, cpy_PyObject*>, HPy, T>;

// The native object of a result that the function returned, a new reference; null with an exception
// set where there is none to give.
[[gnu::always_inline]] inline cpy_PyObject* TakeResult(State& state, Call& call, HPy result,
                                                       Silent silent) {
  OnReturn(call);
  HPy taken = HPy_NULL;
  // While the handle of the result still tells which of them it is.
  if (call.attention && !call.made.empty()) state.guards.CheckReturn(call);
  if (!HPy_IsNull(result)) {
    Slot* slot = state.table.Resolve(result);
    if (slot != nullptr && slot->is_owned()) [[likely]] {
      taken = state.Close(slot, result, call, stacktrace::kNoStack, Ending::kReturned);
    } else {
      taken = OnInvalidResult(state, call, result);
    }
  }
  if (MustGiveUp(state, call, HPy_IsNull(taken), silent)) [[unlikely]] {
    state.universal->ctx_Close(state.universal, taken);
    taken = HPy_NULL;
  }
  return static_cast<cpy_PyObject*>(state.host.Native(taken));
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

// Calls `function` with R(HPyContext *, converted arguments...). Must be a frame of its own: captures
// stop at it.
template <typename R, Silent silent = Silent::kNever, typename... A>
[[gnu::noinline]] Native<R> Invoke(State& state, HPyCFunction function, A... arguments) {
  CallScope scope(state, function, reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()));
  Arguments handles(state, scope.call());
  // Braces: opened from left to right.
  std::tuple<Converted<A>...> converted{handles.Open(arguments)...};
  if (handles.failed()) return Failed<R>(state);
  const R result = std::apply(
      [&](auto... c) {
        return As<R (*)(HPyContext*, Converted<A>...)>(function)(scope.context(), c...);
      },
      converted);
  return TakeResult(state, scope.call(), result, silent);
}

// The same for functions without a result: what was deferred cannot be raised, only reported.
template <typename... A>
[[gnu::noinline]] void InvokeVoid(State& state, HPyCFunction function, A... arguments) {
  CallScope scope(state, function, reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()));
  Arguments handles(state, scope.call());
  std::tuple<Converted<A>...> converted{handles.Open(arguments)...};
  if (handles.failed()) return;
  std::apply(
      [&](auto... c) {
        As<void (*)(HPyContext*, Converted<A>...)>(function)(scope.context(), c...);
      },
      converted);
  Conclude(state, scope.call());
}

// Functions that take an array of arguments: (ctx, self, args, nargs, rest...). `values` is the whole
// length of the array, which with keywords is more than nargs.
template <typename R, typename Count, typename... Rest>
[[gnu::noinline]] Native<R> InvokeArray(State& state, HPyCFunction function, cpy_PyObject* self,
                                        cpy_PyObject* const* args, Count nargs, size_t values,
                                        Rest... rest) {
  CallScope scope(state, function, reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()));
  Arguments handles(state, scope.call());
  const HPy self_handle = handles.Open(self);
  HPy few[kArgumentRun];
  std::unique_ptr<HPy[]> many;
  HPy* array = few;
  if (values > kArgumentRun) [[unlikely]] {
    many.reset(new HPy[values]);
    array = many.get();
  }
  for (size_t i = 0; i < values; i++) array[i] = handles.Open(args[i]);
  std::tuple<Converted<Rest>...> converted{handles.Open(rest)...};
  if (handles.failed()) return Failed<R>(state);
  const R result = std::apply(
      [&](auto... c) {
        return As<R (*)(HPyContext*, HPy, const HPy*, Count, Converted<Rest>...)>(function)(
            scope.context(), self_handle, array, nargs, c...);
      },
      converted);
  return TakeResult(state, scope.call(), result, Silent::kNever);
}

size_t KeywordCount(State& state, cpy_PyObject* kwnames) {
  if (kwnames == nullptr) return 0;
  HPyContext* const universal = state.universal;
  return static_cast<size_t>(universal->ctx_Length(universal, state.host.Borrow(kwnames)));
}

void CallKeywords(State& state, HPyCFunction function, _HPyFunc_args_KEYWORDS& a) {
  constexpr size_t kArgumentsOffset = size_t{1} << (8 * sizeof(size_t) - 1);  // of vectorcall
  const size_t nargs = a.nargsf & ~kArgumentsOffset;
  a.result = InvokeArray<HPy, size_t>(state, function, a.self, a.args, nargs,
                                      nargs + KeywordCount(state, a.kwnames), a.kwnames);
}

// HPy_tp_new and HPy_tp_init get their positional arguments in a tuple.
template <typename R, typename Args>
void CallWithTuple(State& state, HPyCFunction function, Args& a) {
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
    CallScope scope(state, function, reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()));
    Arguments handles(state, scope.call());
    const HPy self = handles.Open(a.self);
    if (handles.failed()) {
      a.result = Failed<int>(state);
      return;
    }
    const int status = As<HPyFunc_getbufferproc>(function)(scope.context(), self, &buffer, a.flags);
    if (status >= 0 && !HPy_IsNull(buffer.obj)) {
      // The owner is a result too: what is wrong with it, or was deferred, takes it away.
      owner = state.host.Borrow(TakeResult(state, scope.call(), buffer.obj, Silent::kNever));
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
  buffer.obj = HPy{reinterpret_cast<intptr_t>(state.host.Native(owner))};
  static_assert(std::is_trivially_copyable_v<HPy_buffer>);
  std::memcpy(static_cast<void*>(a.view), &buffer, sizeof(buffer));
}

void CallReleaseBuffer(State& state, HPyCFunction function, _HPyFunc_args_RELEASEBUFFERPROC& a) {
  HPy_buffer buffer;
  std::memcpy(&buffer, static_cast<const void*>(a.view), sizeof(buffer));
  const HPy owner = state.host.Borrow(reinterpret_cast<void*>(buffer.obj._i));
  CallScope scope(state, function, reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()));
  Arguments handles(state, scope.call());
  const HPy self = handles.Open(a.self);
  buffer.obj = handles.Open(owner);
  if (handles.failed()) return;
  As<HPyFunc_releasebufferproc>(function)(scope.context(), self, &buffer);
  Conclude(state, scope.call());
}

}  // namespace

void Wrapper<table::Slot_ctx_CallRealFunctionFromTrampoline>::Call(HPyContext* ctx,
                                                                   HPyFunc_Signature signature,
                                                                   HPyCFunction f, void* args) {
  State& state = DebugContext::From(ctx)->call.state->OfInterpreter();
  switch (signature) {
#define HPY_CASE(SIGNATURE, call)                             \
  case HPyFunc_##SIGNATURE: {                                 \
    auto& a = *static_cast<_HPyFunc_args_##SIGNATURE*>(args); \
    call;                                                     \
    return;                                                   \
  }
    HPY_CASE(NOARGS, a.result = Invoke<HPy>(state, f, a.self))
    HPY_CASE(O, (a.result = Invoke<HPy>(state, f, a.self, a.arg)))
    HPY_CASE(VARARGS, (a.result = InvokeArray<HPy, size_t>(state, f, a.self, a.args,
                                                           static_cast<size_t>(a.nargs),
                                                           static_cast<size_t>(a.nargs))))
    HPY_CASE(KEYWORDS, CallKeywords(state, f, a))
    HPY_CASE(INITPROC, CallWithTuple<int>(state, f, a))
    HPY_CASE(NEWFUNC, CallWithTuple<HPy>(state, f, a))
    HPY_CASE(GETBUFFERPROC, CallGetBuffer(state, f, a))
    HPY_CASE(RELEASEBUFFERPROC, CallReleaseBuffer(state, f, a))
    HPY_CASE(UNARYFUNC, a.result = Invoke<HPy>(state, f, a.arg0))
    HPY_CASE(BINARYFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1)))
    HPY_CASE(TERNARYFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1, a.arg2)))
    HPY_CASE(INQUIRY, a.result = Invoke<int>(state, f, a.arg0))
    HPY_CASE(LENFUNC, a.result = Invoke<HPy_ssize_t>(state, f, a.arg0))
    HPY_CASE(SSIZEARGFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1)))
    HPY_CASE(SSIZESSIZEARGFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1, a.arg2)))
    HPY_CASE(SSIZEOBJARGPROC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
    HPY_CASE(SSIZESSIZEOBJARGPROC,
             (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2, a.arg3)))
    HPY_CASE(OBJOBJARGPROC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
    HPY_CASE(FREEFUNC, InvokeVoid(state, f, a.arg0))
    HPY_CASE(GETATTRFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1)))
    HPY_CASE(GETATTROFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1)))
    HPY_CASE(SETATTRFUNC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
    HPY_CASE(SETATTROFUNC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
    HPY_CASE(REPRFUNC, a.result = Invoke<HPy>(state, f, a.arg0))
    HPY_CASE(HASHFUNC, (a.result = Invoke<HPy_hash_t, Silent::kAllowed>(state, f, a.arg0)))
    HPY_CASE(RICHCMPFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1, a.arg2)))
    HPY_CASE(GETITERFUNC, a.result = Invoke<HPy>(state, f, a.arg0))
    HPY_CASE(ITERNEXTFUNC, (a.result = Invoke<HPy, Silent::kAllowed>(state, f, a.arg0)))
    HPY_CASE(DESCRGETFUNC, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1, a.arg2)))
    HPY_CASE(DESCRSETFUNC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
    HPY_CASE(GETTER, (a.result = Invoke<HPy>(state, f, a.arg0, a.arg1)))
    HPY_CASE(SETTER, (a.result = Invoke<int>(state, f, a.arg0, a.arg1, a.arg2)))
    HPY_CASE(OBJOBJPROC, (a.result = Invoke<int>(state, f, a.arg0, a.arg1)))
    HPY_CASE(DESTRUCTOR, InvokeVoid(state, f, a.arg0))
    // Filled as an _HPyFunc_args_UNARYFUNC, which has the same layout.
    HPY_CASE(MOD_CREATE, a.result = Invoke<HPy>(state, f, a.spec))
#undef HPY_CASE
    case HPyFunc_CAPSULE_DESTRUCTOR: {
      HPyContext* const universal = state.universal;
      const bool pending_before = universal->ctx_Err_Occurred(universal) != 0;
      universal->ctx_CallRealFunctionFromTrampoline(universal, signature, f, args);
      CheckCapsuleDestructor(state, f, pending_before);
      return;
    }
    // No handles, no context: as in the universal context. So is the fatal error for the two that are
    // never dispatched.
    case HPyFunc_TRAVERSEPROC:
      CheckedTraverse(state, f, *static_cast<_HPyFunc_args_TRAVERSEPROC*>(args));
      return;
    case HPyFunc_DESTROYFUNC:
    case HPyFunc_VECTORCALLFUNC:
    case _HPyFunc_Signature_END:
      break;
  }
  state.universal->ctx_CallRealFunctionFromTrampoline(state.universal, signature, f, args);
}

}  // namespace hpy::debug_ctx
