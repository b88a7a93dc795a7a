// Unwinding with libunwind, x86-64: exact, and knows every word of the stack that it depended on.
//
// Chosen by HPY_UNWIND=libunwind (unwind_none.cc describes the choice). To be linked, in this
// order:
//   -lstdc++ -lgcc_s -ldw -lelf -lunwind-x86_64 -ldl -lpthread
// i.e. `-Wl,--push-state,--no-as-needed -lgcc_s -Wl,--pop-state ... -lunwind-x86_64`.
// libunwind.so.8 comes along as what libunwind-x86_64.so.8 needs; it exports _Unwind_*, so libgcc_s
// must stand before it among the needed libraries, or C++ exceptions of others end up in it. Never
// -lunwind: nothing of it is used here.
//
// libunwind's remote interface reads registers, stack words and unwind tables through functions
// that we give it. Reads of memory that cannot change while a library is loaded (tables, code) are
// answered; all others are recorded. libunwind's guesses for code without unwind information are
// never accepted.

#if !defined(__x86_64__)
#error "HPY_UNWIND=libunwind is for x86-64; configure with -DHPY_UNWIND=libgcc on this machine"
#endif

#include "stacktrace/unwind.h"

#include <errno.h>
#include <libunwind-x86_64.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Exported by libunwind for programs that bring their own accessors (perf does), but in no header.
extern "C" int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t, unw_word_t ip, unw_dyn_info_t*,
                                                  unw_proc_info_t*, int need_unwind_info,
                                                  void* arg);

