// Numbers and names of the functions of extensions.
#include "debug_ctx/functions.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "handles/slot.h"

namespace hpy::debug_ctx {

namespace {

const char* SlotName(HPySlot_Slot slot) {
  switch (static_cast<int>(slot)) {
#define HPY_SLOT(name, value, ...) \
  case value:                      \
    return #name;
#include "hpy/abi/slots.inc"
#undef HPY_SLOT
  }
  return "HPySlot";
}

}  // namespace

Functions::Functions() : functions_(1) {}

Functions& Functions::operator=(const Functions& other) {
  if (this == &other) return *this;
  const std::lock_guard lock(OutsideMutex());
  functions_ = other.functions_;
  numbers_ = other.numbers_;
  std::copy(std::begin(other.cache_), std::end(other.cache_), std::begin(cache_));
  return *this;
}

uint32_t Functions::LookUp(uintptr_t entry) {
  auto [it, inserted] = numbers_.try_emplace(entry, static_cast<uint32_t>(functions_.size()));
  if (inserted) {
    if (functions_.size() >= handles::kMaxFunctions) {
      it->second = 0;
    } else {
      const std::lock_guard lock(OutsideMutex());
      functions_.push_back({entry, {}, {}});
    }
  }
  return it->second;
}

void Functions::Name(HPyCFunction implementation, const std::string& module, std::string name) {
  if (implementation == nullptr) return;
  const uint32_t number = LookUp(reinterpret_cast<uintptr_t>(implementation));
  if (number == 0) return;
  const std::lock_guard lock(OutsideMutex());
  functions_[number].module = module;
  functions_[number].name = std::move(name);
}

void Functions::NameAll(const std::string& module, const std::string& prefix,
                        HPyDef* const* defines) {
  if (defines == nullptr) return;
  for (; *defines != nullptr; defines++) {
    const HPyDef& def = **defines;
    switch (def.kind) {
      case HPyDef_Kind_Meth:
        if (def.meth.name != nullptr) Name(def.meth.impl, module, prefix + def.meth.name);
        break;
      case HPyDef_Kind_Slot:
        Name(def.slot.impl, module, prefix + SlotName(def.slot.slot));
        break;
      case HPyDef_Kind_GetSet:
        if (def.getset.name == nullptr) break;
        Name(def.getset.getter_impl, module, prefix + def.getset.name);
        Name(def.getset.setter_impl, module, prefix + def.getset.name);
        break;
      default:
        break;
    }
  }
}

void Functions::RegisterModule(const char* module, HPyDef* const* defines) {
  NameAll(module, "", defines);
}

void Functions::RegisterType(const std::string& module, const char* type, HPyDef* const* defines) {
  if (type == nullptr) return;
  const char* dot = std::strrchr(type, '.');
  // A spec's name is dotted: the part in front is its module where no call tells us one.
  const std::string home = module.empty() && dot != nullptr ? std::string(type, dot) : module;
  NameAll(home, std::string(dot != nullptr ? dot + 1 : type) + ".", defines);
}

}  // namespace hpy::debug_ctx
