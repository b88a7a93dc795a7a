// Functions of types that run without a context: HPy_tp_traverse and HPy_tp_destroy. While one of them
// runs there is no innermost call on its thread, so that a call of the API is found out.
#ifndef HPY_DEBUG_CTX_SLOT_CALLS_H_
#define HPY_DEBUG_CTX_SLOT_CALLS_H_

#include <cstdint>

#include "hpy.h"

namespace hpy::debug_ctx {

// In the frame that calls the function, from before the call to after it: captures end there.
struct SlotFrame {
  uintptr_t words[6];
};

// `destroys`: the object does not outlive the call, so another one may have its address later.
void BeginSlot(SlotFrame* frame, HPyCFunction function, const void* object, bool destroys);
void EndSlot(const SlotFrame* frame);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_SLOT_CALLS_H_
