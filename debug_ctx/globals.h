// The HPyGlobals that modules list in their definitions.
#ifndef HPY_DEBUG_CTX_GLOBALS_H_
#define HPY_DEBUG_CTX_GLOBALS_H_

#include <cstdint>

#include "absl/container/flat_hash_set.h"
#include "hpy.h"

namespace hpy::debug_ctx {

// Guarded by the interpreter's lock. What is listed are static variables of libraries that are never
// unloaded, so they may be read at any time.
class Globals {
 public:
  // A list that ends with NULL; NULL for none.
  void Register(HPyGlobal* const* globals);
  // A module of the 0.0.4 dialect, whose list may lack its end, was made by the code at `pc`.
  void ExemptLibraryOf(uintptr_t pc);

  bool IsListed(const HPyGlobal* global) const { return listed_.contains(global); }
  // Whether a listed global has this value. Two with the same value are the same to the runtime.
  bool IsValueOfListed(HPyGlobal value);
  // Whether no mistake is to be seen in what the code at `pc` does with the global at `address` (null:
  // not known).
  bool IsExempt(uintptr_t pc, const void* address) const;

 private:
  absl::flat_hash_set<const HPyGlobal*> listed_;
  absl::flat_hash_set<intptr_t> values_;  // that listed ones were seen to have
  absl::flat_hash_set<const void*> exempt_libraries_;
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_GLOBALS_H_
