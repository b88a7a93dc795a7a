// What lies behind the native struct of an object from HPy_New: a pattern that nobody may change.
#ifndef HPY_DEBUG_CTX_STRUCT_GUARD_H_
#define HPY_DEBUG_CTX_STRUCT_GUARD_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "debug_ctx/stories.h"
#include "hpy.h"

namespace hpy::debug_ctx {

class State;
struct Call;

// A handle that HPy_New has given out in a call, and the story of that.
struct MadeStruct {
  HPy handle;
  StoryId story;
};
using MadeStructs = std::vector<MadeStruct>;

// Guarded by the interpreter's lock. All that is known of an object is in its guard: that it has been
// armed, by which function and where. So there is no record that could outlive it. A guard that is all
// zero was never armed: the object was made by other means than HPy_New.
class StructGuards {
 public:
  explicit StructGuards(State& state) : state_(state) {}

  // HPy_New made the object (a handle of the universal context); false when it has no guard.
  bool Arm(HPy object, StoryId story, uint32_t function);
  // At the return of a function: of what it made, all that is known to be alive.
  void CheckReturn(Call& call);
  // In a garbage collection, or when a leak is looked for. Any object.
  void CheckLive(HPy object);
  // Its memory is going to be freed.
  void Dies(HPy object);

 private:
  // Where `made` is not null, the object was armed by it.
  void Check(HPy object, const MadeStruct* made, Call* call);

  State& state_;
  absl::flat_hash_set<intptr_t> reported_;  // objects that are alive
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_STRUCT_GUARD_H_
