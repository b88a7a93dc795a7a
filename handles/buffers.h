// The copies of an object's bytes that extensions get pointers to (HPyUnicode_AsUTF8AndSize and its like).
//
// A copy belongs to a handle: asking twice gives the same pointer. It is good while the handle is open;
// from then on its bytes are BA D0 DA 7A, again and again, until the memory is given back.
#ifndef HPY_HANDLES_BUFFERS_H_
#define HPY_HANDLES_BUFFERS_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"

namespace hpy::handles {

// Guarded by the interpreter's lock. `slot` is the index of a handle's slot.
class Buffers {
 public:
  Buffers() = default;
  ~Buffers();
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  // The copy of a handle that has none yet: `size` bytes and a NUL. Null when memory is exhausted.
  const char* Give(uint32_t slot, const char* data, size_t size);
  // The copy that was given out for a handle, or null; and its size with the NUL, or -1.
  const char* Find(uint32_t slot) const;
  ptrdiff_t SizeOf(uint32_t slot) const;

  // The handle was closed. The memory stays revoked as long as no more than `limit` bytes of closed
  // handles do, so that a late read shows; otherwise it is given back at once. True when it stays.
  bool Revoke(uint32_t slot, size_t limit);
  // The slot is used again.
  void Drop(uint32_t slot);

 private:
  struct Buffer {
    char* data;
    size_t size;
    bool revoked;
  };
  absl::flat_hash_map<uint32_t, Buffer> buffers_;
  size_t revoked_bytes_ = 0;
};

}  // namespace hpy::handles

#endif  // HPY_HANDLES_BUFFERS_H_
