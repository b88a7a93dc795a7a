// Notes about handles that a call into an extension leaves open.
#include "debug_ctx/long_lived.h"

#include <utility>

#include "debug_ctx/leaks.h"
#include "debug_ctx/state.h"
#include "debug_ctx/story.h"
#include "leakdetector/json.h"

namespace hpy::debug_ctx {

using handles::Slot;
using leakdetector::Kind;

void LongLived::Note(State& state, const std::vector<Slot*>& left) {
  if (state.report_file == nullptr) return;
  struct New {
    uint64_t key;
    HPy first;
    uint64_t order;
    uint64_t count;
  };
  std::vector<New> news;  // of this call; describing them runs code, which may call us again
  for (const Slot* slot : left) {
    const uint64_t key = uint64_t{slot->opened} << 32 | slot->function;
    const auto [site, is_new] = sites_.try_emplace(key);
    if (is_new) {
      news.push_back({key, state.table.HandleOf(*slot), OrderOf(state, state.table, *slot), 1});
    } else if (!news.empty() && news.back().key == key) {
      news.back().count++;
    } else {
      site->second.untold++;
    }
  }
  for (const New& found : news) {
    leakdetector::Violation note =
        DescribeOpen(state, Kind::kLongLivedHandle, static_cast<StoryId>(found.key >> 32),
                     static_cast<uint32_t>(found.key), found.first, found.order, found.count, "");
    if (state.report_file != nullptr) state.report_file->Append(leakdetector::ToJson(note));
    sites_[found.key].violation = std::move(note);
  }
}

void LongLived::Flush(State& state) {
  for (auto& [key, site] : sites_) {
    if (site.untold == 0) continue;
    site.violation.count = std::exchange(site.untold, 0);
    if (state.report_file != nullptr)
      state.report_file->Append(leakdetector::ToJson(site.violation));
  }
}

}  // namespace hpy::debug_ctx
