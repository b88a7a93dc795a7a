// Wrappers of the functions whose arguments must be of a certain type, and that check.
#include <string>
#include <utility>

#include "debug_ctx/check_types.h"
#include "debug_ctx/story.h"
#include "debug_ctx/wrapper.h"

namespace hpy::debug_ctx {

namespace {

// The object is open, so what is told of it is true.
void RefuseType(ApiCall& api, HPy handle, HPy handle_u, int position, const char* wanted,
                const char* fatal) {
  State& state = api.state();
  leakdetector::Violation violation =
      Begin(api.place(), leakdetector::Kind::kWrongArgumentType,
            std::string(api.info().api) + " was given an object of type '" +
                state.host.TypeName(handle_u) + "' where it needs " + wanted);
  TellStory(api.place(), state.table, handle, &violation);
  violation.opened.reset();
  violation.argument = position;
  api.Refuse(std::move(violation), fatal);
}

}  // namespace

bool CheckIsType(ApiCall& api, HPy handle, HPy handle_u, int position, const char* fatal) {
  HPyContext* const universal = api.universal();
  if (!api.ok() || HPy_IsNull(handle_u) ||
      universal->ctx_TypeCheck(universal, handle_u, universal->h_TypeType)) {
    return true;
  }
  RefuseType(api, handle, handle_u, position, "a type", fatal);
  return false;
}

bool CheckIsUnicode(ApiCall& api, HPy handle, HPy handle_u, int position, const char* fatal) {
  HPyContext* const universal = api.universal();
  if (!api.ok() || HPy_IsNull(handle_u) || universal->ctx_Unicode_Check(universal, handle_u)) {
    return true;
  }
  RefuseType(api, handle, handle_u, position, "a str", fatal);
  return false;
}

bool CheckIsTuple(ApiCall& api, HPy handle, HPy handle_u, int position, const char* fatal) {
  HPyContext* const universal = api.universal();
  if (!api.ok() || HPy_IsNull(handle_u) || universal->ctx_Tuple_Check(universal, handle_u)) {
    return true;
  }
  RefuseType(api, handle, handle_u, position, "a tuple of keyword names", fatal);
  return false;
}

int Wrapper<table::Slot_ctx_TypeCheck>::Call(HPyContext* ctx, HPy object, HPy type) {
  using S = table::Slot_ctx_TypeCheck;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  const HPy object_u = api.Unwrap(object, 1);
  const HPy type_u = api.Unwrap(type, 2);
  CheckIsType(api, type, type_u, 2, "HPy_TypeCheck arg 2 must be a type");
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  return universal->ctx_TypeCheck(universal, object_u, type_u);
}

int Wrapper<table::Slot_ctx_Type_IsSubtype>::Call(HPyContext* ctx, HPy sub, HPy type) {
  using S = table::Slot_ctx_Type_IsSubtype;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  const HPy sub_u = api.Unwrap(sub, 1);
  const HPy type_u = api.Unwrap(type, 2);
  CheckIsType(api, sub, sub_u, 1, "HPyType_IsSubtype arg 1 must be a type");
  CheckIsType(api, type, type_u, 2, "HPyType_IsSubtype arg 2 must be a type");
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  return universal->ctx_Type_IsSubtype(universal, sub_u, type_u);
}

HPy Wrapper<table::Slot_ctx_Unicode_Substring>::Call(HPyContext* ctx, HPy text, HPy_ssize_t start,
                                                     HPy_ssize_t end) {
  using S = table::Slot_ctx_Unicode_Substring;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  const HPy text_u = api.Unwrap(text, 1);
  CheckIsUnicode(api, text, text_u, 1, "HPyUnicode_Substring arg 1 must be a Unicode object");
  if (!api.ok()) return Refuse<S>();
  HPyContext* const universal = api.universal();
  return api.Wrap(universal->ctx_Unicode_Substring(universal, text_u, start, end));
}

}  // namespace hpy::debug_ctx
