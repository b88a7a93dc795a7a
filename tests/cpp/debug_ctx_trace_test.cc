// Trace contexts in front of a fake interpreter, and around its debug context.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "debug_ctx/trace.h"
#include "fake_interpreter.h"

namespace hpy::debug_ctx {
namespace {

class FakeTraceHost final : public TraceHost {
 public:
  void OnEnter(const char* function) override {
    events.push_back(std::string("> ") + function + (has_interpreter ? "" : " without it"));
  }
  void OnExit(const char* function) override {
    events.push_back(std::string("< ") + function + (has_interpreter ? "" : " without it"));
  }
  void CallRealFunction(HPyContext* ctx, HPyFunc_Signature signature, HPyCFunction,
                        void*) override {
    called_with = ctx;
    called_signature = signature;
  }

  static inline bool has_interpreter = true;
  std::vector<std::string> events;
  HPyContext* called_with = nullptr;
  HPyFunc_Signature called_signature = {};
};

class TraceTest : public testing::Test {
 protected:
  TraceTest() {
    HPyContext& fake = debugger.interpreter.context;
    fake.ctx_LeavePythonExecution = [](HPyContext*) {
      EXPECT_TRUE(FakeTraceHost::has_interpreter);
      FakeTraceHost::has_interpreter = false;
      return HPyThreadState{7};
    };
    fake.ctx_ReenterPythonExecution = [](HPyContext*, HPyThreadState state) {
      EXPECT_FALSE(FakeTraceHost::has_interpreter);
      EXPECT_EQ(state._i, 7);
      FakeTraceHost::has_interpreter = true;
    };
    layer.Init(&context, &fake);
  }

  uint64_t Calls(const std::string& name) { return Find(name).calls; }
  TracedFunction Find(const std::string& name) {
    for (int i = 0; i < Trace::Size(); i++) {
      if (trace.Get(i).name == name) return trace.Get(i);
    }
    ADD_FAILURE() << name << " is not listed";
    return {};
  }
  uint64_t AllCalls() {
    uint64_t sum = 0;
    for (int i = 0; i < Trace::Size(); i++) sum += trace.Get(i).calls;
    return sum;
  }

