// The settings of the debug context that native code reads. Their names, texts and defaults for people
// are declared in python/hpy/debug/settings.py.
#ifndef HPY_DEBUG_CTX_SETTINGS_H_
#define HPY_DEBUG_CTX_SETTINGS_H_

#include <cstddef>

namespace hpy::debug_ctx {

inline constexpr int kMaxStackDepth = 64;

enum class Policy { kAbort, kRaise, kWarn };

struct Settings {
  Policy policy = Policy::kAbort;
  int stack_depth = 16;  // native frames captured; 0: none. Set by State::SetStackDepth()
  size_t closed_buffers =
      10 << 20;             // bytes of buffers whose handle is closed that stay inaccessible
  bool long_lived = false;  // note handles that outlive the call which opened them
  // Becomes standard error before the last words of the process are written, for who put something
  // else in its place, as pytest does; -1: standard error stays what it is.
  int last_words = -1;
  bool python_stacks = true;  // read the Python frames of violations and of what calls leave behind
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_SETTINGS_H_
