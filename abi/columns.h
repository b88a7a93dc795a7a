// What stands in the columns `nullable`, `observed` and `error` of context.inc, for C++ code that
// includes it. Extensions have no use for it.
#ifndef HPY_ABI_COLUMNS_H_
#define HPY_ABI_COLUMNS_H_

#include <type_traits>

namespace hpy::columns {

// Positions of parameters. The context is number 0, and P0 stands for none.
inline constexpr unsigned P0 = 0, P1 = 1U << 1, P2 = 1U << 2, P3 = 1U << 3, P4 = 1U << 4;

// NULLH, the null of any type.
struct Null {
  template <typename R>
  constexpr operator R() const {  // NOLINT(google-explicit-constructor): it is there to convert
    return R{};
  }
};
inline constexpr Null NULLH{};

// The error value of a row as the result type of its function: ErrorValue<ret>(HPY_VALUE_##error).
template <typename R, typename V>
constexpr R ErrorValue(V value) {
  if constexpr (std::is_same_v<V, Null>) {
    return R{};
  } else {
    return static_cast<R>(value);
  }
}

}  // namespace hpy::columns

#define HPY_VALUE_FAILS(value) value
#define HPY_VALUE_HARMLESS(value) value
// Whether the value is returned with an exception set.
#define HPY_CAN_FAIL_FAILS(value) true
#define HPY_CAN_FAIL_HARMLESS(value) false

#endif  // HPY_ABI_COLUMNS_H_
