// The functions of a trace context: a template over the slots of the table.
#include "debug_ctx/trace.h"

#include <time.h>

#include <type_traits>
#include <utility>

#include "debug_ctx/slots.h"

namespace hpy::debug_ctx {

namespace {

// Position of each function among the functions.
enum Position : int {
#define HPY_FUNC(index, member, ...) kPosition_##member,
#define HPY_PROC(index, member, ...) kPosition_##member,
#include "hpy/abi/context.inc"
};

// What is listed: see Trace::Size.
template <typename S>
inline constexpr bool kListed = !std::is_same_v<S, table::Slot_ctx_Module_Create>;

// What is listed and never counted: no call returns from the one, and the other is not called by
// extensions but by the interpreter, to enter them.
template <typename S>
inline constexpr bool kCounted = kListed<S> && !std::is_same_v<S, table::Slot_ctx_FatalError> &&
                                 !std::is_same_v<S, table::Slot_ctx_CallRealFunctionFromTrampoline>;

struct Listed {
  const char* name;
  int position;
};

constexpr int kListedCount = 0
#define HPY_FUNC(index, member, ...) +(kListed<table::Slot_##member> ? 1 : 0)
#define HPY_PROC(index, member, ...) +(kListed<table::Slot_##member> ? 1 : 0)
#include "hpy/abi/context.inc"
    ;

struct List {
  Listed items[kListedCount];
};

constexpr List MakeList() {
  List list = {};
  int count = 0;
#define HPY_LIST(member) \
  if (kListed<table::Slot_##member>) list.items[count++] = {#member, kPosition_##member};
#define HPY_FUNC(index, member, ...) HPY_LIST(member)
#define HPY_PROC(index, member, ...) HPY_LIST(member)
#include "hpy/abi/context.inc"
#undef HPY_LIST
  return list;
}

constexpr List kList = MakeList();

// The raw clock: adjustments of the system's time do not reach it.
uint64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

// One call. The hooks are outside of the measured time.
class Measured {
 public:
  Measured(Trace& trace, const char* name, Position position)
      : trace_(trace), counters_(trace.counters(position)), name_(name) {
    counters_.calls.fetch_add(1, std::memory_order_relaxed);
  }
  void Enter() {
    if (trace_.on_enter()) trace_.host().OnEnter(name_);
  }
  void Start() { start_ = Now(); }
  void Stop() { counters_.nanoseconds.fetch_add(Now() - start_, std::memory_order_relaxed); }
  void Exit() {
    if (trace_.on_exit()) trace_.host().OnExit(name_);
  }

 private:
  Trace& trace_;
  Trace::Counters& counters_;
  const char* const name_;
  uint64_t start_ = 0;
};

template <typename S, typename Function>
struct UniformTraced;

template <typename S, typename R, typename... A>
struct UniformTraced<S, R (*)(HPyContext*, A...)> {
  static R Call(HPyContext* ctx, A... arguments) {
    TraceLayer& layer = TraceLayer::Of(ctx);
    HPyContext* const target = layer.Target(ctx);
    if constexpr (!kCounted<typename S::Slot>) {
      return (layer.functions().*S::kMember)(target, arguments...);
    } else {
      Measured call(layer.trace(), S::kName, S::kPosition);
      call.Enter();
      call.Start();
      if constexpr (std::is_void_v<R>) {
        (layer.functions().*S::kMember)(target, arguments...);
        call.Stop();
        call.Exit();
      } else {
        R result = (layer.functions().*S::kMember)(target, arguments...);
        call.Stop();
        call.Exit();
        return result;
      }
    }
  }
};

// A slot with its place in the list.
template <typename S>
struct Named;
#define HPY_NAMED(member)                                     \
  template <>                                                 \
  struct Named<table::Slot_##member> : table::Slot_##member { \
    using Slot = table::Slot_##member;                        \
    static constexpr char kName[] = #member;                  \
    static constexpr Position kPosition = kPosition_##member; \
  };
#define HPY_FUNC(index, member, ...) HPY_NAMED(member)
#define HPY_PROC(index, member, ...) HPY_NAMED(member)
#include "hpy/abi/context.inc"
#undef HPY_NAMED

template <typename S>
struct Traced : UniformTraced<S, std::remove_const_t<std::remove_reference_t<
                                     decltype(std::declval<HPyContext&>().*S::kMember)>>> {};

// Slots that are not uniform, with the reason.

// The way into extensions. In front of another context the implementation gets the trace context,
// which the other one does not know.
template <>
struct Traced<Named<table::Slot_ctx_CallRealFunctionFromTrampoline>> {
  static void Call(HPyContext* ctx, HPyFunc_Signature signature, HPyCFunction function,
                   void* args) {
    TraceLayer::Of(ctx).trace().host().CallRealFunction(ctx, signature, function, args);
  }
};

// Begins in a thread that does not hold the interpreter, and hooks need it: they get it before.
template <>
struct Traced<Named<table::Slot_ctx_ReenterPythonExecution>> {
  static void Call(HPyContext* ctx, HPyThreadState state) {
    using S = Named<table::Slot_ctx_ReenterPythonExecution>;
    TraceLayer& layer = TraceLayer::Of(ctx);
    HPyContext* const target = layer.Target(ctx);
    const HPyContext& functions = layer.functions();
    Measured call(layer.trace(), S::kName, S::kPosition);
    if (layer.trace().on_enter()) {
      functions.ctx_ReenterPythonExecution(target, state);
      call.Enter();
      state = functions.ctx_LeavePythonExecution(target);
    }
    call.Start();
    functions.ctx_ReenterPythonExecution(target, state);
    call.Stop();
    call.Exit();
  }
};

// Ends in such a thread.
template <>
struct Traced<Named<table::Slot_ctx_LeavePythonExecution>> {
  static HPyThreadState Call(HPyContext* ctx) {
    using S = Named<table::Slot_ctx_LeavePythonExecution>;
    TraceLayer& layer = TraceLayer::Of(ctx);
    HPyContext* const target = layer.Target(ctx);
    const HPyContext& functions = layer.functions();
    Measured call(layer.trace(), S::kName, S::kPosition);
    call.Enter();
    call.Start();
    HPyThreadState state = functions.ctx_LeavePythonExecution(target);
    call.Stop();
    if (layer.trace().on_exit()) {
      functions.ctx_ReenterPythonExecution(target, state);
      call.Exit();
      state = functions.ctx_LeavePythonExecution(target);
    }
    return state;
  }
};

void FillTraced(HPyContext& context) {
#define HPY_FUNC(index, member, ...) context.member = &Traced<Named<table::Slot_##member>>::Call;
#define HPY_PROC(index, member, ...) context.member = &Traced<Named<table::Slot_##member>>::Call;
#include "hpy/abi/context.inc"
}

}  // namespace

int Trace::Size() { return kListedCount; }

TracedFunction Trace::Get(int index) const {
  const Listed& listed = kList.items[index];
  const Counters& counters = counters_[listed.position];
  return {listed.name, counters.calls.load(std::memory_order_relaxed),
          counters.nanoseconds.load(std::memory_order_relaxed)};
}

void Trace::Reset() {
  for (Counters& counters : counters_) {
    counters.calls.store(0, std::memory_order_relaxed);
    counters.nanoseconds.store(0, std::memory_order_relaxed);
  }
}

uint64_t Trace::ClockFrequency() {
  timespec resolution;
  clock_getres(CLOCK_MONOTONIC_RAW, &resolution);
  const uint64_t nanoseconds = static_cast<uint64_t>(resolution.tv_sec) * 1000000000u +
                               static_cast<uint64_t>(resolution.tv_nsec);
  return 1000000000u / (nanoseconds != 0 ? nanoseconds : 1);
}

void TraceLayer::Init(HPyContext* context, HPyContext* inner) {
  functions_ = *inner;
  inner_ = inner;
  *context = *inner;
  context->name = "HPy Trace Mode ABI (CPython backend)";
  context->_private = this;
  FillTraced(*context);
}

void TraceLayer::Attach(HPyContext* context) {
  if (context->_private == this) return;
  functions_ = *context;
  context->_private = this;
  FillTraced(*context);
  context->ctx_CallRealFunctionFromTrampoline = functions_.ctx_CallRealFunctionFromTrampoline;
}

void TraceLayer::Detach(HPyContext* context) {
  if (context->_private == this) *context = functions_;
}

}  // namespace hpy::debug_ctx
