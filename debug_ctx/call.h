// A call into an extension that is in progress: its record, the context that it was given, and the
// handles it has opened.
#ifndef HPY_DEBUG_CTX_CALL_H_
#define HPY_DEBUG_CTX_CALL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/optimization.h"
#include "debug_ctx/fields.h"
#include "debug_ctx/heap_buffers.h"
#include "debug_ctx/host.h"
#include "debug_ctx/stories.h"
#include "debug_ctx/struct_guard.h"
#include "handles/handle_table.h"
#include "hpy.h"
#include "leakdetector/violation.h"
#include "stacktrace/memo.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

class State;
struct DebugContext;

// The handles that a call opened, to find at its end those that it leaves behind. The last one is dropped
// when it is closed, others that are closed when the log is full: so its size follows the number of handles
// that are open, not of those that were opened.
class OpenLog {
 public:
  void Push(HPy handle, const handles::HandleTable& table) {
    if (full()) [[unlikely]] {
      Compact(table);
    }
    PushAtOnce(handle);
  }
  bool full() const { return end_ == limit_; }
  // Clear() gives its memory back: not the usual case.
  bool is_large() const { return limit_ - begin_ > kKeep; }
  void PushAtOnce(HPy handle) { *end_++ = handle; }
  // Drops a handle that is about to be closed, if it is the one that was opened last, as most are. It is
  // of the newest generation then.
  bool Pop(HPy handle) {
    if (end_[-1]._i != handle._i) return false;
    end_--;
    return true;
  }
  // Drops all, if those of the newest generation are closed. Those of older ones: see Seal(). Not for a
  // large one, which is to be given back: see Clear().
  bool ClearIfClosed(const handles::HandleTable& table) {
    if (ABSL_PREDICT_TRUE(begin_ == end_)) return true;
    for (const HPy* handle = begin_; handle != end_; handle++) {
      if (table.Resolve(*handle) != nullptr) return false;
    }
    end_ = begin_;
    return true;
  }
  // A generation of handles begins: those that are here are of an older one, and Pop() knows none of
  // them from now on.
  void Seal(const handles::HandleTable& table) {
    older_.insert(older_.end(), begin_, end_);
    end_ = begin_;
    std::erase_if(older_, [&](HPy handle) { return table.Resolve(handle) == nullptr; });
  }
  template <typename F>
  void ForEachOpen(const handles::HandleTable& table, F f) const {
    const auto tell = [&](HPy handle) {
      if (handles::Slot* slot = table.Resolve(handle)) f(*slot);
    };
    std::for_each(older_.begin(), older_.end(), tell);
    std::for_each(begin_, end_, tell);
  }
  void Clear() {
    older_.clear();
    if (is_large()) {
      memory_.reset();
      begin_ = limit_ = none_ + 1;
    }
    end_ = begin_;
  }

 private:
  static constexpr ptrdiff_t kKeep = 1024;
  void Compact(const handles::HandleTable& table);

  // Before the first there is a null one, so that Pop() need not ask whether there are any.
  static HPy none_[1];
  // First, what is used often: see Call.
  HPy* begin_ = none_ + 1;
  HPy* end_ = none_ + 1;
  HPy* limit_ = none_ + 1;
  std::unique_ptr<HPy[]> memory_;
  std::vector<HPy> older_;
};

// A violation that has been written, and that Python has not heard of: outside.h.
struct Late {
  leakdetector::Violation violation;
  bool warns;  // the policy was warn
};

// HPy_LeavePythonExecution, from there to the re-entry.
struct Leave {
  bool active = false;
  HPyThreadState state = {};
  StoryId at = 0;
  std::vector<leakdetector::PythonFrame> python;  // read at the leave: later it is too late
  Call* outer = nullptr;                          // the call that was left when this one left
};

inline constexpr size_t kCacheLine = 64;

// So many arguments of a call have slots of their own; those beyond take ordinary ones. An odd number of
// lines of the cache, for runs lie in a row.
inline constexpr uint32_t kArgumentRun = 18;
static_assert(kArgumentRun * sizeof(handles::Slot) / kCacheLine % 2 == 1);

// What is set together when a call begins, as one word.
struct alignas(8) CallFlags {
  bool in_progress = false;
  bool attention = false;  // at its return there is more to do than to take the result
  bool excused = false;  // a result that does not agree with the exception is no mistake of its own
  bool made_records = false;    // `first_builder` and `first_tracker` hold
  bool pending_before = false;  // an exception was set when the function was called
  uint16_t refused_leaves = 0;  // whose re-entries are to come
};

