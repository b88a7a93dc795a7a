// What is known of a mistake when it is found: where it was made, and the story of the handle.
#ifndef HPY_DEBUG_CTX_STORY_H_
#define HPY_DEBUG_CTX_STORY_H_

#include <cstdint>
#include <string_view>

#include "debug_ctx/call.h"
#include "debug_ctx/slots.h"
#include "debug_ctx/state.h"
#include "leakdetector/violation.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

// What the reports of one mistake have in common: where it is made.
struct Place {
  State& state;
  const Call& call;
  const SlotInfo* info;              // null: the return from the function
  const stacktrace::CallSite* site;  // null where `info` is
};

// A violation with its message, `api`, `module`, `function` and `at`.
leakdetector::Violation Begin(const Place& place, leakdetector::Kind kind, std::string_view what);

// What is known of a handle, and its `opened` and `closed` stacks. `table` is the one that it is of.
void TellStory(const Place& place, const handles::HandleTable& table, HPy handle,
               leakdetector::Violation* violation);

// The parts. Stacks are without the frames that reports leave out.
leakdetector::Stack Filtered(State& state, stacktrace::StackId native);
leakdetector::Stack FunctionStack(State& state, uint32_t function);  // the function's entry alone
leakdetector::Stack AtStack(const Place& place);
leakdetector::Stack OpenedStack(State& state, const handles::Slot& slot);
void NameFunction(const State& state, uint32_t number, leakdetector::Violation* violation);
// The how manieth of its table this one is, counted from 1 as an author counts.
uint64_t OrderOf(const State& state, const handles::HandleTable& table, const handles::Slot& slot);
uint64_t OrderFromFirst(const State& state, const handles::HandleTable& table, uint64_t order);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_STORY_H_