namespace hpy::stacktrace {
namespace {

constexpr uintptr_t kPageSize = 4096;  // the smallest page of this architecture

// Other frames' locals, which the sanitizers have marked as out of bounds for this code.
__attribute__((no_sanitize_address, no_sanitize_thread)) inline uintptr_t ReadWord(
    uintptr_t address) {
  return *reinterpret_cast<const volatile uintptr_t*>(address);
}

// The kernel reads the set before it looks at the (invalid) first argument: EFAULT or EINVAL.
// Unlike other ways it needs no file descriptor and no permission, and works in signal handlers.
bool IsReadable(uintptr_t address) {
  const int saved = errno;
  const long result = syscall(SYS_rt_sigprocmask, ~0, address & ~uintptr_t{7}, nullptr, 8);
  const bool readable = result != 0 && errno != EFAULT;
  errno = saved;
  return readable;
}

// What one unwinding is about: the argument of all accessors.
struct Context {
  const Modules* modules;
  const CallSite* site;  // registers to start with: of the call site ...
  const SavedRegisters*
      registers;   // ... or, if not null, all that a callee preserves, of our own frame
  Unwinding* out;  // may be null: nothing is recorded
  const Segment* segment = nullptr;  // of the last read
  uintptr_t good_page = 0;           // of the last read that was tested
  bool no_information = false;       // there are no unwind tables for an address
  bool lacks_register = false;       // a register was asked for that is not known at a call site
  bool failed_read = false;
  bool in_tables = false;  // what is read belongs to unwind tables, among it the (writable)
                           // addresses of personality routines, which say nothing about frames
};

bool Contains(const Segment* s, uintptr_t address) {
  return s != nullptr && address >= s->start && address + sizeof(uintptr_t) <= s->end;
}

int AccessMem(unw_addr_space_t, unw_word_t address, unw_word_t* value, int write, void* arg) {
  auto* c = static_cast<Context*>(arg);
  if (write != 0) return -UNW_EINVAL;
  if (!Contains(c->segment, address)) c->segment = c->modules->Find(address);
  if (Contains(c->segment, address) && !c->segment->writable) {
    *value = ReadWord(address);
    return 0;
  }
  // The word may lie across two pages only if unaligned, which no stack word is; then it is not
  // read.
  const uintptr_t page = address & ~(kPageSize - 1);
  if ((address & 7) != 0 || (page != c->good_page && !IsReadable(address))) {
    c->failed_read = true;
    return -UNW_EINVAL;
  }
  c->good_page = page;
  *value = ReadWord(address);
  if (Unwinding* out = c->out; out != nullptr && !c->in_tables) {
    if (out->word_count == Unwinding::kMaxWords) {
      out->repeatable = false;
    } else {
      out->words[out->word_count++] = {address, *value};
    }
  }
  return 0;
}

int AccessReg(unw_addr_space_t, unw_regnum_t reg, unw_word_t* value, int write, void* arg) {
  auto* c = static_cast<Context*>(arg);
  if (write != 0) return -UNW_EREADONLYREG;
  if (const SavedRegisters* r = c->registers; r != nullptr) {
    switch (reg) {
      case UNW_X86_64_RIP:
        *value = r->rip;
        return 0;
      case UNW_X86_64_RSP:
        *value = r->rsp;
        return 0;
      case UNW_X86_64_RBP:
        *value = r->rbp;
        return 0;
      case UNW_X86_64_RBX:
        *value = r->rbx;
        return 0;
      case UNW_X86_64_R12:
        *value = r->r12;
        return 0;
      case UNW_X86_64_R13:
        *value = r->r13;
        return 0;
      case UNW_X86_64_R14:
        *value = r->r14;
        return 0;
      case UNW_X86_64_R15:
        *value = r->r15;
        return 0;
      default:
        return -UNW_EBADREG;
    }
  }
  switch (reg) {
    case UNW_X86_64_RIP:
      // Inside the call instruction: the rules that hold there are those of the call, whatever
      // follows it. (libunwind takes the first address as it is and steps back by one for all later
      // ones.)
      *value = c->site->pc - 1;
      return 0;
    case UNW_X86_64_RSP:
      *value = c->site->sp;
      return 0;
    case UNW_X86_64_RBP:
      *value = c->site->fp;
      c->out->read_fp = true;
      return 0;
    case UNW_X86_64_RBX:
    case UNW_X86_64_R12:
    case UNW_X86_64_R13:
    case UNW_X86_64_R14:
    case UNW_X86_64_R15:
      c->lacks_register = true;
      return -UNW_EBADREG;
    default:
      return -UNW_EBADREG;  // does not survive a call: no unwinder can know it
  }
}

int AccessFpreg(unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) { return -UNW_EBADREG; }
int Resume(unw_addr_space_t, unw_cursor_t*, void*) { return -UNW_EINVAL; }
int DynInfoList(unw_addr_space_t, unw_word_t*, void*) { return -UNW_ENOINFO; }
void PutUnwindInfo(unw_addr_space_t, unw_proc_info_t*, void*) {}
int ProcName(unw_addr_space_t, unw_word_t, char*, size_t, unw_word_t*, void*) {
  return -UNW_ENOINFO;
}

// Gives libunwind the sorted table of .eh_frame_hdr.
int FindProcInfo(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* info, int need,
                 void* arg) {
  auto* c = static_cast<Context*>(arg);
  const Segment* s = c->modules->Find(ip);
  int result = -UNW_ENOINFO;
  // Version 1, encoded as every linker does: pointer of 4 bytes, count of 4 bytes, table of pairs
  // relative to the header. Anything else has no binary search table that libunwind could use.
  if (s != nullptr && s->executable && s->eh_frame_hdr_end - s->eh_frame_hdr >= 12) {
    unsigned char head[4];
    memcpy(head, reinterpret_cast<const void*>(s->eh_frame_hdr), sizeof head);
    constexpr unsigned char kUdata4 = 0x03, kSdata4Datarel = 0x3b;
    const bool pointer4 = (head[1] & 0x0f) == 0x03 || (head[1] & 0x0f) == 0x0b;
    if (head[0] == 1 && pointer4 && head[2] == kUdata4 && head[3] == kSdata4Datarel) {
      uint32_t count;
      memcpy(&count, reinterpret_cast<const void*>(s->eh_frame_hdr + 8), sizeof count);
      unw_dyn_info_t table{};
      table.format = UNW_INFO_FORMAT_REMOTE_TABLE;
      table.start_ip = s->start;
      table.end_ip = s->end;
      table.u.rti.segbase = s->eh_frame_hdr;
      table.u.rti.table_data = s->eh_frame_hdr + 12;
      table.u.rti.table_len = uint64_t{count} * 8 / sizeof(unw_word_t);
      c->in_tables = true;
      result = UNW_OBJ(dwarf_search_unwind_table)(space, ip, &table, info, need, arg);
      c->in_tables = false;
    }
  }
  if (result < 0) c->no_information = true;
  return result;
}

// Two spaces, since libunwind caches rules by address alone, and the rules for an address that a
// signal interrupted may differ from those for the same address as a return address. The cached one
// never gets past a signal frame, and the other, which remembers nothing, is used for stacks that
// have one.
struct Spaces {
  unw_addr_space_t cached, uncached;
};

const Spaces& TheSpaces() {
  static const Spaces spaces = [] {
    static unw_accessors_t accessors = {FindProcInfo, PutUnwindInfo, DynInfoList, AccessMem,
                                        AccessReg,    AccessFpreg,   Resume,      ProcName};
    Spaces s{unw_create_addr_space(&accessors, 0), unw_create_addr_space(&accessors, 0)};
    unw_set_caching_policy(s.cached, UNW_CACHE_GLOBAL);
    unw_set_cache_size(s.cached, 1024, 0);
    unw_set_caching_policy(s.uncached, UNW_CACHE_NONE);
    return s;
  }();
  return spaces;
}

uintptr_t Get(unw_cursor_t* cursor, unw_regnum_t reg) {
  unw_word_t value = 0;
  return unw_get_reg(cursor, reg, &value) == 0 ? value : 0;
}

enum class Walked { kDone, kSignalFrame, kLacksRegister };

// One step, without libunwind's guesses. 1: the cursor is at the caller; 0: there is none; -1: not
// known.
int Step(Context* c, unw_cursor_t* cursor) {
  c->no_information = false;
  c->failed_read = false;
  const int result = unw_step(cursor);
  if (result < 0 || c->no_information || c->failed_read || c->lacks_register) return -1;
  return result > 0 ? 1 : 0;
}

// Unwinds from the frame that the cursor is at, which is (pc, sp).
Walked Walk(Context* c, unw_cursor_t* cursor, bool may_pass_signal, uintptr_t pc, uintptr_t sp,
            uintptr_t stop_sp, int max_frames, bool interrupted = false) {
  Unwinding* out = c->out;
  // `interrupted`: pc is where a signal came, not a return address.
  for (;;) {
    const uintptr_t return_address = interrupted ? pc + 1 : pc;
    const Segment* s = c->modules->Find(return_address - 1);
    const bool known = s != nullptr && s->executable;
    if (!known || !s->permanent) out->permanent = false;
    const bool is_signal_frame = known && unw_is_signal_frame(cursor) > 0;
    if (is_signal_frame && !may_pass_signal) return Walked::kSignalFrame;

    const int step = known ? Step(c, cursor) : -1;
    if (c->lacks_register) return Walked::kLacksRegister;
    const uintptr_t cfa = step < 0 ? 0 : Get(cursor, UNW_REG_SP);
    if (step >= 0 && stop_sp != 0 && cfa >= stop_sp) {
      // The last word was the return address of a frame that is not ours to report: nothing
      // depended on it.
      if (step > 0 && out->word_count > 0 && out->words[out->word_count - 1].address == cfa - 8) {
        --out->word_count;
      }
      out->at_stop = true;
      return Walked::kDone;
    }
    if (out->depth == max_frames) {
      out->truncated = true;
      return Walked::kDone;
    }
    out->pcs[out->depth++] = return_address;
    if (step < 0) {
      out->truncated = true;
      return Walked::kDone;
    }
    const uintptr_t next = Get(cursor, UNW_REG_IP);
    if (step == 0 || next == 0) return Walked::kDone;
    if (cfa == sp && next == pc) {  // no progress: broken tables
      out->truncated = true;
      return Walked::kDone;
    }
    pc = next;
    sp = cfa;
    interrupted = is_signal_frame;
  }
}

void Clear(Unwinding* out) {
  out->depth = 0;
  out->truncated = out->at_stop = out->read_fp = out->exact = false;
  out->permanent = out->repeatable = true;
  out->word_count = 0;
}

// From our own frame, whose registers are all known, up to the call site and on.
__attribute__((noinline)) void UnwindFromHere(const Modules& modules, const CallSite& site,
                                              uintptr_t stop_sp, int max_frames, Unwinding* out) {
  SavedRegisters registers;
  SaveRegisters(&registers);
  Clear(out);
  out->exact = true;
  out->repeatable = false;
  Context c{.modules = &modules, .site = &site, .registers = &registers, .out = nullptr};
  unw_cursor_t cursor;
  // A call site given as address + 1 of an interrupted instruction is reached through a signal
  // frame.
  constexpr int kMaxOwnFrames = 256;
  bool found = false;
  if (unw_init_remote(&cursor, TheSpaces().uncached, &c) == 0) {
    for (int i = 0; i < kMaxOwnFrames && !found; ++i) {
      const bool interrupted = unw_is_signal_frame(&cursor) > 0;
      if (Step(&c, &cursor) <= 0) break;
      found = Get(&cursor, UNW_REG_SP) == site.sp &&
              Get(&cursor, UNW_REG_IP) == (interrupted ? site.pc - 1 : site.pc);
    }
  }
  if (!found) {
    // The caller is known all the same; what lies above it is not.
    out->permanent = false;
    out->pcs[out->depth++] = site.pc;
    out->truncated = true;
    return;
  }
  c.out = out;
  if (Walk(&c, &cursor, true, site.pc, site.sp, stop_sp, max_frames) == Walked::kLacksRegister) {
    out->truncated = true;  // cannot be: all that a callee preserves was given
  }
  // Keeps the frame, whose registers were used, until here.
  asm volatile("" : : "r"(&registers) : "memory");
}

}  // namespace

bool Unwind(const Modules& modules, const CallSite& site, uintptr_t stop_sp, int max_frames,
            Unwinding* out) {
  for (const bool cached : {true, false}) {
    Clear(out);
    Context c{.modules = &modules, .site = &site, .registers = nullptr, .out = out};
    unw_cursor_t cursor;
    const unw_addr_space_t space = cached ? TheSpaces().cached : TheSpaces().uncached;
    if (unw_init_remote(&cursor, space, &c) != 0) break;
    const Walked walked = Walk(&c, &cursor, !cached, site.pc, site.sp, stop_sp, max_frames);
    if (walked == Walked::kDone) return true;
    if (walked == Walked::kLacksRegister) break;
  }
  UnwindFromHere(modules, site, stop_sp, max_frames, out);
  return true;
}

bool UnwindInterrupted(const Modules& modules, const void* context, uintptr_t stop_sp,
                       int max_frames, Unwinding* out) {
  Clear(out);
  out->repeatable = false;
  const CallSite site = InterruptedSite(context);
  const SavedRegisters registers = RegistersOf(context);
  Context c{.modules = &modules, .site = &site, .registers = &registers, .out = out};
  unw_cursor_t cursor;
  if (unw_init_remote(&cursor, TheSpaces().uncached, &c) != 0) {
    out->pcs[out->depth++] = site.pc;
    out->truncated = true;
    return true;
  }
  if (Walk(&c, &cursor, true, registers.rip, registers.rsp, stop_sp, max_frames, true) ==
      Walked::kLacksRegister) {
    // A frame that depends on a register which no callee preserves: the innermost may.
    if (out->depth == 0) out->pcs[out->depth++] = site.pc;
    out->truncated = true;
  }
  return true;
}

void UnwindTablesChanged() { unw_flush_cache(TheSpaces().cached, 0, 0); }

}  // namespace hpy::stacktrace
