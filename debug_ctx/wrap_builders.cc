// Wrappers of builders and trackers: records of their own, that know where they were opened and closed.
#include <memory>
#include <vector>

#include "debug_ctx/api_call.h"
#include "debug_ctx/wrapper.h"

namespace hpy::debug_ctx {

using handles::Ending;
using handles::HandleTable;
using handles::Slot;

namespace {

// The three kinds are structs with one integer each, all of them handled as HPy here.
HPy Bits(HPyListBuilder builder) { return HPy{builder._lst}; }
HPy Bits(HPyTupleBuilder builder) { return HPy{builder._tup}; }
HPy Bits(HPyTracker tracker) { return HPy{tracker._i}; }

// A record for what the universal context made; null stays null.
HPy OpenRecord(ApiCall& api, HandleTable& table, HPy wrapped) {
  if (HPy_IsNull(wrapped)) return HPy_NULL;
  return table.Open(wrapped, api.Capture(), api.call().function);
}

// What the record of an open builder wraps. Null for the null builder and, with ok() false unless an
// older hook let it pass, for one that is not open.
HPy UnwrapBuilder(ApiCall& api, HPy builder) {
  HandleTable& table = api.state().builders;
  if (Slot* slot = table.Resolve(builder)) return slot->wrapped();
  if (!HPy_IsNull(builder)) api.RefuseBuilder(table, builder, 1);
  return HPy_NULL;
}

void CloseRecord(ApiCall& api, HandleTable& table, HPy handle) {
  if (Slot* slot = table.Resolve(handle)) table.Close(slot, api.Capture(), Ending::kClosed);
}

template <typename S, typename Builder>
Builder NewBuilder(HPyContext* ctx, HPy_ssize_t size, const stacktrace::CallSite& site) {
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  const Builder made = (universal->*S::kMember)(universal, size);
  const HPy record = OpenRecord(api, api.state().builders, Bits(made));
  return Builder{record._i};
}

template <typename S, typename Builder>
void SetItem(HPyContext* ctx, Builder builder, HPy_ssize_t index, HPy item,
             const stacktrace::CallSite& site) {
  ApiCall api(ctx, S::kInfo, site);
  const HPy builder_u = UnwrapBuilder(api, Bits(builder));
  const HPy item_u = api.Unwrap(item, 3);
  if (!api.ok()) return;
  HPyContext* const universal = api.universal();
  (universal->*S::kMember)(universal, Builder{builder_u._i}, index, item_u);
}

template <typename S, typename Builder>
HPy Build(HPyContext* ctx, Builder builder, const stacktrace::CallSite& site) {
  ApiCall api(ctx, S::kInfo, site);
  const HPy builder_u = UnwrapBuilder(api, Bits(builder));
  if (!api.ok()) return Refuse<S>();
  CloseRecord(api, api.state().builders, Bits(builder));
  HPyContext* const universal = api.universal();
  return api.Wrap((universal->*S::kMember)(universal, Builder{builder_u._i}));
}

template <typename S, typename Builder>
void Cancel(HPyContext* ctx, Builder builder, const stacktrace::CallSite& site) {
  ApiCall api(ctx, S::kInfo, site);
  const HPy builder_u = UnwrapBuilder(api, Bits(builder));
  if (!api.ok()) return;
  CloseRecord(api, api.state().builders, Bits(builder));
  HPyContext* const universal = api.universal();
  (universal->*S::kMember)(universal, Builder{builder_u._i});
}

// A tracker holds debug handles, so it is ours alone: the universal context never sees one.
using Tracked = std::vector<HPy>;

Tracked* UnwrapTracker(ApiCall& api, HPyTracker tracker) {
  HandleTable& table = api.state().trackers;
  if (Slot* slot = table.Resolve(Bits(tracker))) {
    return reinterpret_cast<Tracked*>(slot->wrapped()._i);
  }
  if (!HPy_IsNull(tracker)) api.RefuseTracker(table, Bits(tracker), 1);
  return nullptr;
}

}  // namespace

HPyListBuilder Wrapper<table::Slot_ctx_ListBuilder_New>::Call(HPyContext* ctx, HPy_ssize_t size) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  return NewBuilder<table::Slot_ctx_ListBuilder_New, HPyListBuilder>(ctx, size, site);
}

