// A call into an extension that is in progress: its record, the context that it was given, and the
// handles it has opened.
#ifndef HPY_DEBUG_CTX_CALL_H_
#define HPY_DEBUG_CTX_CALL_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "debug_ctx/fields.h"
#include "debug_ctx/struct_guard.h"
#include "handles/handle_table.h"
#include "hpy.h"
#include "leakdetector/violation.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

class State;

// The handles that a call opened, to find at its end those that it leaves behind. An entry is alive
// while its slot has the generation that it had; dead ones are dropped when the log is full, so that
// its size follows the number of handles that are open, not of those that were opened.
class OpenLog {
 public:
  void Push(uint32_t slot, uint32_t generation, const handles::HandleTable& table) {
    if (entries_.size() == entries_.capacity()) Compact(table);
    entries_.push_back({slot, generation});
  }
  template <typename F>
  void ForEachOpen(const handles::HandleTable& table, F f) const {
    for (const Entry& entry : entries_) {
      handles::Slot& slot = table.slot_at(entry.slot);
      if (slot.generation == entry.generation) f(slot);
    }
  }
  void Clear() {
    entries_.clear();
    if (entries_.capacity() > kKeep) std::vector<Entry>().swap(entries_);
  }

 private:
  static constexpr size_t kKeep = 1024;
  struct Entry {
    uint32_t slot, generation;
  };
  void Compact(const handles::HandleTable& table);
  std::vector<Entry> entries_;
};

// Lives in its context, never on the stack: a greenlet moves stacks.
struct Call {
  State* state = nullptr;
  Call* outer = nullptr;  // the call that was innermost on this thread when this one began
  uintptr_t stop_sp = 0;  // stack pointer of the trampoline: captures end below it
  uintptr_t entry = 0;    // address of the extension's function
  uint32_t function = 0;  // its number
  bool in_progress = false;
  bool refreshed = false;    // libraries were looked at since the call began
  uint64_t first_order = 0;  // handles from this number on were opened since the call began
  int64_t open = 0;          // how many of those are open (and of calls inside it)
  OpenLog log;
  CallStores stores;
  MadeStructs made;
  // Mistakes of calls that have no error value: raised when the function returns.
  std::vector<leakdetector::Violation> deferred;
  // The last of them that was only warned of: raised all the same if the function then fails without
  // an exception, which is what it makes of a refused result.
  std::unique_ptr<leakdetector::Violation> warned;
  // What was found during it where nothing can be raised: dealt with when the function returns.
  std::vector<leakdetector::Violation> late;
};

// A context that is handed to one call at a time.
struct DebugContext {
  HPyContext context;  // first: a pointer to it is one to the whole
  Call call;
  DebugContext* next_free = nullptr;

  static DebugContext* From(HPyContext* ctx) { return reinterpret_cast<DebugContext*>(ctx); }
};

// The innermost call in progress on this thread, or null.
#if defined(__linux__)
extern thread_local Call* innermost_call __attribute__((tls_model("initial-exec")));
#else
extern thread_local Call* innermost_call;
#endif

// One call of an extension's function, from the trampoline: takes a context, gives it back.
class CallScope {
 public:
  CallScope(State& state, HPyCFunction function, uintptr_t stop_sp);
  ~CallScope();
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  HPyContext* context() { return &context_->context; }
  Call& call() { return context_->call; }

 private:
  DebugContext* const context_;
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_CALL_H_
