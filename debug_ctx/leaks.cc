// Finding and folding what is open.
#include "debug_ctx/leaks.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "debug_ctx/records.h"
#include "debug_ctx/story.h"
#include "leakdetector/report.h"

namespace hpy::debug_ctx {

using handles::HandleTable;
using handles::Slot;
using leakdetector::Kind;
using leakdetector::Violation;

namespace {

// How many there are of something, and the oldest of them.
struct Tally {
  uint64_t count = 0;
  uint64_t held = 0;  // handles that trackers hold
  HPy first = HPy_NULL;
  uint64_t first_order = ~uint64_t{0};

  void Add(HPy handle, uint64_t order, uint64_t holds) {
    count++;
    held += holds;
    if (order < first_order) {
      first_order = order;
      first = handle;
    }
  }
};

uint64_t KeyOf(const Slot& slot) { return uint64_t{slot.opened} << 32 | slot.function; }

// Those with one story, opened by one function.
struct Group {
  uint64_t key;
  Tally all, fresh;
  std::vector<Slot*> listed;
};

bool Older(const Slot* a, const Slot* b) { return a->order < b->order; }

class Groups {
 public:
  Groups(const HandleTable& table, size_t listed) : table_(table), listed_(listed) {}

  void Add(Slot& slot, uint64_t holds = 0) {
    const uint64_t key = KeyOf(slot);
    if (groups_.empty() || groups_[last_].key != key) {
      const auto [place, is_new] = places_.try_emplace(key, groups_.size());
      if (is_new) groups_.push_back({key, {}, {}, {}});
      last_ = place->second;
    }
    Group& group = groups_[last_];
    const HPy handle = table_.HandleOf(slot);
    group.all.Add(handle, slot.order, holds);
    if ((slot.closed & handles::kReported) == 0) group.fresh.Add(handle, slot.order, holds);
    List(&group.listed, &slot);
  }

  // Oldest first; ends the use of it.
  std::vector<Group> Take() {
    for (Group& group : groups_) std::sort(group.listed.begin(), group.listed.end(), Older);
    std::sort(groups_.begin(), groups_.end(),
              [](const Group& a, const Group& b) { return a.all.first_order < b.all.first_order; });
    return std::move(groups_);
  }

 private:
  // The oldest ones, as many as are wanted; the oldest of all in front when they are limited.
  void List(std::vector<Slot*>* listed, Slot* slot) const {
    if (listed->size() < listed_) {
      listed->push_back(slot);
      if (listed->size() == listed_) std::sort(listed->begin(), listed->end(), Older);
    } else if (listed_ != 0 && Older(slot, listed->back())) {
      listed->pop_back();
      listed->insert(std::upper_bound(listed->begin(), listed->end(), slot, Older), slot);
    }
  }

  const HandleTable& table_;
  const size_t listed_;
  std::vector<Group> groups_;
  absl::flat_hash_map<uint64_t, size_t> places_;
  size_t last_ = 0;
};

// What was opened in the generations that are looked at, and before this was made.
class Window {
 public:
  Window(const HandleTable& table, const LeakOptions& options)
      : table_(table),
        generation_(options.generation),
        end_(options.until ? table.FirstOrder(*options.until) : table.next_order()) {}

  template <typename F>
  void ForEachOpen(F f) const {
    table_.ForEachOpen(generation_, [&](Slot& slot) {
      if (slot.order < end_) f(slot);
    });
  }

