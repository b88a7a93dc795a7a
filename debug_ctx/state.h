// The state of debug mode in one interpreter.
#ifndef HPY_DEBUG_CTX_STATE_H_
#define HPY_DEBUG_CTX_STATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "debug_ctx/call.h"
#include "debug_ctx/functions.h"
#include "debug_ctx/host.h"
#include "debug_ctx/settings.h"
#include "debug_ctx/stories.h"
#include "handles/buffers.h"
#include "handles/handle_table.h"
#include "leakdetector/frame_filter.h"
#include "leakdetector/report_file.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

// Guarded by the interpreter's lock, like everything it holds. Never freed: destroy functions still
// run when an interpreter ends.
class State {
 public:
  State(Host& host, HPyContext* universal, leakdetector::FrameFilter filter);

  // The context that loaded libraries get for their trampolines.
  HPyContext* root() { return &root_.context; }

  DebugContext* TakeContext();
  void GiveBack(DebugContext* context);

  // Wraps a handle of the universal context that the extension is going to own. Null stays null; null
  // with MemoryError set when the table is full.
  HPy Open(HPy wrapped, Call& call, const stacktrace::CallSite& site);
  // Ends an open handle that the extension owned and returns what it wrapped, which the caller owns now.
  HPy Close(handles::Slot* slot, Call& call, StoryId story, handles::Ending ending);
  StoryId Capture(Call& call, const stacktrace::CallSite& site);

  // The bytes of an open handle's object for the extension: a copy that lives as long as the handle. Null
  // with MemoryError set.
  const char* GiveBuffer(handles::Slot* slot, const char* data, size_t size);
  // The size of that copy with its NUL, or -1.
  ptrdiff_t RawDataSize(const handles::Slot& slot) const;
  // Closes the handle of an open slot in the table, and what hangs on it.
  void CloseSlot(handles::Slot* slot, StoryId story, handles::Ending ending, bool keep);

  // Sets where reports are appended; an empty path ends it.
  void SetReportPath(const std::string& path);

  Host& host;
  HPyContext* const universal;
  Settings settings;
  handles::HandleTable table;
  handles::HandleTable builders;  // wrapped: the builder of the universal context
  handles::Buffers buffers;       // of handles in `table`
  handles::HandleTable trackers;  // wrapped: a pointer to std::vector<HPy> of debug handles
  Functions functions;
  Stories stories;
  leakdetector::FrameFilter filter;
  std::unique_ptr<leakdetector::ReportFile> report_file;
  uint64_t violations = 0;  // reported since the start, leaks not counted
  // Closed handles keep their reference until reuse: only for the older hooks.
  bool keep_closed = false;

 private:
  static void Drop(void* state, handles::Slot& slot);

  // A context that was given back is found to be stale in the 64 calls that follow at least.
  static constexpr int kContextsBetweenUses = 64;

  DebugContext root_;
  DebugContext* free_head_ = nullptr;
  DebugContext* free_tail_ = nullptr;
  int free_count_ = 0;
};

// The member functions of every debug context: wrappers.cc.
void FillFunctions(HPyContext& context);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_STATE_H_
