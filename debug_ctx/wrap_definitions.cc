// Wrappers of the slots that make types and modules from definitions.
#include <string>

#include "absl/container/inlined_vector.h"
#include "debug_ctx/api_call.h"
#include "debug_ctx/wrapper.h"

namespace hpy::debug_ctx {

HPy Wrapper<table::Slot_ctx_Type_FromSpec>::Call(HPyContext* ctx, HPyType_Spec* spec,
                                                 HPyType_SpecParam* params) {
  using S = table::Slot_ctx_Type_FromSpec;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  absl::InlinedVector<HPyType_SpecParam, 8> params_u;
  if (params != nullptr) {
    for (HPyType_SpecParam* param = params; static_cast<int>(param->kind) != 0; param++) {
      params_u.push_back(*param);
      params_u.back().object = api.Unwrap(param->object, 2);
    }
    params_u.push_back(HPyType_SpecParam{});
  }
  if (!api.ok()) return Refuse<S>();
  State& state = api.state();
  const std::string module = state.functions[api.call().function].module;
  state.functions.RegisterType(module, spec->name, spec->defines);
  const HPy type = state.host.NewType(spec, params != nullptr ? params_u.data() : nullptr);
  api.Back();
  return api.Wrap(type);
}

HPy Wrapper<table::Slot_ctx_Module_Create>::Call(HPyContext* ctx, HPyModuleDef* definition) {
  using S = table::Slot_ctx_Module_Create;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  State& state = api.state();
  const std::string module = state.functions[api.call().function].module;
  state.functions.RegisterModule(module.c_str(), definition->defines);
  state.globals.ExemptLibraryOf(site.pc);
  HPyContext* const universal = api.universal();
  return api.Wrap(universal->ctx_Module_Create(universal, definition));
}

}  // namespace hpy::debug_ctx
