// The slots of the context as types: for each function of the table one `Slot_<member>` with its
// signature and what the table says about it. The wrappers of debug and of trace mode are templates
// over these.
#ifndef HPY_DEBUG_CTX_SLOTS_H_
#define HPY_DEBUG_CTX_SLOTS_H_

#include <cstdint>
#include <type_traits>

#include "hpy.h"
#include "hpy/abi/columns.h"

namespace hpy::debug_ctx {

// What the reports need to know about a slot at run time.
struct SlotInfo {
  const char* api;    // public name
  unsigned nullable;  // bit i: parameter i may be HPy_NULL
  unsigned observed;  // bit i: HPy_NULL raises `raises` in the universal context of HPy 0.9 too
  HPy HPyContext::*raises;
  bool can_fail;  // has an error value, returned with an exception set
};

template <typename T>
inline constexpr bool kIsHandle = std::is_same_v<T, HPy>;

namespace table {

using columns::P0, columns::P1, columns::P2, columns::P3, columns::P4, columns::NULLH;

#define HPY_FUNC(index, member, name, ret, params, args, api, nullable, observed, raises, error, \
                 impl)                                                                           \
  struct Slot_##member {                                                                         \
    using Result = ret;                                                                          \
    static constexpr auto kMember = &HPyContext::member;                                         \
    static constexpr SlotInfo kInfo = {#name, nullable, observed, &HPyContext::raises,           \
                                       HPY_CAN_FAIL_##error};                                    \
    static Result Refused() { return columns::ErrorValue<Result>(HPY_VALUE_##error); }           \
  };
#define HPY_PROC(index, member, name, params, args, api, nullable, observed, raises, impl)     \
  struct Slot_##member {                                                                       \
    using Result = void;                                                                       \
    static constexpr auto kMember = &HPyContext::member;                                       \
    static constexpr SlotInfo kInfo = {#name, nullable, observed, &HPyContext::raises, false}; \
    static void Refused() {}                                                                   \
  };
#include "hpy/abi/context.inc"

}  // namespace table

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_SLOTS_H_
