// Wrappers of trackers: records of our own, which hold debug handles.
#include <memory>

#include "debug_ctx/api_call.h"
#include "debug_ctx/records.h"
#include "debug_ctx/wrapper.h"

namespace hpy::debug_ctx {

using handles::Ending;
using handles::HandleTable;
using handles::Slot;

namespace {

HPy Bits(HPyTracker tracker) { return HPy{tracker._i}; }

TrackerRecord* Find(ApiCall& api, HPyTracker tracker) {
  HandleTable& table = api.state().trackers;
  if (Slot* slot = table.Resolve(Bits(tracker))) return TrackerRecord::Of(*slot);
  if (!HPy_IsNull(tracker)) api.RefuseTracker(table, Bits(tracker), 1);
  return nullptr;
}

}  // namespace

HPyTracker Wrapper<table::Slot_ctx_Tracker_New>::Call(HPyContext* ctx, HPy_ssize_t size) {
  using S = table::Slot_ctx_Tracker_New;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  // Which sizes are refused, and how, is the universal context's business.
  HPyContext* const universal = api.universal();
  const HPyTracker possible = (universal->*S::kMember)(universal, size);
  if (HPy_IsNull(possible)) return Refuse<S>();
  universal->ctx_Tracker_Close(universal, possible);
  auto record = std::make_unique<TrackerRecord>();
  const HPy handle = api.state().OpenRecord(api.state().trackers, record.get(), api.call(), site);
  if (HPy_IsNull(handle)) {
    universal->ctx_Err_NoMemory(universal);
    return HPyTracker{0};
  }
  static_cast<void>(record.release());  // the slot owns it now
  return HPyTracker{handle._i};
}

int Wrapper<table::Slot_ctx_Tracker_Add>::Call(HPyContext* ctx, HPyTracker tracker, HPy handle) {
  using S = table::Slot_ctx_Tracker_Add;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  TrackerRecord* const record = Find(api, tracker);
  static_cast<void>(api.Unwrap(handle, 2));
  if (!api.ok()) return Refuse<S>();
  if (record == nullptr) {  // null: an exception there
    HPyContext* const universal = api.universal();
    return (universal->*S::kMember)(universal, HPyTracker{0}, HPy_NULL);
  }
  record->handles.push_back(handle);
  return 0;
}

void Wrapper<table::Slot_ctx_Tracker_ForgetAll>::Call(HPyContext* ctx, HPyTracker tracker) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, table::Slot_ctx_Tracker_ForgetAll::kInfo, site);
  TrackerRecord* const record = api.ok() ? Find(api, tracker) : nullptr;
  if (record != nullptr) record->handles.clear();
}

void Wrapper<table::Slot_ctx_Tracker_Close>::Call(HPyContext* ctx, HPyTracker tracker) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, table::Slot_ctx_Tracker_Close::kInfo, site);
  const std::unique_ptr<TrackerRecord> record(api.ok() ? Find(api, tracker) : nullptr);
  if (record == nullptr) return;
  HandleTable& table = api.state().trackers;
  table.Close(table.Resolve(Bits(tracker)), api.Capture(), Ending::kClosed);
  for (HPy handle : record->handles) api.Close(handle);
}

}  // namespace hpy::debug_ctx
