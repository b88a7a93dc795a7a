// What was written to copies of bytes that lie on the heap, where no access faults.
//
// It is looked for when the handle is closed, when the function that got the pointer returns, and when
// the record of the closed handle is used again. The place of the write itself is not known: `at` is
// where it was found.
#ifndef HPY_DEBUG_CTX_HEAP_BUFFERS_H_
#define HPY_DEBUG_CTX_HEAP_BUFFERS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "debug_ctx/stories.h"
#include "handles/handle_table.h"
#include "hpy.h"
#include "leakdetector/violation.h"

namespace hpy::debug_ctx {

class State;
struct Call;

// The handles whose copies on the heap were given out during a call. Forgets those whose record was
// used again: they were looked at then.
class HeapBufferLog {
 public:
  void Push(HPy handle, const handles::HandleTable& table);
  bool empty() const { return handles_.empty(); }
  std::vector<HPy> Take();

 private:
  std::vector<HPy> handles_;
  size_t look_again_ = 1024;
};

enum class FoundAt : uint8_t { kClose, kReturn, kReuse };

// The violation, if the copy of a slot was damaged since the last time. Runs no Python code but the
// repr of a str or bytes. `closing`: the story of the call that closes the handle, if there is one.
std::optional<leakdetector::Violation> FindDamage(State& state, const handles::Slot& slot,
                                                  FoundAt found, StoryId closing);

// Reports what was found at the close of a handle.
void ReportDamage(State& state, leakdetector::Violation violation);

// Looks at the copies that a call was given, at its return.
void CheckHeapBuffers(Call& call);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_HEAP_BUFFERS_H_