 private:
  const HandleTable& table_;
  const int64_t generation_;
  const uint64_t end_;
};

// Which slots of handles open trackers of this generation hold.
std::vector<bool> HeldSlots(State& state, int64_t generation) {
  std::vector<bool> held;
  state.trackers.ForEachOpen(generation, [&](Slot& tracker) {
    for (HPy handle : TrackerRecord::Of(tracker)->handles) {
      const Slot* slot = state.table.Resolve(handle);
      if (slot == nullptr) continue;
      const uint32_t index = state.table.index_of(*slot);
      if (index >= held.size()) held.resize(std::max<size_t>(index + 1, held.size() * 2));
      held[index] = true;
    }
  });
  return held;
}

// Leaves out what `ignore` says. It may run any code, so what it is asked about may be closed by
// then. False when it gave up.
bool Ask(State& state, std::vector<HPy>& handles, const std::function<int(Slot*)>& ignore) {
  std::sort(handles.begin(), handles.end(),
            [&](HPy a, HPy b) { return Older(state.table.Resolve(a), state.table.Resolve(b)); });
  bool gave_up = false;
  std::erase_if(handles, [&](HPy handle) {
    Slot* slot = state.table.Resolve(handle);
    const int answer = slot == nullptr || gave_up ? 1 : ignore(slot);
    gave_up = gave_up || answer < 0;
    return answer != 0;
  });
  std::erase_if(handles, [&](HPy handle) { return state.table.Resolve(handle) == nullptr; });
  return !gave_up;
}

std::string Plural(uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string DescribeBuilder(const State& state, const Tally& tally) {
  const Slot* slot = state.builders.Resolve(tally.first);
  if (slot == nullptr) return {};  // ended meanwhile, by code of an object that was described
  const BuilderRecord& record = *BuilderRecord::Of(*slot);
  return std::string("a ") + (record.is_tuple ? "tuple" : "list") + " builder for " +
         Plural(static_cast<uint64_t>(record.size), "item") + " was neither built nor cancelled";
}

std::string DescribeTracker(const State& state, const Tally& tally) {
  const Slot* slot = state.trackers.Resolve(tally.first);
  if (slot == nullptr) return {};
  const uint64_t holds = TrackerRecord::Of(*slot)->handles.size();
  std::string text = "a tracker that holds " + Plural(holds, "handle") + " was never closed";
  if (tally.count > 1) {
    text += " (all " + std::to_string(tally.count) + " of this place hold " +
            Plural(tally.held, "handle") + ")";
  }
  return text;
}

// Makes violations of groups. Those whose stacks turn out to be equal are folded.
class Leaks {
 public:
  // `total`: groups that will be added.
  Leaks(State& state, const LeakOptions& options, size_t total)
      : state_(state), options_(options), total_(total) {}

  void Add(Kind kind, const HandleTable& table, std::vector<Group> groups, size_t listed,
           std::string (*describe)(const State&, const Tally&) = nullptr) {
    for (Group& group : groups) {
      if (options_.progress) options_.progress(done_++, total_);
      const auto what = [&](const Tally& tally) {
        return describe != nullptr ? describe(state_, tally) : std::string();
      };
      Leak leak = {
          Describe(kind, table, group.key, group.all, what(group.all)), {}, {}, {group.key}};
      if (kind != Kind::kLongLivedHandle && group.fresh.count == group.all.count) {
        leak.fresh = leak.violation;
      } else if (kind != Kind::kLongLivedHandle && group.fresh.count != 0) {
        leak.fresh = Describe(kind, table, group.key, group.fresh, what(group.fresh));
      }
      if (kind == Kind::kHandleLeak) leak.handles = std::move(group.listed);
      Fold(std::move(leak), listed);
    }
  }

  std::vector<Leak> Take() { return std::move(leaks_); }

 private:
  Violation Describe(Kind kind, const HandleTable& table, uint64_t key, const Tally& tally,
                     const std::string& what) {
    const uint64_t order = OrderFromFirst(state_, table, tally.first_order);
    return DescribeOpen(state_, kind, static_cast<StoryId>(key >> 32), static_cast<uint32_t>(key),
                        tally.first, order, tally.count, what);
  }

  void Fold(Leak leak, size_t listed) {
    const auto [place, is_new] =
        places_.try_emplace(leakdetector::FoldKey(leak.violation), leaks_.size());
    if (is_new) {
      leaks_.push_back(std::move(leak));
      return;
    }
    Leak& other = leaks_[place->second];
    other.violation.count += leak.violation.count;
    if (!other.fresh) {
      other.fresh = std::move(leak.fresh);
    } else if (leak.fresh) {
      other.fresh->count += leak.fresh->count;
    }
    other.groups.insert(other.groups.end(), leak.groups.begin(), leak.groups.end());
    other.handles.insert(other.handles.end(), leak.handles.begin(), leak.handles.end());
    std::sort(other.handles.begin(), other.handles.end(), Older);
    if (other.handles.size() > listed) other.handles.resize(listed);
  }

  State& state_;
  const LeakOptions& options_;
  const size_t total_;
  size_t done_ = 0;
  std::vector<Leak> leaks_;
  absl::flat_hash_map<std::string, size_t> places_;
};

}  // namespace

Violation DescribeOpen(State& state, Kind kind, StoryId opened, uint32_t function, HPy first,
                       uint64_t order, uint64_t count, std::string_view what) {
  Violation violation;
  violation.kind = kind;
  violation.message = leakdetector::ComposeMessage(kind, what);
  NameFunction(state, function, &violation);
  violation.count = count;
  leakdetector::HandleInfo info = {static_cast<uint64_t>(first._i), order, {}, {}};
  if (kind == Kind::kHandleLeak || kind == Kind::kLongLivedHandle) {
    if (const Slot* slot = state.table.Resolve(first)) {
      const HPy wrapped = slot->wrapped();
      info.type = state.host.TypeName(wrapped);
      info.repr = state.host.Repr(wrapped);
    }
  }
  violation.handle = std::move(info);
  violation.opened = Filtered(state, state.stories.Native(opened));
  violation.opened->python = state.stories.Python(opened);
  return violation;
}

std::vector<Leak> FindLeaks(State& state, const LeakOptions& options) {
  const int64_t generation = options.generation;
  const size_t later = options.until ? state.table.CountOpen(*options.until) : 0;
  const size_t open = std::max(state.table.CountOpen(generation), later) - later;
  if (open == 0 && state.builders.CountOpen(generation) == 0 &&
      state.trackers.CountOpen(generation) == 0) {
    return {};
  }
  // What is opened while this runs, by code of objects and of `ignore`, is none of its concern.
  const Window handles_window(state.table, options);
  const Window builders_window(state.builders, options);
  const Window trackers_window(state.trackers, options);
  const size_t listed = open <= kAllListed ? kAllListed : kListed;
  Groups handles(state.table, listed);
  Groups long_lived(state.table, 0);
  const std::vector<bool> held = HeldSlots(state, generation);
  std::vector<HPy> asked;
  const auto is_leak = [&](const Slot& slot) {
    const uint32_t index = state.table.index_of(slot);
    return slot.is_owned() && (index >= held.size() || !held[index]);
  };
  handles_window.ForEachOpen([&](Slot& slot) {
    if (!slot.is_owned()) return;
    state.guards.CheckLive(slot.wrapped());
    if (options.long_lived && (slot.closed & handles::kOutlived) != 0) long_lived.Add(slot);
    if (!is_leak(slot)) return;
    if (options.ignore) {
      asked.push_back(state.table.HandleOf(slot));
    } else {
      handles.Add(slot);
    }
  });
  if (options.ignore) {
    if (!Ask(state, asked, options.ignore)) return {};
    for (HPy handle : asked) handles.Add(*state.table.Resolve(handle));
  }
  Groups builders(state.builders, 0);
  builders_window.ForEachOpen([&](Slot& slot) { builders.Add(slot); });
  Groups trackers(state.trackers, 0);
  trackers_window.ForEachOpen(
      [&](Slot& slot) { trackers.Add(slot, TrackerRecord::Of(slot)->handles.size()); });

  std::vector<Group> of_handles = handles.Take(), of_builders = builders.Take();
  std::vector<Group> of_trackers = trackers.Take(), of_long_lived = long_lived.Take();
  Leaks all(state, options,
            of_handles.size() + of_builders.size() + of_trackers.size() + of_long_lived.size());
  all.Add(Kind::kHandleLeak, state.table, std::move(of_handles), listed);
  all.Add(Kind::kBuilderLeak, state.builders, std::move(of_builders), 0, DescribeBuilder);
  all.Add(Kind::kTrackerLeak, state.trackers, std::move(of_trackers), 0, DescribeTracker);
  all.Add(Kind::kLongLivedHandle, state.table, std::move(of_long_lived), 0);
  std::vector<Leak> leaks = all.Take();
  if (!options.report) return leaks;

  absl::flat_hash_map<Kind, absl::flat_hash_set<uint64_t>> told;
  for (const Leak& leak : leaks) {
    if (options.report(leak.violation)) {
      told[leak.violation.kind].insert(leak.groups.begin(), leak.groups.end());
    }
  }
  const auto mark = [&](Slot& slot, Kind kind) {
    if (told[kind].contains(KeyOf(slot))) slot.closed |= handles::kReported;
  };
  if (options.ignore) {
    for (HPy handle : asked) {
      if (Slot* slot = state.table.Resolve(handle)) mark(*slot, Kind::kHandleLeak);
    }
  } else {
    handles_window.ForEachOpen([&](Slot& slot) {
      if (is_leak(slot)) mark(slot, Kind::kHandleLeak);
    });
  }
  builders_window.ForEachOpen([&](Slot& slot) { mark(slot, Kind::kBuilderLeak); });
  trackers_window.ForEachOpen([&](Slot& slot) { mark(slot, Kind::kTrackerLeak); });
  return leaks;
}

}  // namespace hpy::debug_ctx
