// Contexts, and the opening and closing of handles.
#include "debug_ctx/state.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

#include "debug_ctx/heap_buffers.h"
#include "debug_ctx/outside.h"
#include "debug_ctx/outside_lock.h"
#include "debug_ctx/policy.h"
#include "debug_ctx/records.h"

namespace hpy::debug_ctx {

using handles::Ending;
using handles::Origin;
using handles::Slot;

namespace {

constexpr uint32_t kMaxOthers = 1 << 22;  // builders, and trackers, open at the same time

// Where the generations of a new state's handles begin: in steps of the golden ratio, which keep any
// number of states as far apart as can be. So a handle of one interpreter is none, or a closed one, in
// another. The upper half stays free for counting.
uint32_t NextFirstGeneration() {
  static uint32_t states = 0;
  return (states++ * 0x9E3779B9u >> 2) & ~1u;
}

}  // namespace

State* State::only_ = nullptr;
DebugContext* State::contexts_made_ = nullptr;
DebugContext* State::fresh_ = nullptr;
size_t State::fresh_count_ = 0;

constinit thread_local ThreadCalls thread_calls;

HPy OpenLog::none_[1] = {};

void OpenLog::Compact(const handles::HandleTable& table) {
  end_ = std::remove_if(begin_, end_, [&](HPy h) { return table.Resolve(h) == nullptr; });
  const ptrdiff_t alive = end_ - begin_;
  if (alive * 2 < limit_ - begin_) return;
  // More than half of them alive: the next round would come too soon.
  const ptrdiff_t capacity = alive * 2 + 32;
  std::unique_ptr<HPy[]> larger(new HPy[static_cast<size_t>(1 + capacity)]);
  larger[0] = HPy_NULL;
  std::copy(begin_, end_, &larger[1]);
  memory_ = std::move(larger);
  begin_ = &memory_[1];
  end_ = begin_ + alive;
  limit_ = begin_ + capacity;
}

State::State(Host& h, HPyContext* u, leakdetector::FrameFilter f)
    : host(h),
      universal(u),
      first_generation(NextFirstGeneration()),
      table(handles::kMaxSlots, &State::Drop, this, first_generation),
      builders(kMaxOthers, nullptr, nullptr, first_generation),
      trackers(kMaxOthers, nullptr, nullptr, first_generation),
      filter(std::move(f)) {
  UpdateMemoDepth();
  HPyContext& ctx = root_.context;
  ctx.name = "HPy Debug Mode ABI (CPython backend)";
  ctx._private = this;
  ctx.abi_version = HPY_ABI_VERSION;
  // Constants have the same value in every context of the interpreter.
#define HPY_HANDLE(index, member, object) \
  ctx.member = table.Open(universal->member, stacktrace::kNoStack, 0, Origin::kConstant);
#include "hpy/abi/context.inc"
  FillFunctions(ctx);
  root_.call.state = this;
  root_.call.first_order = UINT64_MAX;  // whatever is closed through it was opened by others
}

State::~State() {
  for (DebugContext* context = contexts_made_; context != nullptr; context = context->next_made) {
    if (context->call.state == this) context->call.arguments = nullptr;  // they are of `table`
  }
  if (only_ == this) ForgetOnly();
  for (Slot* slot : builders.OpenSlots(0)) delete BuilderRecord::Of(*slot);
  for (Slot* slot : trackers.OpenSlots(0)) delete TrackerRecord::Of(*slot);
}

void State::Renew(State* state, HPyContext* universal, leakdetector::FrameFilter filter) {
  Host& host = state->host;
  std::vector<DebugContext*> contexts;
  state->free_.ForEach([&](DebugContext* context) { contexts.push_back(context); });
  state->~State();
  new (state) State(host, universal, std::move(filter));
  for (DebugContext* context : contexts) {
    context->context = state->root_.context;
    state->GiveBack(context);
  }
  state->contexts_ = contexts.size();
}

State& State::FindOfInterpreter() {
  State& found = host.StateOfInterpreter(*this);
  ForgetOnly();
  if (const _HPyInterpreter* const only = *host.only_interpreter; only != nullptr) {
    only_ = &found;
    found.only_interpreter_ = only;
  }
  return found;
}

DebugContext* State::TakeOtherContext() {
  if (std::exchange(copied_, root_.context._private) != root_.context._private) {
    // It serves calls that begin from now on.
    free_.ForEach([this](DebugContext* context) { context->context = root_.context; });
    AskForAttention();
  }
  if (free_.size() > kContextsBetweenUses) return TakeContext();
  if (fresh_count_ == 0) {
    // In a row, an odd number of lines apart: so they do not take each other's place in the cache.
    static_assert(sizeof(DebugContext) / kCacheLine % 2 == 1, "add a line to it");
    constexpr size_t kRow = 16;
    fresh_ = new DebugContext[kRow];
    fresh_count_ = kRow;
  }
  DebugContext* const context = fresh_++;
  fresh_count_--;
  contexts_++;
  context->next_made = std::exchange(contexts_made_, context);
  context->context = root_.context;
  context->call.state = this;
  return context;
}

// Each calls the next one in tail position, and the first needs so few registers that gcc saves none.
HPy State::OpenAt(Call& call, HPy wrapped, uintptr_t pc, uintptr_t sp, uintptr_t fp) {
  const StoryId story = stacktrace::Remembered(pc, sp, &fp, call.memo_limits);
  if (story == stacktrace::kNoStack) [[unlikely]] {
    return OpenElsewhere(call, wrapped, pc, sp, fp);
  }
  return OpenFrom(call, wrapped, story);
}
[[gnu::noinline]] HPy State::OpenElsewhere(Call& call, HPy wrapped, uintptr_t pc, uintptr_t sp,
                                           uintptr_t fp) {
  const StoryId story = stacktrace::RememberedElsewhere(pc, sp, &fp, call.memo_limits);
  if (story == stacktrace::kNoStack) return OpenAnew(call, wrapped, pc, sp, fp);
  return OpenFrom(call, wrapped, story);
}
[[gnu::noinline]] HPy State::OpenAnew(Call& call, HPy wrapped, uintptr_t pc, uintptr_t sp,
                                      uintptr_t fp) {
  if (HPy_IsNull(wrapped)) return HPy_NULL;
  return OpenFrom(call, wrapped, call.state->CaptureAnew(call, {pc, sp, fp}));
}
inline HPy State::OpenFrom(Call& call, HPy wrapped, StoryId story) {
  if (HPy_IsNull(wrapped) || call.log.full()) [[unlikely]] {
    return OpenUnusual(call, wrapped, story);
  }
  const HPy handle = call.state->table.OpenAtOnce(wrapped, story, call.function);
  if (HPy_IsNull(handle)) [[unlikely]] {
    return OpenUnusual(call, wrapped, story);
  }
  call.log.PushAtOnce(handle);
  return handle;
}
[[gnu::noinline]] HPy State::OpenUnusual(Call& call, HPy wrapped, StoryId story) {
  if (HPy_IsNull(wrapped)) return HPy_NULL;
  State& state = *call.state;
  const HPy handle = state.table.Open(wrapped, story, call.function);
  if (HPy_IsNull(handle)) {
    state.universal->ctx_Close(state.universal, wrapped);
    state.universal->ctx_Err_NoMemory(state.universal);
    return HPy_NULL;
  }
  call.log.Push(handle, state.table);
  call.attention |= call.log.is_large();
  return handle;
}

StoryId State::CaptureElsewhere(const Call& call, const stacktrace::CallSite& site) const {
  const StoryId story =
      stacktrace::RememberedElsewhere(site.pc, site.sp, &site.fp, call.memo_limits);
  return story != stacktrace::kNoStack ? story : CaptureAnew(call, site);
}
StoryId State::CaptureAnew(const Call& call, const stacktrace::CallSite& site) const {
  if (settings.stack_depth == 0) return stacktrace::kNoStack;
  return stacktrace::Capture(site, call.Limits(settings.stack_depth));
}

HPy State::OpenRecord(handles::HandleTable& records, void* record, Call& call,
                      const stacktrace::CallSite& site) {
  if (call.in_progress && !call.made_records) {
    call.first_builder = builders.next_order();
    call.first_tracker = trackers.next_order();
    call.made_records = call.attention = true;
  }
  const HPy handle =
      records.Open(HPy{reinterpret_cast<intptr_t>(record)}, Capture(call, site), call.function);
  if (!HPy_IsNull(handle) && call.in_progress) {
    OpenLog& log = &records == &builders ? call.builders : call.trackers;
    log.Push(handle, records);
  }
  return handle;
}

HPy State::CloseWithMore(Slot* slot, StoryId story, Ending ending) {
  const HPy wrapped = slot->wrapped();
  const bool keep = keep_closed_;
  CloseSlot(slot, story, ending, keep);
  return keep ? universal->ctx_Dup(universal, wrapped) : wrapped;
}

void State::Drop(void* data, Slot& slot) {
  State& state = *static_cast<State*>(data);
  if (slot.has_buffer) {
    if (state.buffers.has_heap() && state.buffers.IsOnHeap(state.table.index_of(slot))) {
      auto damage = FindDamage(state, slot, FoundAt::kReuse, stacktrace::kNoStack);
      if (damage.has_value()) ReportLater(state, std::move(*damage));
    }
    state.buffers.Drop(state.table.index_of(slot));
  }
  if (slot.kept) {
    slot.kept = 0;  // first, for ReleaseKept() in what runs now
    state.universal->ctx_Close(state.universal, slot.wrapped());
  }
}

void State::CloseArgument(Slot* slot) {
  if (!slot->is_open()) return;
  if (keep_closed_) universal->ctx_Dup(universal, slot->wrapped());
  CloseSlot(slot, stacktrace::kNoStack, Ending::kClosed, keep_closed_);
}

void State::CloseSlot(Slot* slot, StoryId story, Ending ending, bool keep) {
  if (!slot->has_buffer) return table.Close(slot, story, ending, keep);
  if (buffers.has_heap() && buffers.IsOnHeap(table.index_of(*slot))) [[unlikely]] {
    auto damage = FindDamage(*this, *slot, FoundAt::kClose, story);
    RevokeAndClose(slot, story, ending, keep);
    // Last: it may run Python code.
    if (damage.has_value()) ReportDamage(*this, std::move(*damage));
  } else {
    RevokeAndClose(slot, story, ending, keep);
  }
}

void State::RevokeAndClose(Slot* slot, StoryId story, Ending ending, bool keep) {
  const bool argument = slot->is_argument();
  const bool by_return = argument || ending == Ending::kReturned;
  // The arguments of a call are closed one after the other, and revoked together: trampoline.cc.
  slot->has_buffer = buffers.Revoke(table.index_of(*slot), {story, by_return, table.next_order()},
                                    settings.closed_buffers, /*later=*/argument);
  table.Close(slot, story, ending, keep);
}

int64_t State::NewGeneration() {
  ForEachCallInProgress([this](Call& call) { call.log.Seal(table); });
  AskForAttention();
  root_.call.log.Clear();
  builders.NewGeneration();
  trackers.NewGeneration();
  return table.NewGeneration();
}

void State::AskForAttention() {
  ForEachCallInProgress([](Call& call) {
    // Others asked when they left: threads without the lock write it.
    if (!call.leave.active) call.attention = true;
  });
}

void State::QueueArguments() {
  if (arguments_queued_) return;
  arguments_queued_ = true;
  AskForAttention();
  std::vector<Slot*> runs;
  free_.ForEach([&](DebugContext* context) {
    if (context->call.arguments != nullptr) {
      runs.push_back(std::exchange(context->call.arguments, nullptr));
    }
  });
  table.QueueRuns(runs, kArgumentRun);
}

void State::SetStackDepth(int depth) {
  settings.stack_depth = depth;
  UpdateMemoDepth();
}

void State::KeepClosed(bool keep) {
  keep_closed_ = beginning_.attention = keep;
  if (keep) AskForAttention();
  UpdateMemoDepth();
}

void State::UpdateMemoDepth() {
  memo_depth_ = keep_closed_ ? 0 : stacktrace::PackLimits(0, settings.stack_depth);
  ForEachCallInProgress([this](Call& call) {
    // Others do when they re-enter: threads without the lock read it.
    if (!call.leave.active) BeginCaptures(call, call.stop_sp());
  });
  BeginCaptures(root_.call, 0);
}

void State::ReleaseKept() {
  KeepClosed(false);
  table.ForEachKept([this](Slot& slot) {
    const HPy wrapped = slot.wrapped();
    slot.kept = 0;
    slot.object = 0;
    universal->ctx_Close(universal, wrapped);
  });
}

const char* State::GiveBuffer(Slot* slot, const char* data, size_t size, const char* api,
                              Call& call, const stacktrace::CallSite& site) {
  const uint32_t index = table.index_of(*slot);
  if (slot->has_buffer) return buffers.Find(index);
  const handles::BufferStory story{.handle = static_cast<uint64_t>(table.HandleOf(*slot)._i),
                                   .order = slot->order,
                                   .given = table.next_order(),
                                   .api = api,
                                   .opened = Capture(call, site),
                                   .function = call.function};
  const char* copy = buffers.Give(index, data, size, story);
  if (copy == nullptr) {
    universal->ctx_Err_NoMemory(universal);
    return nullptr;
  }
  slot->has_buffer = 1;
  if (buffers.guard() != handles::Guard::kHeap) faults.Watch(buffers.armings());
  if (call.in_progress && buffers.has_heap() && buffers.IsOnHeap(index)) {
    call.heap_buffers.Push(table.HandleOf(*slot), table);
    call.attention = true;
  }
  return copy;
}

void State::SetClosedBuffers(size_t bytes) {
  settings.closed_buffers = bytes;
  buffers.set_closed_max(bytes);
}

ptrdiff_t State::RawDataSize(const Slot& slot) const {
  return slot.has_buffer ? buffers.SizeOf(table.index_of(slot)) : -1;
}

void State::SetPolicy(Policy policy) {
  const std::lock_guard lock(OutsideMutex());
  settings.policy = policy;
  outside.reported.clear();
}

void State::SetReportPath(const std::string& path) {
  long_lived.Flush(*this);
  auto file = path.empty() ? nullptr : std::make_shared<leakdetector::ReportFile>(path);
  const std::lock_guard lock(OutsideMutex());
  report_file = std::move(file);
  outside.reported.clear();
}

}  // namespace hpy::debug_ctx
