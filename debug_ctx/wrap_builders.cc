// Wrappers of list and tuple builders: records of our own, which know what was set and where the
// builder was made and ended.
#include <memory>
#include <new>
#include <string>

#include "debug_ctx/api_call.h"
#include "debug_ctx/records.h"
#include "debug_ctx/story.h"
#include "debug_ctx/wrapper.h"

namespace hpy::debug_ctx {

using handles::Ending;
using handles::HandleTable;
using handles::Slot;
using leakdetector::Kind;
using leakdetector::Violation;

namespace {

// Both kinds are structs with one integer, handled as HPy here.
HPy Bits(HPyListBuilder builder) { return HPy{builder._lst}; }
HPy Bits(HPyTupleBuilder builder) { return HPy{builder._tup}; }

template <typename New, typename Set, typename Build, typename Cancel>
struct Slots {
  using NewSlot = New;
  using SetSlot = Set;
  using BuildSlot = Build;
  using CancelSlot = Cancel;
};
template <typename Builder>
struct SlotsOf;
template <>
struct SlotsOf<HPyListBuilder>
    : Slots<table::Slot_ctx_ListBuilder_New, table::Slot_ctx_ListBuilder_Set,
            table::Slot_ctx_ListBuilder_Build, table::Slot_ctx_ListBuilder_Cancel> {};
template <>
struct SlotsOf<HPyTupleBuilder>
    : Slots<table::Slot_ctx_TupleBuilder_New, table::Slot_ctx_TupleBuilder_Set,
            table::Slot_ctx_TupleBuilder_Build, table::Slot_ctx_TupleBuilder_Cancel> {};

// The record of an open builder. Null for the null builder and, with ok() false unless an older hook
// let it pass, for one that is not open.
BuilderRecord* Find(ApiCall& api, HPy builder) {
  HandleTable& table = api.state().builders;
  if (Slot* slot = table.Resolve(builder)) return BuilderRecord::Of(*slot);
  if (!HPy_IsNull(builder)) api.RefuseBuilder(table, builder, 1);
  return nullptr;
}

// Ends the builder, whose record belongs to the caller then.
std::unique_ptr<BuilderRecord> Take(ApiCall& api, HPy builder) {
  HandleTable& table = api.state().builders;
  Slot* const slot = table.Resolve(builder);
  std::unique_ptr<BuilderRecord> record(BuilderRecord::Of(*slot));
  table.Close(slot, api.Capture(), Ending::kClosed);
  return record;
}

Violation BeginRefusal(ApiCall& api, Kind kind, HPy builder, const std::string& what) {
  Violation violation = Begin(api.place(), kind, std::string(api.info().api) + what);
  TellStory(api.place(), api.state().builders, builder, &violation);
  return violation;
}

std::string Counted(HPy_ssize_t items) {
  return std::to_string(items) + (items == 1 ? " item" : " items");
}

void RefuseIndex(ApiCall& api, HPy builder, const BuilderRecord& record, HPy_ssize_t index) {
  Violation violation = BeginRefusal(api, Kind::kBuilderIndex, builder,
                                     " was given the index " + std::to_string(index) +
                                         ", but the builder was made for " + Counted(record.size));
  violation.argument = 2;
  api.Refuse(std::move(violation));
}

// A null item is what a failed call gives, and no mistake while its exception is pending: Build hands
// that on. Nor is what a refused Set left out told twice.
void RefuseUnfilled(ApiCall& api, HPy builder, BuilderRecord& record) {
  HPyContext* const universal = api.universal();
  if (record.refused || universal->ctx_Err_Occurred(universal)) return;
  Violation violation =
      BeginRefusal(api, Kind::kBuilderUnfilled, builder,
                   " was called, but item " + std::to_string(record.FirstUnset()) +
                       " of the builder for " + Counted(record.size) + " was never set");
  violation.argument = 1;
  api.Refuse(std::move(violation));
}

template <typename Builder>
Builder NewBuilder(HPyContext* ctx, HPy_ssize_t size, const stacktrace::CallSite& site) {
  using S = typename SlotsOf<Builder>::NewSlot;
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  const Builder made = (universal->*S::kMember)(universal, size);
  if (HPy_IsNull(Bits(made))) return Builder{0};
  HPy handle = HPy_NULL;
  try {
    constexpr bool kIsTuple = std::is_same_v<Builder, HPyTupleBuilder>;
    auto record = std::make_unique<BuilderRecord>(Bits(made), size, kIsTuple);
    handle = api.state().OpenRecord(api.state().builders, record.get(), api.call(), site);
    if (!HPy_IsNull(handle)) static_cast<void>(record.release());  // the slot owns it now
  } catch (const std::bad_alloc&) {  // the null builder: Build raises MemoryError
  }
  if (HPy_IsNull(handle)) {
    (universal->*SlotsOf<Builder>::CancelSlot::kMember)(universal, made);
  }
  return Builder{handle._i};
}

template <typename Builder>
void SetItem(HPyContext* ctx, Builder builder, HPy_ssize_t index, HPy item,
             const stacktrace::CallSite& site) {
  using S = typename SlotsOf<Builder>::SetSlot;
  ApiCall api(ctx, S::kInfo, site);
  BuilderRecord* const record = Find(api, Bits(builder));
  const HPy item_u = api.Unwrap(item, 3);
  if (record == nullptr) return;
  if (api.ok()) {
    if (index >= 0 && index < record->size) [[likely]] {
      record->SetItem(index, !HPy_IsNull(item_u));
      HPyContext* const universal = api.universal();
      (universal->*S::kMember)(universal, Builder{record->builder._i}, index, item_u);
      return;
    }
    RefuseIndex(api, Bits(builder), *record, index);
  }
  record->refused = true;
}

template <typename Builder>
HPy Build(HPyContext* ctx, Builder builder, const stacktrace::CallSite& site) {
  using S = typename SlotsOf<Builder>::BuildSlot;
  ApiCall api(ctx, S::kInfo, site);
  HPyContext* const universal = api.universal();
  BuilderRecord* const found = Find(api, Bits(builder));
  if (!api.ok()) return Refuse<S>();
  if (found == nullptr) return (universal->*S::kMember)(universal, Builder{0});  // raises
  if (!found->IsFull()) [[unlikely]] {
    RefuseUnfilled(api, Bits(builder), *found);
  }
  const auto record = Take(api, Bits(builder));
  const Builder wrapped{record->builder._i};
  if (!api.ok()) {
    // Build ends the builder, also when it fails.
    (universal->*SlotsOf<Builder>::CancelSlot::kMember)(universal, wrapped);
    return Refuse<S>();
  }
  return api.Wrap((universal->*S::kMember)(universal, wrapped));
}

template <typename Builder>
void Cancel(HPyContext* ctx, Builder builder, const stacktrace::CallSite& site) {
  using S = typename SlotsOf<Builder>::CancelSlot;
  ApiCall api(ctx, S::kInfo, site);
  if (Find(api, Bits(builder)) == nullptr || !api.ok()) return;
  const auto record = Take(api, Bits(builder));
  HPyContext* const universal = api.universal();
  (universal->*S::kMember)(universal, Builder{record->builder._i});
}

}  // namespace

// The wrappers of one kind. Frames of their own: the call site is where the extension called them.
#define HPY_BUILDER(Kind, Builder)                                                                \
  Builder Wrapper<table::Slot_ctx_##Kind##Builder_New>::Call(HPyContext* ctx, HPy_ssize_t size) { \
    const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();                                 \
    return NewBuilder<Builder>(ctx, size, site);                                                  \
  }                                                                                               \
  void Wrapper<table::Slot_ctx_##Kind##Builder_Set>::Call(HPyContext* ctx, Builder b,             \
                                                          HPy_ssize_t index, HPy item) {          \
    const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();                                 \
    SetItem(ctx, b, index, item, site);                                                           \
  }                                                                                               \
  HPy Wrapper<table::Slot_ctx_##Kind##Builder_Build>::Call(HPyContext* ctx, Builder b) {          \
    const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();                                 \
    return Build(ctx, b, site);                                                                   \
  }                                                                                               \
  void Wrapper<table::Slot_ctx_##Kind##Builder_Cancel>::Call(HPyContext* ctx, Builder b) {        \
    const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();                                 \
    Cancel(ctx, b, site);                                                                         \
  }

HPY_BUILDER(List, HPyListBuilder)
HPY_BUILDER(Tuple, HPyTupleBuilder)

}  // namespace hpy::debug_ctx
