// Wrappers of the slots that hand out a pointer to an object's bytes.
#include <cstring>

#include "debug_ctx/api_call.h"
#include "debug_ctx/check_types.h"
#include "debug_ctx/wrapper.h"

namespace hpy::debug_ctx {

namespace {

// `bytes` belongs to the object. The extension's own pointer is a copy; null stays null.
const char* Give(ApiCall& api, HPy handle, const char* bytes, HPy_ssize_t size) {
  if (bytes == nullptr) return nullptr;
  State& state = api.state();
  handles::Slot* const slot = state.table.Resolve(handle);
  if (slot == nullptr) return bytes;  // closed, and an older hook let it pass
  return state.GiveBuffer(slot, bytes, static_cast<size_t>(size), api.info().api, api.call(),
                          api.site());
}

template <typename S>
const char* GiveBytes(HPyContext* ctx, HPy handle, const stacktrace::CallSite& site) {
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  const HPy handle_u = api.Unwrap(handle, 1);
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  const char* bytes = (universal->*S::kMember)(universal, handle_u);
  if (bytes == nullptr) return nullptr;
  return Give(api, handle, bytes, universal->ctx_Bytes_Size(universal, handle_u));
}

}  // namespace

const char* Wrapper<table::Slot_ctx_Bytes_AsString>::Call(HPyContext* ctx, HPy handle) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  return GiveBytes<table::Slot_ctx_Bytes_AsString>(ctx, handle, site);
}

const char* Wrapper<table::Slot_ctx_Bytes_AS_STRING>::Call(HPyContext* ctx, HPy handle) {
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  return GiveBytes<table::Slot_ctx_Bytes_AS_STRING>(ctx, handle, site);
}

const char* Wrapper<table::Slot_ctx_Unicode_AsUTF8AndSize>::Call(HPyContext* ctx, HPy handle,
                                                                 HPy_ssize_t* size) {
  using S = table::Slot_ctx_Unicode_AsUTF8AndSize;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  const HPy handle_u = api.Unwrap(handle, 1);
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  HPy_ssize_t length = 0;
  const char* bytes = universal->ctx_Unicode_AsUTF8AndSize(universal, handle_u, &length);
  const char* copy = Give(api, handle, bytes, length);
  if (copy != nullptr && size != nullptr) *size = length;
  return copy;
}

const char* Wrapper<table::Slot_ctx_Type_GetName>::Call(HPyContext* ctx, HPy type) {
  using S = table::Slot_ctx_Type_GetName;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  const HPy type_u = api.Unwrap(type, 1);
  CheckIsType(api, type, type_u, 1, "HPyType_GetName arg must be a type");
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  const char* name = universal->ctx_Type_GetName(universal, type_u);
  return Give(api, type, name, name == nullptr ? 0 : static_cast<HPy_ssize_t>(std::strlen(name)));
}

}  // namespace hpy::debug_ctx