void Wrapper<table::Slot_ctx_ListBuilder_Set>::Call(HPyContext* ctx, HPyListBuilder builder,
                                                    HPy_ssize_t index, HPy item) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  SetItem<table::Slot_ctx_ListBuilder_Set>(ctx, builder, index, item, site);
}

HPy Wrapper<table::Slot_ctx_ListBuilder_Build>::Call(HPyContext* ctx, HPyListBuilder builder) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  return Build<table::Slot_ctx_ListBuilder_Build>(ctx, builder, site);
}

void Wrapper<table::Slot_ctx_ListBuilder_Cancel>::Call(HPyContext* ctx, HPyListBuilder builder) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  Cancel<table::Slot_ctx_ListBuilder_Cancel>(ctx, builder, site);
}

HPyTupleBuilder Wrapper<table::Slot_ctx_TupleBuilder_New>::Call(HPyContext* ctx, HPy_ssize_t size) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  return NewBuilder<table::Slot_ctx_TupleBuilder_New, HPyTupleBuilder>(ctx, size, site);
}

void Wrapper<table::Slot_ctx_TupleBuilder_Set>::Call(HPyContext* ctx, HPyTupleBuilder builder,
                                                     HPy_ssize_t index, HPy item) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  SetItem<table::Slot_ctx_TupleBuilder_Set>(ctx, builder, index, item, site);
}

HPy Wrapper<table::Slot_ctx_TupleBuilder_Build>::Call(HPyContext* ctx, HPyTupleBuilder builder) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  return Build<table::Slot_ctx_TupleBuilder_Build>(ctx, builder, site);
}

void Wrapper<table::Slot_ctx_TupleBuilder_Cancel>::Call(HPyContext* ctx, HPyTupleBuilder builder) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  Cancel<table::Slot_ctx_TupleBuilder_Cancel>(ctx, builder, site);
}

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
  auto tracked = std::make_unique<Tracked>();
  const HPy record =
      OpenRecord(api, api.state().trackers, HPy{reinterpret_cast<intptr_t>(tracked.get())});
  if (HPy_IsNull(record)) {
    universal->ctx_Err_NoMemory(universal);
    return HPyTracker{0};
  }
  static_cast<void>(tracked.release());  // the record owns it now
  return HPyTracker{record._i};
}

int Wrapper<table::Slot_ctx_Tracker_Add>::Call(HPyContext* ctx, HPyTracker tracker, HPy handle) {
  using S = table::Slot_ctx_Tracker_Add;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  Tracked* const tracked = UnwrapTracker(api, tracker);
  static_cast<void>(api.Unwrap(handle, 2));
  if (!api.ok()) return Refuse<S>();
  if (tracked == nullptr) {  // null: an exception there
    HPyContext* const universal = api.universal();
    return (universal->*S::kMember)(universal, HPyTracker{0}, HPy_NULL);
  }
  tracked->push_back(handle);
  return 0;
}

void Wrapper<table::Slot_ctx_Tracker_ForgetAll>::Call(HPyContext* ctx, HPyTracker tracker) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, table::Slot_ctx_Tracker_ForgetAll::kInfo, site);
  if (Tracked* tracked = UnwrapTracker(api, tracker)) tracked->clear();
}

void Wrapper<table::Slot_ctx_Tracker_Close>::Call(HPyContext* ctx, HPyTracker tracker) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, table::Slot_ctx_Tracker_Close::kInfo, site);
  const std::unique_ptr<Tracked> tracked(UnwrapTracker(api, tracker));
  if (tracked == nullptr) return;
  CloseRecord(api, api.state().trackers, Bits(tracker));
  for (HPy handle : *tracked) api.Close(handle);
}

}  // namespace hpy::debug_ctx
