// Capture of stacks: the memo first, the unwinder where it does not know.

#include <pthread.h>

#include <algorithm>
#include <new>

#include "stacktrace/core.h"
#include "stacktrace/memo.h"
#include "stacktrace/unwind.h"

namespace hpy::stacktrace {
namespace {

void FreeMemo(void* memo) {
  BusyScope busy;
  t_memo = nullptr;  // a capture in a later destructor starts anew, and is freed in the next turn
  delete static_cast<Memo*>(memo);
}

Memo* ThisMemo() {
  if (t_memo == nullptr) {
    struct Key {
      pthread_key_t key;
      bool good;
    };
    static const Key key = [] {
      Key k{};
      k.good = pthread_key_create(&k.key, FreeMemo) == 0;
      return k;
    }();
    if (!key.good) return nullptr;
    auto* memo = new (std::nothrow) Memo;
    if (memo == nullptr) return nullptr;
    if (pthread_setspecific(key.key, memo) != 0) {
      delete memo;
      return nullptr;
    }
    t_memo = memo;
  }
  return t_memo;
}

// Where an unwinding is written to, under the core's lock: too large for a small stack.
constinit Unwinding g_unwinding{};

PackedFrame Pack(Core* core, uintptr_t address, uintptr_t inside, bool tail, bool* permanent) {
  const Segment* s = core->modules.Find(inside);
  if (s == nullptr) {
    *permanent = false;
    return {0, address, tail};
  }
  if (!s->permanent) *permanent = false;
  const uint32_t module = core->modules.Register(*s);
  if (module == 0 || module > PackedFrame::kMaxModule) return {0, address, tail};
  return {module, address - s->bias, tail};
}

StackId Unwound(const MemoKey& key, const CaptureLimits& limits) {
  // No exception leaves this room by way of a capture: its callers are called from C.
  try {
    CoreLock core;
    core.Update();
    ++core->misses;
    Unwinding& u = g_unwinding;
    if (!Unwind(core->modules, {key.pc, key.sp, key.fp}, limits.stop_sp, limits.max_frames, &u)) {
      return kNoStack;
    }
    if (u.exact) ++core->exact;

    bool permanent = u.permanent;
    PackedFrame frames[kMaxFrames];
    int count = 0;
    Core* const state = core.operator->();
    for (int i = 0; i < u.depth; ++i) {
      frames[count++] = Pack(state, u.pcs[i], u.pcs[i] - 1, false, &permanent);
    }
    const bool tail = count == 0 && u.at_stop && key.callee != 0;
    if (tail) frames[count++] = Pack(state, key.callee, key.callee, true, &permanent);
    const StackId id = core->depot.Intern(frames, count, u.truncated);
    if (id == kNoStack) return kNoStack;
    if (Memo* memo = u.repeatable ? ThisMemo() : nullptr; memo != nullptr) {
      const uint32_t now = g_epoch.load(std::memory_order_relaxed);
      memo->Insert(key, permanent ? kEveryEpoch : now, now, u, tail, id);
    }
    return id;
  } catch (const std::bad_alloc&) {
    return kNoStack;
  }
}

// The stack of an entry that matches. Where one of its libraries may have been unloaded, and another
// one loaded at the same place, the loader is asked first: that can happen between any two captures.
StackId Trusted(const MemoEntry& e) {
  if (e.EpochOf() != kEveryEpoch) {
    CoreLock core;
    core.Update();
    if (e.EpochOf() != g_epoch.load(std::memory_order_relaxed)) return kNoStack;
  }
  return e.id;
}

// `limits` that hold: a stop that is not above, or 4 GiB and more away, is on another stack.
CaptureLimits OnThisStack(const CaptureLimits& limits, uintptr_t sp) {
  const bool here = limits.stop_sp > sp && limits.stop_sp - sp <= UINT32_MAX;
  return {here ? limits.stop_sp : 0, limits.callee, std::clamp(limits.max_frames, 1, kMaxFrames)};
}

}  // namespace

StackId Capture(const CallSite& site, const CaptureLimits& limits) {
  const CaptureLimits held = OnThisStack(limits, site.sp);
  const MemoKey key{site.pc, site.sp, site.fp, held.callee,
                    PackLimits(held.stop_sp, held.max_frames)};
  if (IsBusy()) {
    g_reentered.fetch_add(1, std::memory_order_relaxed);
    return kNoStack;
  }
  if (const Memo* memo = t_memo; memo != nullptr) {
    BusyScope busy;
    const MemoEntry* e = memo->FindElsewhere(key, g_epoch.load(std::memory_order_acquire));
    const StackId id = e == nullptr ? kNoStack : Trusted(*e);
    if (id != kNoStack) return id;
  }
  return Unwound(key, held);
}

int CaptureAddresses(const CallSite& site, const CaptureLimits& limits, uintptr_t* pcs, int max) {
  if (IsBusy() || max <= 0) return 0;
  try {
    CoreLock core;
    core.Update();
    Unwinding& u = g_unwinding;
    const uintptr_t stop_sp = limits.stop_sp > site.sp ? limits.stop_sp : 0;
    if (!Unwind(core->modules, site, stop_sp,
                std::clamp(std::min(max, limits.max_frames), 1, kMaxFrames), &u)) {
      return 0;
    }
    std::copy(u.pcs, u.pcs + u.depth, pcs);
    return u.depth;
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

int CaptureInterrupted(const void* context, const CaptureLimits& limits, uintptr_t* pcs, int max) {
  if (IsBusy() || max <= 0) return 0;
  try {
    CoreLock core;
    core.Update();
    Unwinding& u = g_unwinding;
    if (!UnwindInterrupted(core->modules, context, limits.stop_sp,
                           std::clamp(std::min(max, limits.max_frames), 1, kMaxFrames), &u)) {
      return 0;
    }
    std::copy(u.pcs, u.pcs + u.depth, pcs);
    return u.depth;
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

RawFrame RawFrameOf(uintptr_t return_address, bool may_register) {
  RawFrame raw{.module = 0, .offset = return_address, .tail = false};
  CoreLock core;
  const Segment* s = core->modules.Find(return_address - 1);
  if (s == nullptr) return raw;
  raw.module = may_register ? core->modules.Register(*s) : s->module;
  if (raw.module != 0) raw.offset -= s->bias;
  return raw;
}

}  // namespace hpy::stacktrace
