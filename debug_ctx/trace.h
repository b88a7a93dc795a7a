// Trace mode: contexts whose functions count and time their calls, and tell the host of them.
//
// Handles are not touched: they are those of the context behind. So a trace context can stand in
// front of any other one, and be put around the debug context too.
#ifndef HPY_DEBUG_CTX_TRACE_H_
#define HPY_DEBUG_CTX_TRACE_H_

#include <atomic>
#include <cstdint>

#include "hpy.h"

namespace hpy::debug_ctx {

// A function of the context in the list of trace mode.
struct TracedFunction {
  const char* name;      // of the member: "ctx_Add"
  uint64_t calls;        // made through the contexts of a Trace
  uint64_t nanoseconds;  // spent in them, nested calls included
};

// What trace mode needs from an interpreter. All functions are called by a thread that holds it.
class TraceHost {
 public:
  virtual ~TraceHost() = default;

  // Before and after each call; `function` is the name of the member. Only while Trace::SetHooks
  // asked for them. A pending exception is the call's: it must be there again afterwards.
  virtual void OnEnter(const char* function) = 0;
  virtual void OnExit(const char* function) = 0;

  // Calls an implementation with handles of the context behind and with the trace context `ctx`.
  virtual void CallRealFunction(HPyContext* ctx, HPyFunc_Signature signature, HPyCFunction function,
                                void* args) = 0;
};

// The counts of one interpreter. Never freed while a context that it serves may be called.
class Trace {
 public:
  explicit Trace(TraceHost& host) : host_(host) {}

  // The functions in the order of the struct. All of the table but ctx_Module_Create: only the init
  // functions of modules in the older spelling call that, and HPy 0.9, whose list programs know,
  // has no such member.
  static int Size();
  TracedFunction Get(int index) const;
  void Reset();

  // Which of the host's functions are called.
  void SetHooks(bool on_enter, bool on_exit) {
    on_enter_.store(on_enter, std::memory_order_relaxed);
    on_exit_.store(on_exit, std::memory_order_relaxed);
  }

  // Of the clock with which calls are timed, in Hz.
  static uint64_t ClockFrequency();

  // For the wrappers. Atomic, for HPy_LeavePythonExecution ends in a thread that does not hold the
  // interpreter any more.
  struct Counters {
    std::atomic<uint64_t> calls{0}, nanoseconds{0};
  };
  Counters& counters(int slot) { return counters_[slot]; }
  TraceHost& host() { return host_; }
  bool on_enter() const { return on_enter_.load(std::memory_order_relaxed); }
  bool on_exit() const { return on_exit_.load(std::memory_order_relaxed); }

 private:
  static constexpr int kSlots = 0
#define HPY_FUNC(...) +1
#define HPY_PROC(...) +1
#include "hpy/abi/context.inc"
      ;

  TraceHost& host_;
  std::atomic<bool> on_enter_{false}, on_exit_{false};
  Counters counters_[kSlots];
};

// The functions that a traced context had. Like the contexts themselves, layers are never freed or
// moved: libraries keep contexts, and contexts refer to their layer in `_private`.
class TraceLayer {
 public:
  explicit TraceLayer(Trace& trace) : trace_(trace) {}
  TraceLayer(const TraceLayer&) = delete;
  TraceLayer& operator=(const TraceLayer&) = delete;

  // Makes `context` a trace context in front of `inner`: with its constants, and with functions
  // that call those of `inner` with `inner`. Implementations are called by the host.
  void Init(HPyContext* context, HPyContext* inner);

  // Traces a context where it is, and all copies made of it from now on: its functions are called
  // with the very context that made the call. That is what a context in front of another one needs,
  // if its functions know their caller by it: the debug context. The way into extensions stays its
  // own.
  void Attach(HPyContext* context);
  // Gives the context its functions back; copies stay as they are. Attach() may follow.
  void Detach(HPyContext* context);

  Trace& trace() { return trace_; }
  const HPyContext& functions() const { return functions_; }
  // The context to call the functions with, for a call through `ctx`.
  HPyContext* Target(HPyContext* ctx) const { return inner_ != nullptr ? inner_ : ctx; }
  static TraceLayer& Of(HPyContext* ctx) { return *static_cast<TraceLayer*>(ctx->_private); }

 private:
  Trace& trace_;
  HPyContext* inner_ = nullptr;
  HPyContext functions_ = {};
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_TRACE_H_
