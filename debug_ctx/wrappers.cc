// The functions of a debug context, one wrapper for each row of the table.
#include "debug_ctx/state.h"
#include "debug_ctx/wrapper.h"

namespace hpy::debug_ctx {

void FillFunctions(HPyContext& context) {
#define HPY_FUNC(index, member, ...) context.member = &Wrapper<table::Slot_##member>::Call;
#define HPY_PROC(index, member, ...) context.member = &Wrapper<table::Slot_##member>::Call;
#include "hpy/abi/context.inc"
}

void* ScratchStruct() {
  // Shared: what is written to it means nothing, and nobody may rely on reading it back.
  alignas(16) static char memory[64 * 1024];
  __builtin_memset(memory, 0, sizeof(memory));
  return memory;
}

}  // namespace hpy::debug_ctx