  FakeDebugger debugger;
  FakeTraceHost host;
  Trace trace{host};
  TraceLayer layer{trace};
  HPyContext context;
};

TEST_F(TraceTest, ListsTheFunctionsOfTheTable) {
  EXPECT_EQ(Trace::Size(), 189);
  EXPECT_STREQ(trace.Get(0).name, "ctx_Dup");
  EXPECT_STREQ(trace.Get(188).name, "ctx_Slice_New");
  EXPECT_GT(Trace::ClockFrequency(), 0u);
}

TEST_F(TraceTest, HandsOnHandlesAndConstantsAsTheyAre) {
  EXPECT_EQ(context.h_None._i, debugger.interpreter.context.h_None._i);
  const HPy number = HPyLong_FromLongLong(&context, 41);
  EXPECT_EQ(HPy_Dup(&context, number)._i, number._i);
  EXPECT_EQ(Calls("ctx_Long_FromInt64_t"), 1u);
  EXPECT_EQ(Calls("ctx_Dup"), 1u);
  EXPECT_EQ(AllCalls(), 2u);
  EXPECT_GT(Find("ctx_Dup").nanoseconds + Find("ctx_Long_FromInt64_t").nanoseconds, 0u);
  EXPECT_TRUE(host.events.empty()) << "nobody asked for them";
  trace.Reset();
  EXPECT_EQ(AllCalls(), 0u);
}

TEST_F(TraceTest, TellsTheHostWhatItAskedFor) {
  trace.SetHooks(true, false);
  HPy_Dup(&context, context.h_None);
  trace.SetHooks(false, true);
  HPy_Dup(&context, context.h_None);
  EXPECT_EQ(host.events, (std::vector<std::string>{"> ctx_Dup", "< ctx_Dup"}));
}

TEST_F(TraceTest, WhatIsNotCountedIsNotToldEither) {
  HPyContext& fake = debugger.interpreter.context;
  fake.ctx_FatalError = [](HPyContext*, const char*) {};
  fake.ctx_Module_Create = [](HPyContext* ctx, _HPyModuleDef_ABI*) { return ctx->h_None; };
  layer.Init(&context, &fake);
  trace.SetHooks(true, true);
  context.ctx_FatalError(&context, "the end");
  EXPECT_EQ(context.ctx_Module_Create(&context, nullptr)._i, fake.h_None._i);
  EXPECT_EQ(AllCalls(), 0u);
  EXPECT_TRUE(host.events.empty());
}

TEST_F(TraceTest, TheHostHoldsTheInterpreterWhenItIsTold) {
  trace.SetHooks(true, true);
  const HPyThreadState state = HPy_LeavePythonExecution(&context);
  EXPECT_FALSE(FakeTraceHost::has_interpreter);
  HPy_ReenterPythonExecution(&context, state);
  EXPECT_TRUE(FakeTraceHost::has_interpreter);
  EXPECT_EQ(host.events, (std::vector<std::string>{
                             "> ctx_LeavePythonExecution", "< ctx_LeavePythonExecution",
                             "> ctx_ReenterPythonExecution", "< ctx_ReenterPythonExecution"}));
  EXPECT_EQ(AllCalls(), 2u) << "what it takes to tell the host is not counted";
}

TEST_F(TraceTest, TheHostCallsImplementationsWithTheTraceContext) {
  context.ctx_CallRealFunctionFromTrampoline(&context, HPyFunc_O, nullptr, nullptr);
  EXPECT_EQ(host.called_with, &context);
  EXPECT_EQ(host.called_signature, HPyFunc_O);
  EXPECT_EQ(AllCalls(), 0u);
}

HPy AddOne(HPyContext* ctx, HPy, HPy arg) {
  const HPy one = HPyLong_FromLongLong(ctx, 1);
  const HPy sum = HPy_Add(ctx, arg, one);
  HPy_Close(ctx, one);
  return sum;
}

TEST_F(TraceTest, AroundTheDebugContext) {
  TraceLayer debug_layer(trace);
  debugger.Call(AddOne, 1);
  EXPECT_EQ(AllCalls(), 0u);
  // The contexts of calls that ended come back: all of them must be traced.
  debug_layer.Attach(debugger.state.root());
  for (int i = 0; i < 200; i++) EXPECT_EQ(debugger.Call(AddOne, i)->value, i + 1);
  EXPECT_EQ(Calls("ctx_Add"), 200u);
  EXPECT_EQ(AllCalls(), 600u) << "what debug mode calls itself is not counted";
  debug_layer.Detach(debugger.state.root());
  for (int i = 0; i < 200; i++) debugger.Call(AddOne, i);
  EXPECT_EQ(AllCalls(), 600u);
  EXPECT_TRUE(debugger.interpreter.told.empty()) << "debug mode has nothing to report";
}

// A call that is in progress goes on untraced; its context comes back like all others.
TEST_F(TraceTest, AroundTheDebugContextFromWithinACall) {
  static TraceLayer* layer_to_attach;
  static FakeDebugger* inside;
  TraceLayer debug_layer(trace);
  layer_to_attach = &debug_layer;
  inside = &debugger;
  debugger.Call(
      [](HPyContext* ctx, HPy, HPy arg) {
        layer_to_attach->Attach(inside->state.root());
        inside->Call(AddOne, 1);
        return HPy_Dup(ctx, arg);
      },
      0);
  EXPECT_EQ(Calls("ctx_Add"), 1u);
  EXPECT_EQ(Calls("ctx_Dup"), 0u);
  for (int i = 0; i < 200; i++) debugger.Call(AddOne, i);
  EXPECT_EQ(Calls("ctx_Add"), 201u);
}

TEST_F(TraceTest, AroundTheDebugContextMistakesAreFound) {
  TraceLayer debug_layer(trace);
  debug_layer.Attach(debugger.state.root());
  debugger.Call(
      [](HPyContext* ctx, HPy, HPy) {
        const HPy number = HPyLong_FromLongLong(ctx, 5);
        HPy_Close(ctx, number);
        EXPECT_EQ(HPyLong_AsLongLong(ctx, number), -1);
        return HPy_NULL;
      },
      0);
  ASSERT_EQ(debugger.interpreter.raised.size(), 1u);
  EXPECT_EQ(debugger.interpreter.raised[0].kind, leakdetector::Kind::kUseAfterClose);
}

}  // namespace
}  // namespace hpy::debug_ctx