// Lives in its context, never on the stack: a greenlet moves stacks. Contexts take turns, so each call
// finds another one, and of most no more than the first two lines of the cache is touched.
struct alignas(kCacheLine) Call : CallFlags {
  // Re-entries that were refused. Counted by other threads too.
  std::atomic<uint32_t> refused_reenters{0};
  uint32_t function = 0;  // its number
  State* state = nullptr;
  Call* outer = nullptr;     // the call that was innermost on this thread when this one began
  Call* previous = nullptr;  // the one that began before it on this thread and has not ended
  // In the frame of the trampoline, and holds the address of this call as long as that frame is on the
  // stack: not while the stack is swapped out.
  const Call* const* mark = nullptr;
  // Captures end below the trampoline. 0: no entry of the memo has that depth.
  stacktrace::MemoLimits memo_limits = 0;
  uintptr_t callee = 0;  // the extension's function
  // The second line.
  const Host::Pointer* exception = nullptr;  // where a pending one would be: host.h
  uint64_t first_order = 0;  // handles from this number on were opened since the call began
  handles::Slot* arguments = nullptr;  // a run of kArgumentRun slots, or null
  DebugContext* next_free = nullptr;   // FreeContexts
  OpenLog log;
  // The rest.
  std::vector<HPy> more_arguments;  // beyond `arguments`
  Leave leave;
  CallStores stores;
  MadeStructs made;
  HeapBufferLog heap_buffers;
  uint64_t first_builder = 0, first_tracker = 0;  // as `first_order`
  OpenLog builders, trackers;                     // what it opened of them
  // Mistakes of calls that have no error value: raised when the function returns.
  std::vector<leakdetector::Violation> deferred;
  // The last of them that was only warned of: raised all the same if the function then fails without
  // an exception, which is what it makes of a refused result.
  std::unique_ptr<leakdetector::Violation> warned;
  // What was reported during it from where nothing can be raised.
  std::vector<Late> late;
  // The last call of the API that was refused, with an exception or without.
  std::unique_ptr<leakdetector::Violation> refused;

  bool has_exception() const { return *exception != nullptr; }
  // 0 where captures have no limit: in none.
  uintptr_t stop_sp() const { return stacktrace::StopOf(memo_limits); }
  stacktrace::CaptureLimits Limits(int max_frames) const { return {stop_sp(), callee, max_frames}; }
};

// A context that is handed to one call at a time.
struct DebugContext {
  HPyContext context;  // first: a pointer to it is one to the whole
  Call call;
  DebugContext* next_made = nullptr;

  static DebugContext* From(HPyContext* ctx) { return reinterpret_cast<DebugContext*>(ctx); }
};

// The contexts that no call uses, in the order in which they were given back.
class FreeContexts {
 public:
  FreeContexts() = default;
  FreeContexts(const FreeContexts&) = delete;  // `end_` may point into it
  FreeContexts& operator=(const FreeContexts&) = delete;
  size_t size() const { return size_; }
  DebugContext* front() const { return front_; }
  // Not the last one. The next call writes first to what no call has touched for long.
  void PopFront() {
    front_ = front_->call.next_free;
    __builtin_prefetch(&front_->call, 1);
    __builtin_prefetch(reinterpret_cast<char*>(&front_->call) + kCacheLine, 1);
    size_--;
  }
  void PushBack(DebugContext* context) {
    *end_ = context;
    end_ = &context->call.next_free;
    size_++;
  }
  template <typename F>
  void ForEach(F f) const {
    DebugContext* context = front_;
    for (size_t i = 0; i < size_; i++, context = context->call.next_free) f(context);
  }

 private:
  DebugContext* front_ = nullptr;
  DebugContext** end_ = &front_;  // where the next is written
  size_t size_ = 0;
};

// A function of a type that runs without a context: HPy_tp_traverse or HPy_tp_destroy.
struct SlotCall {
  HPyCFunction function = nullptr;  // null: none is in progress
  uint64_t object = 0;              // what tells its object from others
  uintptr_t stop_sp = 0;            // captures end below it
  Call* interrupted = nullptr;      // what ThreadCalls::innermost was
};

// What is in progress on this thread.
struct ThreadCalls {
  // The innermost call in progress. Null where the API may not be called: in none, while Python
  // execution is left, and in an HPy_tp_traverse or HPy_tp_destroy. With stacks that are swapped
  // (greenlets) it may be another than the one that is running: then the walk in innermost.h
  // corrects it.
  Call* innermost = nullptr;
  Call* last = nullptr;  // the call that began last; the others follow by Call::previous
  Call* left = nullptr;  // the last call that left Python execution (wrap_leave.cc)
  SlotCall slot;
  uint64_t destroyed = 0;  // HPy_tp_destroy functions called so far
};

#if defined(__linux__)
#define HPY_DEBUG_TLS __attribute__((tls_model("initial-exec")))
#else
#define HPY_DEBUG_TLS
#endif
extern constinit thread_local ThreadCalls thread_calls HPY_DEBUG_TLS;

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_CALL_H_
