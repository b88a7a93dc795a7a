// The state of debug mode in one interpreter.
#ifndef HPY_DEBUG_CTX_STATE_H_
#define HPY_DEBUG_CTX_STATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "debug_ctx/call.h"
#include "debug_ctx/fault.h"
#include "debug_ctx/fields.h"
#include "debug_ctx/functions.h"
#include "debug_ctx/globals.h"
#include "debug_ctx/host.h"
#include "debug_ctx/long_lived.h"
#include "debug_ctx/outside.h"
#include "debug_ctx/settings.h"
#include "debug_ctx/stories.h"
#include "debug_ctx/struct_guard.h"
#include "handles/buffers.h"
#include "handles/handle_table.h"
#include "leakdetector/frame_filter.h"
#include "leakdetector/report_file.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

// Guarded by the lock that the interpreters of this process share, like everything it holds. What a
// thread without it reads for a report (outside.h) is written with OutsideMutex() held as well. Its
// memory, and that of its contexts, is never freed: libraries and extensions keep their addresses, and
// destroy functions still run when an interpreter ends. Once it has ended, Renew() makes it the state
// of another one.
class State {
 public:
  State(Host& host, HPyContext* universal, leakdetector::FrameFilter filter);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Replaces a state by a new one at the same address. No call may be in progress in it. What it kept
  // of objects is forgotten, not released: they ended with their interpreter.
  static void Renew(State* state, HPyContext* universal, leakdetector::FrameFilter filter);
  bool HasCallsInProgress() const { return contexts_ != free_.size(); }

  // The state of the interpreter that runs, for a call through a context of this one.
  State& OfInterpreter() { return IsOfInterpreter() ? *this : FindOfInterpreter(); }
  // The usual case: that it is this one, and is known to be. False where OfInterpreter() has to be asked.
  bool IsOfInterpreter() const { return *host.only_interpreter == only_interpreter_; }
  // The host's answer to it may change from now on.
  static void ForgetOnly() {
    if (only_ != nullptr) only_->only_interpreter_ = Nobody();
    only_ = nullptr;
  }

  // The context that loaded libraries get for their trampolines.
  HPyContext* root() { return &root_.context; }

  DebugContext* TakeContext() {
    if (free_.size() <= kContextsBetweenUses || root_.context._private != copied_) [[unlikely]] {
      return TakeOtherContext();
    }
    DebugContext* const context = free_.front();
    free_.PopFront();
    return context;
  }
  void GiveBack(DebugContext* context) { free_.PushBack(context); }
  // The flags of a call that begins.
  const CallFlags& beginning() const { return beginning_; }
  // Its captures, as the settings are now.
  void BeginCaptures(Call& call, uintptr_t stop_sp) const {
    call.memo_limits = stacktrace::PackLimits(stop_sp, 0) | memo_depth_;
  }
  void SetStackDepth(int depth);

  // Whether an exception is pending on this thread.
  bool HasException() const { return *host.ExceptionPlace() != nullptr; }

  // Wraps a handle of the universal context that the extension is going to own. Null stays null; null
  // with MemoryError set when the table is full.
  HPy Open(HPy wrapped, Call& call, const stacktrace::CallSite& site) {
    return OpenAt(call, wrapped, site.pc, site.sp, site.fp);
  }
  // The same, with everything in registers: what most wrappers end with.
  [[gnu::hot]] static HPy OpenAt(Call& call, HPy wrapped, uintptr_t pc, uintptr_t sp, uintptr_t fp);
  // Ends the handle of an open slot that the extension owned, and returns what it wrapped, which the
  // caller owns now.
  [[gnu::always_inline]] HPy Close(handles::Slot* slot, StoryId story, handles::Ending ending) {
    if (slot->has_buffer || keep_closed_) [[unlikely]] {
      return CloseWithMore(slot, story, ending);
    }
    const HPy wrapped = slot->wrapped();
    table.Close(slot, story, ending);
    return wrapped;
  }
  // Opens a handle in `builders` or `trackers`, for a record that its slot owns from then on. Null
  // when the table is full.
  HPy OpenRecord(handles::HandleTable& records, void* record, Call& call,
                 const stacktrace::CallSite& site);
  // The stack of a call of the API; no number when stacks are switched off.
  StoryId Capture(Call& call, const stacktrace::CallSite& site) {
    const StoryId story = stacktrace::Remembered(site.pc, site.sp, &site.fp, call.memo_limits);
    return story != stacktrace::kNoStack ? story : CaptureElsewhere(call, site);
  }
  // The same where Remembered() does not know it, and where the rest of the memo was asked too.
  StoryId CaptureElsewhere(const Call& call, const stacktrace::CallSite& site) const;
  StoryId CaptureAnew(const Call& call, const stacktrace::CallSite& site) const;

