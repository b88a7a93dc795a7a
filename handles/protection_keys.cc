// Memory protection keys of x86-64 on Linux.
#include "handles/protection_keys.h"

#include <sys/mman.h>

#if defined(__x86_64__) && defined(__linux__) && __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define HPY_HAS_PROTECTION_KEYS 1
#endif

namespace hpy::handles {

#ifdef HPY_HAS_PROTECTION_KEYS

namespace {

// RDPKRU and WRPKRU, of which not every compiler's target knows.
uint32_t ReadRights() {
  uint32_t rights;
  uint32_t zero;
  __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(rights), "=d"(zero) : "c"(0));
  return rights;
}
void WriteRights(uint32_t rights) {
  __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(rights), "c"(0), "d"(0) : "memory");
}

}  // namespace

bool ProtectionKeys::Allocate() {
  if (asked_) return count_ != 0;
  asked_ = true;
  while (count_ < kMost) {
    const int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    if (key < 0) break;
    keys_[count_] = key;
    rights_[count_] = uint32_t{PKEY_DISABLE_ACCESS} << (2 * key);
    all_ |= rights_[count_];
    count_++;
  }
  if (count_ < kFewest) {
    while (count_ > 0) pkey_free(keys_[--count_]);
    all_ = 0;
  }
  refused_ = all_;
  return count_ != 0;
}

ProtectionKeys::~ProtectionKeys() {
  while (count_ > 0) pkey_free(keys_[--count_]);
}

bool ProtectionKeys::ThreadIsAlone() { return __libc_single_threaded != 0; }

void ProtectionKeys::Write() const {
  const uint32_t now = ReadRights();
  const uint32_t wanted = (now & ~all_) | refused_;
  if (wanted != now) WriteRights(wanted);
}

bool ProtectionKeys::Protect(void* pages, size_t size, int protection, int key) const {
  return pkey_mprotect(pages, size, protection, key == kNone ? 0 : keys_[key]) == 0;
}

#else

bool ProtectionKeys::Allocate() { return false; }
ProtectionKeys::~ProtectionKeys() = default;
bool ProtectionKeys::ThreadIsAlone() { return false; }
void ProtectionKeys::Write() const {}
bool ProtectionKeys::Protect(void* pages, size_t size, int protection, int) const {
  return mprotect(pages, size, protection) == 0;
}

#endif

void ProtectionKeys::Admit(int key) {
  refused_ &= ~rights_[key];
  Write();
}

void ProtectionKeys::Refuse(int key) {
  refused_ |= rights_[key];
  Write();
}

}  // namespace hpy::handles
