// Copies of bytes for extensions, on the heap.
#include "handles/buffers.h"

#include <cstdlib>
#include <cstring>

namespace hpy::handles {

Buffers::~Buffers() {
  for (auto& [slot, buffer] : buffers_) std::free(buffer.data);
}

const char* Buffers::Give(uint32_t slot, const char* data, size_t size) {
  char* copy = static_cast<char*>(std::malloc(size + 1));
  if (copy == nullptr) return nullptr;
  std::memcpy(copy, data, size);
  copy[size] = '\0';
  buffers_[slot] = {copy, size + 1, false};
  return copy;
}

const char* Buffers::Find(uint32_t slot) const {
  const auto it = buffers_.find(slot);
  return it == buffers_.end() ? nullptr : it->second.data;
}

ptrdiff_t Buffers::SizeOf(uint32_t slot) const {
  const auto it = buffers_.find(slot);
  return it == buffers_.end() ? -1 : static_cast<ptrdiff_t>(it->second.size);
}

bool Buffers::Revoke(uint32_t slot, size_t limit) {
  static constexpr unsigned char kPoison[] = {0xBA, 0xD0, 0xDA, 0x7A};
  const auto it = buffers_.find(slot);
  if (it == buffers_.end()) return false;
  Buffer& buffer = it->second;
  if (buffer.size > limit || revoked_bytes_ > limit - buffer.size) {
    Drop(slot);
    return false;
  }
  for (size_t i = 0; i < buffer.size; i++) buffer.data[i] = static_cast<char>(kPoison[i % 4]);
  buffer.revoked = true;
  revoked_bytes_ += buffer.size;
  return true;
}

void Buffers::Drop(uint32_t slot) {
  const auto it = buffers_.find(slot);
  if (it == buffers_.end()) return;
  if (it->second.revoked) revoked_bytes_ -= it->second.size;
  std::free(it->second.data);
  buffers_.erase(it);
}

}  // namespace hpy::handles
