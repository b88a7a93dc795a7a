// Notes about handles that a call into an extension leaves open: legal, and a potential leak.
#ifndef HPY_DEBUG_CTX_LONG_LIVED_H_
#define HPY_DEBUG_CTX_LONG_LIVED_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "handles/slot.h"
#include "leakdetector/violation.h"

namespace hpy::debug_ctx {

class State;

// For the report file. Of handles with the same story the first call that leaves some behind is told
// at once; later ones are counted, and told together.
class LongLived {
 public:
  // `left` were opened by one call, which has returned. Runs code of objects; raises nothing.
  void Note(State& state, const std::vector<handles::Slot*>& left);
  // Tells what was counted. At the end of the program, and before the report file changes.
  void Flush(State& state);

 private:
  struct Site {
    leakdetector::Violation violation;
    uint64_t untold = 0;
  };
  absl::flat_hash_map<uint64_t, Site> sites_;  // by story and function
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_LONG_LIVED_H_
