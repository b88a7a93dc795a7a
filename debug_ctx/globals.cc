// Which HPyGlobals are listed, and by whom it does not matter.
#include "debug_ctx/globals.h"

#include <dlfcn.h>

namespace hpy::debug_ctx {

namespace {

const void* LibraryOf(const void* address) {
  Dl_info info;
  return address != nullptr && dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

const void* Pointer(uintptr_t address) {
  return reinterpret_cast<const void*>(address);  // NOLINT(performance-no-int-to-ptr)
}

}  // namespace

void Globals::Register(HPyGlobal* const* globals) {
  for (; globals != nullptr && *globals != nullptr; globals++) listed_.insert(*globals);
}

void Globals::ExemptLibraryOf(uintptr_t pc) {
  if (const void* library = LibraryOf(Pointer(pc))) exempt_libraries_.insert(library);
}

bool Globals::IsValueOfListed(HPyGlobal value) {
  if (values_.contains(value._i)) return true;
  // A value lasts as long as the process, so each is looked for once.
  for (const HPyGlobal* global : listed_) {
    if (global->_i != value._i) continue;
    values_.insert(value._i);
    return true;
  }
  return false;
}

bool Globals::IsExempt(uintptr_t pc, const void* address) const {
  if (exempt_libraries_.empty()) return false;
  return exempt_libraries_.contains(LibraryOf(Pointer(pc))) ||
         exempt_libraries_.contains(LibraryOf(address));
}

}  // namespace hpy::debug_ctx
