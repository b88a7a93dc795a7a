// Traverse and destroy functions in progress.
#include "debug_ctx/slot_calls.h"

#include <cstring>
#include <type_traits>

#include "debug_ctx/call.h"

namespace hpy::debug_ctx {

static_assert(sizeof(SlotCall) <= sizeof(SlotFrame) && std::is_trivially_copyable_v<SlotCall>);

void BeginSlot(SlotFrame* frame, HPyCFunction function, const void* object, bool destroys) {
  SlotCall& slot = thread_calls.slot;
  std::memcpy(frame, &slot, sizeof(slot));
  slot.function = function;
  // Each destroyed object is another one, whatever its address. Addresses are even.
  slot.object = destroys ? ++thread_calls.destroyed * 2 + 1 : reinterpret_cast<uintptr_t>(object);
  // The function's own frame ends at or below the record.
  slot.stop_sp = reinterpret_cast<uintptr_t>(frame) + 1;
  slot.interrupted = thread_calls.innermost;
  thread_calls.innermost = nullptr;
}

void EndSlot(const SlotFrame* frame) {
  SlotCall& slot = thread_calls.slot;
  thread_calls.innermost = slot.interrupted;
  std::memcpy(static_cast<void*>(&slot), frame, sizeof(slot));
}

}  // namespace hpy::debug_ctx
