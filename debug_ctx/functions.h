// The functions of extensions, by number: so that a handle can remember in 16 bits which function opened it.
#ifndef HPY_DEBUG_CTX_FUNCTIONS_H_
#define HPY_DEBUG_CTX_FUNCTIONS_H_

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "debug_ctx/outside_lock.h"
#include "hpy.h"

namespace hpy::debug_ctx {

struct Function {
  uintptr_t entry = 0;  // address of the implementation; 0 for number 0, which is none
  std::string module;   // empty where no definition that we saw lists it
  std::string name;     // Python-visible: `method`, `Type.method`, `Type.HPy_tp_init`
};

// Guarded by the interpreter's lock; Copy() may be called by any thread.
class Functions {
 public:
  Functions();
  Functions& operator=(const Functions& other);

  // The number of an implementation; a new one at first sight. 0 once 2^16 are known.
  uint32_t NumberOf(HPyCFunction implementation) {
    const uintptr_t entry = reinterpret_cast<uintptr_t>(implementation);
    CacheLine& line = cache_[(entry >> 4) % kCacheLines];
    if (line.entry != entry) line = {entry, LookUp(entry)};
    return line.number;
  }

  const Function& operator[](uint32_t number) const { return functions_[number]; }
  Function Copy(uint32_t number) const {
    const std::lock_guard lock(OutsideMutex());
    return functions_[number];
  }

  // Learns names from definitions. The strings are copied. `type` is the `name` of a type spec.
  void RegisterModule(const char* module, HPyDef* const* defines);
  void RegisterType(const std::string& module, const char* type, HPyDef* const* defines);

 private:
  static constexpr size_t kCacheLines = 256;
  struct CacheLine {
    uintptr_t entry;
    uint32_t number;
  };

  uint32_t LookUp(uintptr_t entry);
  void Name(HPyCFunction implementation, const std::string& module, std::string name);
  void NameAll(const std::string& module, const std::string& prefix, HPyDef* const* defines);

  std::deque<Function> functions_;  // changed with OutsideMutex() held
  absl::flat_hash_map<uintptr_t, uint32_t> numbers_;
  CacheLine cache_[kCacheLines] = {};
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_FUNCTIONS_H_
