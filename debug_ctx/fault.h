// The handler of faults in guarded memory.
//
// What happens at such a fault, under every policy: a raw record is written with nothing but write();
// a helper process writes the report; then the handler that was there before is put back, and the
// faulting instruction runs again, so that this handler sees a fault as if there were none of ours.
// Faults elsewhere go on to it at once.
#ifndef HPY_DEBUG_CTX_FAULT_H_
#define HPY_DEBUG_CTX_FAULT_H_

#include <cstdint>
#include <string>
#include <vector>

namespace hpy::debug_ctx {

class State;

// The states whose buffers are looked at. Installs the handlers with the first one. A member of State.
class FaultGuard {
 public:
  explicit FaultGuard(State* state) : state_(state) {}
  ~FaultGuard();
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;

  // Called when guarded memory is handed out. `armings` is Buffers::armings(): when it has changed, it
  // is made sure that no other handler was put over ours. Gives each thread an alternate signal stack.
  void Watch(uint64_t armings) {
    if (armings != armings_) [[unlikely]] {
      WatchAgain(armings);
    }
    if (!thread_is_prepared_) [[unlikely]] {
      PrepareThread();
    }
  }

 private:
  void WatchAgain(uint64_t armings);
  static void PrepareThread();

  State* const state_;
  uint64_t armings_ = 0;
#if defined(__linux__)
  static thread_local bool thread_is_prepared_ __attribute__((tls_model("initial-exec")));
#else
  static thread_local bool thread_is_prepared_;
#endif
};

// The command that reads a record (fault_record.h) on its standard input and calls ReportFault(), so
// that a process with a damaged heap needs no heap. Without one, a forked child does it. Process-wide.
void SetFaultHelper(const std::vector<std::string>& command);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_FAULT_H_
