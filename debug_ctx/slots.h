// The slots of the context as types: for each function of the table one `Slot_<member>` with its
// signature and what the table says about it. The wrappers of debug and of trace mode are templates
// over these.
#ifndef HPY_DEBUG_CTX_SLOTS_H_
#define HPY_DEBUG_CTX_SLOTS_H_

#include <cstdint>
#include <type_traits>

#include "hpy.h"

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

inline constexpr unsigned P0 = 0, P1 = 1u << 1, P2 = 1u << 2, P3 = 1u << 3, P4 = 1u << 4;

// The error column: FAILS(v) and HARMLESS(v). NULLH converts to the null of any type.
struct Null {
  template <typename R>
  operator R() const {  // NOLINT(google-explicit-constructor): it stands where a value is expected
    return R{};
  }
};
inline constexpr Null NULLH{};

template <typename R, typename V>
R As(V value) {
  if constexpr (std::is_same_v<V, Null>) {
    return R{};
  } else {
    return static_cast<R>(value);
  }
}

#define HPY_CAN_FAIL_FAILS(value) true
#define HPY_CAN_FAIL_HARMLESS(value) false
#define HPY_VALUE_FAILS(value) value
#define HPY_VALUE_HARMLESS(value) value

#define HPY_FUNC(index, member, name, ret, params, args, api, nullable, observed, raises, error, \
                 impl)                                                                           \
  struct Slot_##member {                                                                         \
    using Result = ret;                                                                          \
    static constexpr auto kMember = &HPyContext::member;                                         \
    static constexpr SlotInfo kInfo = {#name, nullable, observed, &HPyContext::raises,           \
                                       HPY_CAN_FAIL_##error};                                    \
    static Result Refused() { return As<Result>(HPY_VALUE_##error); }                            \
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
