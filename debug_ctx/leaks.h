// What extensions opened and have not closed (handles, builders, trackers), folded by stacks.
#ifndef HPY_DEBUG_CTX_LEAKS_H_
#define HPY_DEBUG_CTX_LEAKS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "debug_ctx/state.h"
#include "debug_ctx/stories.h"
#include "leakdetector/violation.h"

namespace hpy::debug_ctx {

// All leaks of one kind with the same stacks, made by the same function.
struct Leak {
  leakdetector::Violation violation;  // `count` says how many; `handle` is the first of them
  // The same for those that no report was made of yet, if there are any.
  std::optional<leakdetector::Violation> fresh;
  // The first handles, oldest first: all of them while there are no more than kAllListed leaks in
  // all, else kListed of each stack. Valid until the extension closes them. Empty for builders and
  // trackers.
  std::vector<handles::Slot*> handles;
  // What it was folded of: the story and the function of each.
  std::vector<uint64_t> groups;
};
inline constexpr size_t kAllListed = 10000;
inline constexpr size_t kListed = 20;

struct LeakOptions {
  int64_t generation = 0;             // what was opened in this generation or later
  std::optional<int64_t> until = {};  // and before this one
  bool long_lived = false;  // also the notes about handles that outlived the call which opened them
  // Asked about each leak that was found: whether its members count as reported from now on. May
  // run any code. Null: none does.
  std::function<bool(const leakdetector::Violation&)> report = {};
  // Asked about each handle, oldest first; 1 leaves it out, 0 does not, -1 ends the search without
  // a result. May run any code.
  std::function<int(handles::Slot*)> ignore = {};
  // Told how many of how many stacks were read, before each: the first time in a library with much
  // debug information it takes long. May run any code. Null: none is told.
  std::function<void(size_t done, size_t total)> progress = {};
};

// Handles, builders, trackers, notes; of each the oldest first. Handles that a leaked tracker holds
// belong to the report about it; constants, and arguments of calls in progress, are no leaks. When
// nothing was opened, nothing is looked at; else it takes time for each open handle, and the texts
// of the stacks once for each stack.
std::vector<Leak> FindLeaks(State& state, const LeakOptions& options);

// The violation that tells of `count` things of one kind with the same story. `first` is the handle
// of one of them, `order` its number, `what` the first half of the message, empty: the kind's
// title. Runs code of the object while it is there.
leakdetector::Violation DescribeOpen(State& state, leakdetector::Kind kind, StoryId opened,
                                     uint32_t function, HPy first, uint64_t order, uint64_t count,
                                     std::string_view what);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_LEAKS_H_
