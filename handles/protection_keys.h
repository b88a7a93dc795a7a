// Memory protection keys: a thread's right to memory changes with one instruction, not a system call.
//
//   ProtectionKeys keys;
//   if (keys.Allocate()) {
//     keys.Protect(page, size, PROT_READ, 3);  // page belongs to key 3; nobody may access it yet
//     keys.Admit(3);                           // this thread may
//     keys.Refuse(3);                          // and may not
//   }
//
// A right is a thread's own, and a thread that is started has those of the one that started it. The
// kernel obeys them where it reads for a system call. A signal handler has no rights, whoever it
// interrupts. So keys are for a process whose only thread is the one that asks (ThreadIsAlone).
//
// x86-64 with Linux only; elsewhere Allocate() says no. See pkeys(7).
#ifndef HPY_HANDLES_PROTECTION_KEYS_H_
#define HPY_HANDLES_PROTECTION_KEYS_H_

#include <cstddef>
#include <cstdint>

namespace hpy::handles {

// Not thread-safe, but for Protect(), which is also safe in a signal handler. Allocates nothing.
class ProtectionKeys {
 public:
  static constexpr int kNone = -1;
  static constexpr int kMost = 12;   // a process has 15: some are for the program
  static constexpr int kFewest = 4;  // fewer are not worth it

  ProtectionKeys() = default;
  // Gives the keys back: no memory may have them any more.
  ~ProtectionKeys();
  ProtectionKeys(const ProtectionKeys&) = delete;
  ProtectionKeys& operator=(const ProtectionKeys&) = delete;

  // False, and no key, where the machine, the kernel or the rest of the program leaves too few. All of
  // them are refused then. Asks the kernel once.
  bool Allocate();
  bool asked() const { return asked_; }
  int count() const { return count_; }

  // Whether no other thread was started through the C library.
  static bool ThreadIsAlone();

  // Each also renews what was said of the other keys: a jump out of a signal handler may have lost it.
  void Admit(int key);
  void Refuse(int key);

  // mprotect() that also gives the pages to a key (kNone: to none) where it was another's.
  bool Protect(void* pages, size_t size, int protection, int key) const;

 private:
  void Write() const;

  int count_ = 0;
  bool asked_ = false;
  int keys_[kMost] = {};
  uint32_t rights_[kMost] = {};  // the bits of the register that refuse a key
  uint32_t all_ = 0;             // of all keys
  uint32_t refused_ = 0;
};

}  // namespace hpy::handles

#endif  // HPY_HANDLES_PROTECTION_KEYS_H_