  // The bytes of an open handle's object for the extension: a copy that lives as long as the handle. Null
  // with MemoryError set.
  [[gnu::hot]] const char* GiveBuffer(handles::Slot* slot, const char* data, size_t size,
                                      const char* api, Call& call,
                                      const stacktrace::CallSite& site);
  // The size of that copy with its NUL, or -1.
  ptrdiff_t RawDataSize(const handles::Slot& slot) const;
  // Closes the handle of an argument, unless it is closed. Buffers may have to be flushed then.
  void CloseArgument(handles::Slot* slot);
  // Closes the handle of an open slot in the table, and what hangs on it.
  [[gnu::hot]] void CloseSlot(handles::Slot* slot, StoryId story, handles::Ending ending,
                              bool keep);

  // Whether closed handles keep their reference until reuse: only for the older hooks.
  bool keeps_closed() const { return keep_closed_; }
  void KeepClosed(bool keep);
  // Releases the objects that closed handles kept for an older hook, and keeps no more.
  void ReleaseKept();

  void SetPolicy(Policy policy);
  // Begins a generation, of builders and trackers too, and returns its number.
  int64_t NewGeneration();

  // How many closed handles are remembered. Whoever asks for that, or for them, gets arguments into
  // the same queue from then on, as the older interface has it: they would push out other handles, so
  // by default they are remembered with the context of their call.
  void QueueArguments();
  bool arguments_queued() const { return arguments_queued_; }

  void SetGuard(handles::Guard guard) { buffers.set_guard(guard); }
  void SetClosedBuffers(size_t bytes);
  // Sets where reports are appended; an empty path ends it.
  void SetReportPath(const std::string& path);

  Host& host;
  HPyContext* const universal;
  Settings settings;
  const uint32_t first_generation;  // of all handles
  handles::HandleTable table;
  handles::HandleTable builders;  // wrapped: a pointer to a BuilderRecord
  handles::Buffers buffers;       // of handles in `table`
  handles::HandleTable trackers;  // wrapped: a pointer to a TrackerRecord
  FaultGuard faults{this};
  Functions functions;
  Stories stories;
  Fields fields{*this};
  Globals globals;
  StructGuards guards{*this};
  leakdetector::FrameFilter filter;
  std::shared_ptr<leakdetector::ReportFile> report_file;
  LongLived long_lived;
  uint64_t violations = 0;  // reported since the start, leaks not counted
  Outside outside;

 private:
  static void Drop(void* state, handles::Slot& slot);
  DebugContext* TakeOtherContext();
  template <typename F>
  void ForEachCallInProgress(F f) {
    for (DebugContext* context = contexts_made_; context != nullptr; context = context->next_made) {
      if (context->call.state == this && context->call.in_progress) f(context->call);
    }
  }
  // With a stack that is known.
  [[gnu::always_inline]] static HPy OpenFrom(Call& call, HPy wrapped, StoryId story);
  // The same, whatever it takes.
  [[gnu::hot]] static HPy OpenUnusual(Call& call, HPy wrapped, StoryId story);
  [[gnu::hot]] static HPy OpenElsewhere(Call& call, HPy wrapped, uintptr_t pc, uintptr_t sp,
                                        uintptr_t fp);
  [[gnu::hot]] static HPy OpenAnew(Call& call, HPy wrapped, uintptr_t pc, uintptr_t sp,
                                   uintptr_t fp);
  [[gnu::hot]] HPy CloseWithMore(handles::Slot* slot, StoryId story, handles::Ending ending);
  void RevokeAndClose(handles::Slot* slot, StoryId story, handles::Ending ending, bool keep);

  // A context that was given back is found to be stale in the 64 calls that follow at least.
  static constexpr size_t kContextsBetweenUses = 64;

  DebugContext root_;
  // `_private` of the root when the contexts were copied from it. What traces it (trace.h) changes it.
  const void* copied_ = this;
  FreeContexts free_;
  size_t contexts_ = 0;                 // of this state
  static DebugContext* contexts_made_;  // all of the process, by next_made
  static DebugContext* fresh_;          // those that no state has yet
  static size_t fresh_count_;
  // Of calls in progress, when they end.
  void AskForAttention();
  bool arguments_queued_ = false;
  bool keep_closed_ = false;
  // With keep_closed_ every call needs attention.
  CallFlags beginning_{.in_progress = true};
  // The depth of captures that are to be looked for in the memo, in its place in the limits. 0 where the
  // memo is not to be asked: no entry has that depth.
  stacktrace::MemoLimits memo_depth_ = 0;
  void UpdateMemoDepth();

  // The last answer to OfInterpreter(); and in it the only interpreter that there was then, in all others
  // an address that is none's.
  static State* only_;
  static const _HPyInterpreter* Nobody() {
    return reinterpret_cast<const _HPyInterpreter*>(&only_);
  }
  const _HPyInterpreter* only_interpreter_ = Nobody();
  State& FindOfInterpreter();
};

// The member functions of every debug context: wrappers.cc.
void FillFunctions(HPyContext& context);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_STATE_H_
