// Which objects are stored in the fields of which owner, and the comparison with what the owner's
// HPy_tp_traverse visits.
//
// Records are about objects, not about places: an array of fields may move, and fields may change
// places. Where a field was at the time of the store is only a hint for which of several equal records
// is meant, and never read.
#ifndef HPY_DEBUG_CTX_FIELDS_H_
#define HPY_DEBUG_CTX_FIELDS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "debug_ctx/stories.h"
#include "hpy.h"
#include "leakdetector/violation.h"

namespace hpy::debug_ctx {

class State;
struct Call;

// The stores of one call, to check them when it returns.
struct CallStores {
  uint64_t number = 0;              // of the call among those that stored; 0: it did not
  std::vector<const void*> owners;  // some may be dead by now
  size_t next_compaction = 64;
};

// Guarded by the interpreter's lock. Owners are alive: their end is told, and ends their record.
class Fields {
 public:
  explicit Fields(State& state) : state_(state) {}

  // An extension stores: `old` was in the field before. Objects are native ones, `value` and `old` may
  // be null.
  void Stored(const void* owner, const HPyField* field, const void* old, const void* value,
              StoryId story, Call& call);
  // It was stored without an owner: it may be in any object.
  void StoredWithoutOwner(const void* value) {
    if (value != nullptr) ownerless_.insert(value);
  }

  // What the host tells; see runtime/observer.h.
  void StoredElsewhere(const void* owner, const HPyField* field, const void* old,
                       const void* value);
  void Taken(const void* owner, const void* value);
  void Cleared(const void* owner, bool dies);

  // The call returns: reports what its stores did wrong.
  void CheckReturn(Call& call);
  // The call has ended.
  void End(CallStores* stores);

  // An owner was traversed, and the sum of Mix() over the objects that were visited is `sum`.
  void CheckTraversal(const void* owner, uint64_t sum) {
    auto it = owners_.find(owner);
    if ((it == owners_.end() ? 0 : it->second->sum) != sum) [[unlikely]] {
      Compare(owner, nullptr);
    }
  }
  static uint64_t Mix(const void* object) {
    uint64_t x = reinterpret_cast<uintptr_t>(object);
    x ^= x >> 29;
    x *= 0x9E3779B97F4A7C15;
    return x ^ x >> 32;
  }

 private:
  struct Entry {
    const HPyField* field;
    StoryId story;
    uint32_t function;
    uint64_t call;  // the number of the call that stored; 0: not a function in debug mode
    bool reported;
  };
  struct Owner {
    absl::flat_hash_map<const void*, absl::InlinedVector<Entry, 1>> objects;
    absl::flat_hash_set<const void*> not_owned;  // those that were reported
    uint64_t sum = 0;  // of Mix() over `objects`, each as often as it is stored
    size_t count = 0;
    size_t stores_since_check = 0;
  };

  void Add(Owner& owner, const void* value, const Entry& entry);
  void Remove(Owner& owner, const void* value, const HPyField* field);
  // Whether the extension has overwritten the field with HPyField_NULL, which leaks the object but is no
  // mistake of traverse. Only known of fields in the owner's own struct, which is there as long as the
  // owner: no other place is looked at.
  bool IsForgotten(const void* owner, const HPyField* field);
  // Finds out what is wrong with an owner. `call`: whose return it is; null: a traversal.
  void Compare(const void* owner, Call* call);
  leakdetector::Violation NotVisited(const void* owner, const Entry& entry);
  leakdetector::Violation NotOwned(const void* owner, const HPyField* field);

  State& state_;
  absl::flat_hash_map<const void*, std::unique_ptr<Owner>> owners_;
  absl::flat_hash_set<uint64_t> in_progress_;  // numbers of calls
  absl::flat_hash_set<const void*> ownerless_;
  uint64_t last_call_ = 0;
};

// Runs an owner's HPy_tp_traverse for the interpreter, as its trampoline asks, and checks it.
void CheckedTraverse(State& state, HPyCFunction function, _HPyFunc_args_TRAVERSEPROC& args);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_FIELDS_H_
