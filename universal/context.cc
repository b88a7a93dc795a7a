// The universal context, derived from the table: every function member is an instance of one
// template that refuses null handles and calls the implementation.
#include "universal/context.h"

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "hpy/abi/columns.h"
#include "runtime/ctx_internal.h"
#include "runtime/ctx_interpreter.h"
#include "universal/capi.h"

namespace hpy::universal {
namespace {

// What the expressions of the table use.
#define _HPyO(h) _h2py_nn(h)
#define _HPyX(h) _h2py(h)
#define _HPyN(object) _py2h(object)

using columns::P0, columns::P1, columns::P2, columns::P3, columns::P4, columns::NULLH;

// Like CPython's own check: an exception that is pending explains the null better than we can.
[[gnu::cold, gnu::noinline]] void RefuseNull(HPy exception, const char* function, int argument) {
  if (PyErr_Occurred()) return;
  PyErr_Format(_h2py(exception), "%s: argument %d is HPy_NULL (null argument to internal routine)",
               function, argument);
}

template <typename T>
inline bool IsNullHandle(T) {
  return false;
}
template <>
inline bool IsNullHandle<HPy>(HPy h) {
  return h._i == 0;
}

// The position of the first null handle that `kNullable` does not allow, or 0.
template <unsigned kNullable, typename... Args>
inline int FirstIllegalNull(Args... args) {
  int position = 0, found = 0;
  (void)((++position, (kNullable & (1U << position)) == 0 && IsNullHandle(args)
                          ? (found = position, true)
                          : false) ||
         ...);
  return found;
}

// Whether a null handle in one of the arguments is refused.
template <unsigned kNullable, typename... Args>
constexpr bool RefusesAny() {
  unsigned position = 0;
  return ((++position, std::is_same_v<Args, HPy> && (kNullable & (1U << position)) == 0) || ...);
}

template <typename Row, typename Function>
struct Entry;

template <typename Row, typename Result, typename... Args>
struct Entry<Row, Result (*)(HPyContext*, Args...)> {
  static Result Call(HPyContext* ctx, Args... args) {
    if (int position = FirstIllegalNull<Row::kNullable>(args...); position != 0) [[unlikely]] {
      RefuseNull(Row::Raises(ctx), Row::kName, position);
      return Row::Refused();
    }
    return Row::Implementation(ctx, args...);
  }
  // A row that refuses nothing is the function of ours that implements it.
  static constexpr auto Address() {
    // By its type, for with UBSan the address of a function is no constant to be compared.
    if constexpr (!std::is_same_v<decltype(Row::kOwn), const std::nullptr_t> &&
                  !RefusesAny<Row::kNullable, Args...>()) {
      return Row::kOwn;
    } else {
      return &Call;
    }
  }
};

// The column `impl` as an expression. A row without one does not compile, and an OWN one whose
// function does not exist does not link, for runtime/ctx_internal.h declares them hidden.
// C(expression) becomes that expression and a macro that swallows the list which follows; OWN
// becomes a call.
#define HPY_EXPRESSION_C(expression) (expression) HPY_SWALLOW
#define HPY_SWALLOW(member, args)
#define HPY_EXPRESSION_OWN(member, args) ::member args
#define HPY_OWN_C(expression) nullptr HPY_SWALLOW
#define HPY_OWN_OWN(member, args) &::member

// One struct for each row. `ctx` and other parameters are unused in some.
#define HPY_FUNC(index, member, name, ret, params, args, api, nullable, observed, raises, error, \
                 impl)                                                                           \
  struct Row_##member {                                                                          \
    static constexpr unsigned kNullable = nullable;                                              \
    static constexpr char kName[] = #name;                                                       \
    static HPy Raises(HPyContext* context) { return context->raises; }                           \
    static ret Refused() { return columns::ErrorValue<ret>(HPY_VALUE_##error); }                 \
    static inline ret Implementation params { return HPY_EXPRESSION_##impl(member, args); }      \
    static constexpr auto kOwn = HPY_OWN_##impl(member, args);                                   \
  };
#define HPY_PROC(index, member, name, params, args, api, nullable, observed, raises, impl) \
  struct Row_##member {                                                                    \
    static constexpr unsigned kNullable = nullable;                                        \
    static constexpr char kName[] = #name;                                                 \
    static HPy Raises(HPyContext* context) { return context->raises; }                     \
    static void Refused() {}                                                               \
    static inline void Implementation params { HPY_EXPRESSION_##impl(member, args); }      \
    static constexpr auto kOwn = HPY_OWN_##impl(member, args);                             \
  };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "hpy/abi/context.inc"
#pragma GCC diagnostic pop

// What a constant refers to lives at least as long as the interpreter: no reference is taken.
void Fill(HPyContext* ctx) {
  ctx->name = "HPy Universal ABI (CPython backend)";
  ctx->_private = nullptr;
  ctx->abi_version = HPY_ABI_VERSION;
#define HPY_HANDLE(index, member, object) ctx->member = _py2h(object);
#define HPY_FUNC(index, member, name, ret, params, args, api, nullable, observed, raises, error, \
                 impl)                                                                           \
  ctx->member = Entry<Row_##member, decltype(HPyContext::member)>::Address();
#define HPY_PROC(index, member, name, params, args, api, nullable, observed, raises, impl) \
  ctx->member = Entry<Row_##member, decltype(HPyContext::member)>::Address();
#include "hpy/abi/context.inc"
}

}  // namespace

const _HPyInterpreter* const* OnlyInterpreter() { return &_HPyInterpreter_only; }

HPyContext* ContextOfInterpreter() {
  _HPyInterpreter* interpreter = _HPyInterpreter_Find();
  if (interpreter != nullptr && interpreter->context_is_filled) return interpreter->context;
  interpreter = _HPyInterpreter_Attach();
  if (interpreter == nullptr) return nullptr;
  if (interpreter->context == nullptr) {
    interpreter->context = static_cast<HPyContext*>(PyMem_RawCalloc(1, sizeof(HPyContext)));
    if (interpreter->context == nullptr) {
      PyErr_NoMemory();
      return nullptr;
    }
  }
  Fill(interpreter->context);
  if (HPy_IsNull(interpreter->context->h_Builtins)) return nullptr;
  interpreter->context_is_filled = 1;
  return interpreter->context;
}

void WatchSlots(void (*begin)(void*, HPyCFunction, const void*, int), void (*end)(const void*)) {
  static_assert(HPY_SLOT_FRAME_WORDS == HPY_CAPI_SLOT_FRAME_WORDS);
  static_assert(HPY_HANDLE_BIAS == HPY_CAPI_HANDLE_BIAS);
  _HPyType_WatchSlots(begin, end);
}

}  // namespace hpy::universal
