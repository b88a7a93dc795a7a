// The debug context in front of a fake interpreter: what becomes of handles, and which mistakes are found.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "debug_ctx/leaks.h"
#include "fake_interpreter.h"

namespace hpy::debug_ctx {
namespace {

using leakdetector::Kind;
using leakdetector::Violation;

class DebugContextTest : public testing::Test {
 protected:
  const Violation& OnlyRaised() {
    EXPECT_EQ(debugger.interpreter.raised.size(), 1u);
    static const Violation none;
    return debugger.interpreter.raised.empty() ? none : debugger.interpreter.raised.back();
  }

  FakeDebugger debugger;
};

HPy AddOne(HPyContext* ctx, HPy, HPy arg) {
  const HPy one = HPyLong_FromLongLong(ctx, 1);
  const HPy sum = HPy_Add(ctx, arg, one);
  HPy_Close(ctx, one);
  return sum;
}

TEST_F(DebugContextTest, ACorrectFunctionGivesItsResultAndNoReport) {
  FakeObject* result = debugger.Call(AddOne, 41);
  ASSERT_NE(result, nullptr);
  EXPECT_EQ(result->value, 42);
  EXPECT_EQ(result->references, 1) << "the caller owns the result, and nobody else";
  EXPECT_EQ(debugger.interpreter.References(), 1);
  EXPECT_TRUE(debugger.interpreter.told.empty());
  EXPECT_TRUE(FindLeaks(debugger.state, {}).empty());
}

HPy LeakOne(HPyContext* ctx, HPy, HPy) {
  static_cast<void>(HPyLong_FromLongLong(ctx, 42));
  return HPy_Dup(ctx, ctx->h_None);
}

TEST_F(DebugContextTest, ALeakKnowsItsObjectItsStacksAndThePythonLine) {
  const int64_t generation = debugger.state.NewGeneration();
  debugger.Call(LeakOne, 0);
  const std::vector<Leak> leaks =
      FindLeaks(debugger.state, {.generation = generation, .ignore = {}});
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_EQ(leaks[0].handles.size(), 1u);
  const Violation& leak = leaks[0].violation;
  EXPECT_EQ(leak.kind, Kind::kHandleLeak);
  EXPECT_EQ(leak.handle->repr, "42");
  EXPECT_EQ(leak.handle->type, "int");
  EXPECT_EQ(leak.handle->order, 3u) << "after self and the argument";
  ASSERT_TRUE(leak.opened.has_value());
  ASSERT_FALSE(leak.opened->python.empty());
  EXPECT_EQ(leak.opened->python[0].line, 17);
}

// Handles of a call in which a generation begins: the older ones do not count in the new one, neither
// when they are closed nor when they are left.
HPy BeginGeneration(HPyContext* ctx, HPy, HPy) {
  State& state = *DebugContext::From(ctx)->call.state;
  const int64_t before = state.table.generation();
  const HPy closed_later = HPyLong_FromLongLong(ctx, 1);
  const HPy left = HPyLong_FromLongLong(ctx, 2);
  const int64_t generation = state.NewGeneration();
  EXPECT_EQ(state.table.CountOpen(generation), 0u);
  HPy_Close(ctx, closed_later);
  EXPECT_EQ(state.table.CountOpen(generation), 0u);
  const HPy younger = HPyLong_FromLongLong(ctx, 3);
  EXPECT_EQ(state.table.CountOpen(generation), 1u);
  HPy_Close(ctx, younger);
  EXPECT_EQ(state.table.CountOpen(generation), 0u);
  EXPECT_EQ(state.table.CountOpen(before), state.table.CountOpen(generation) + 1);
  static_cast<void>(left);
  return HPy_Dup(ctx, ctx->h_None);
}

TEST_F(DebugContextTest, AGenerationMayBeginInsideACall) {
  const int64_t before = debugger.state.NewGeneration();
  debugger.Call(BeginGeneration, 0);
  const std::vector<Leak> leaks = FindLeaks(debugger.state, {.generation = before, .ignore = {}});
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_EQ(leaks[0].violation.handle->repr, "2");
  ASSERT_FALSE(leaks[0].violation.opened->python.empty()) << "it is still in the log of its call";
  EXPECT_TRUE(
      FindLeaks(debugger.state, {.generation = debugger.state.table.generation(), .ignore = {}})
          .empty());
}

// A handle is closed twice; `arg` says what happens before that.
handles::Slot* closed_twice = nullptr;
HPy CloseTwiceAfter(HPyContext* ctx, HPy, HPy arg) {
  State& state = *DebugContext::From(ctx)->call.state;
  handles::Slot* const slot = state.table.Resolve(HPyLong_FromLongLong(ctx, 1));
  switch (HPyLong_AsLongLong(ctx, arg)) {
    case 1:
      state.NewGeneration();
      break;
    case 2:  // to the last one that its slot has
      slot->value |= uint64_t{0x7FFFFFFF} << handles::kGenerationShift;
      break;
    case 3:
      state.SetStackDepth(0);
      break;
    default:
      break;
  }
  closed_twice = slot;
  const HPy handle = state.table.HandleOf(*slot);
  const int64_t newest = state.table.generation();
  const size_t open = state.table.CountOpen(0), young = state.table.CountOpen(newest);
  HPy_Close(ctx, handle);
  EXPECT_EQ(state.table.CountOpen(0), open - 1);
  const bool is_older = HPyLong_AsLongLong(ctx, arg) == 1;
  EXPECT_EQ(state.table.CountOpen(newest), is_older ? young : young - 1);
  HPy_Close(ctx, handle);
  return HPy_Dup(ctx, ctx->h_None);
}

TEST_F(DebugContextTest, ClosingIsTheSameWhateverTheHandleIs) {
  const auto closed_at = [&](int how) {
    debugger.interpreter.raised.clear();
    debugger.Call(CloseTwiceAfter, how);
    const Violation& raised = OnlyRaised();
    EXPECT_EQ(raised.kind, Kind::kDoubleClose) << how;
    std::vector<uint64_t> offsets;
    if (raised.closed.has_value()) {
      for (const auto& frame : raised.closed->native) offsets.push_back(frame.offset);
    }
    return offsets;
  };
  const std::vector<uint64_t> first = closed_at(0), usual = closed_at(0);
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(first, usual);
  EXPECT_EQ(closed_at(1), usual) << "of an older generation";
  EXPECT_EQ(closed_at(2), usual) << "its slot is worn out";
  const handles::Slot* const worn_out = closed_twice;
  debugger.state.table.set_closed_queue_max(0);
  for (int i = 0; i < 10; i++) debugger.Call(LeakOne, 0);
  EXPECT_FALSE(worn_out->is_open()) << "it is not used again";
  EXPECT_TRUE(closed_at(3).empty()) << "no stacks";
}

// HPy_Close of null at the end of a function is no reason to unwind.
HPy CloseNull(HPyContext* ctx, HPy, HPy) {
  for (int i = 0; i < 3; i++) HPy_Close(ctx, HPy_NULL);
  return HPy_Dup(ctx, ctx->h_None);
}
HPy CloseNoNull(HPyContext* ctx, HPy, HPy) { return HPy_Dup(ctx, ctx->h_None); }

TEST_F(DebugContextTest, ClosingNullTakesNoStack) {
  const auto unwindings = [&](auto function) {
    const uint64_t before = stacktrace::GetStats().misses;
    debugger.Call(function, 0);
    return stacktrace::GetStats().misses - before;
  };
  EXPECT_EQ(unwindings(CloseNull), unwindings(CloseNoNull));
}

HPy UseAfterClose(HPyContext* ctx, HPy, HPy) {
  const HPy number = HPyLong_FromLongLong(ctx, 5);
  HPy_Close(ctx, number);
  EXPECT_EQ(HPyLong_AsLongLong(ctx, number), -1);
  return HPy_NULL;
}

TEST_F(DebugContextTest, UseAfterCloseNeverReachesTheInterpreter) {
  EXPECT_EQ(debugger.Call(UseAfterClose, 0), nullptr);
  const Violation& found = OnlyRaised();
  EXPECT_EQ(found.kind, Kind::kUseAfterClose);
  EXPECT_EQ(found.api, "HPyLong_AsInt64_t");
  EXPECT_EQ(found.argument, 1);
  EXPECT_TRUE(found.at && found.opened && found.closed);
  EXPECT_FALSE(found.handle->repr.has_value()) << "the object may be gone";
}

HPy KeepAnother(HPyContext* ctx, HPy, HPy) {
  const HPy number = HPyLong_FromLongLong(ctx, 5);
  const HPy other = HPy_Dup(ctx, number);
  HPy_Close(ctx, number);
  EXPECT_TRUE(HPy_IsNull(HPy_Add(ctx, other, number)));
  HPy_Close(ctx, other);
  return HPy_NULL;
}

TEST_F(DebugContextTest, TheObjectIsKnownWhileAnotherHandleIsOpen) {
  debugger.Call(KeepAnother, 0);
  const Violation& found = OnlyRaised();
  EXPECT_EQ(found.argument, 2);
  EXPECT_EQ(found.handle->repr, "5");
}

HPy CloseTwice(HPyContext* ctx, HPy, HPy) {
  const HPy number = HPyLong_FromLongLong(ctx, 5);
  HPy_Close(ctx, number);
  HPy_Close(ctx, number);
  return HPyLong_FromLongLong(ctx, 6);
}

TEST_F(DebugContextTest, DoubleCloseHasNoErrorValueSoItIsRaisedAtTheReturn) {
  EXPECT_EQ(debugger.Call(CloseTwice, 0), nullptr) << "the result is given up for the error";
  EXPECT_EQ(OnlyRaised().kind, Kind::kDoubleClose);
  EXPECT_EQ(debugger.interpreter.References(), 0) << "nothing of ours is left";
  EXPECT_TRUE(FindLeaks(debugger.state, {}).empty());
}

TEST_F(DebugContextTest, UnderWarnExecutionGoesOnWhereThereIsNoErrorValue) {
  debugger.state.settings.policy = Policy::kWarn;
  FakeObject* result = debugger.Call(CloseTwice, 0);
  ASSERT_NE(result, nullptr);
  EXPECT_EQ(result->value, 6);
  EXPECT_EQ(debugger.interpreter.warned.size(), 1u);
  EXPECT_TRUE(debugger.interpreter.raised.empty());
}

TEST_F(DebugContextTest, AWarningThatIsAnErrorIsRaisedAtTheReturn) {
  debugger.state.settings.policy = Policy::kWarn;
  debugger.interpreter.warnings_are_errors = true;
  EXPECT_EQ(debugger.Call(CloseTwice, 0), nullptr);
  EXPECT_EQ(OnlyRaised().kind, Kind::kDoubleClose);
}

HPy CloseArgument(HPyContext* ctx, HPy, HPy arg) {
  HPy_Close(ctx, arg);
  return HPy_Dup(ctx, ctx->h_None);
}
HPy CloseConstant(HPyContext* ctx, HPy, HPy) {
  HPy_Close(ctx, ctx->h_None);
  return HPy_Dup(ctx, ctx->h_None);
}
HPy ReturnArgument(HPyContext*, HPy, HPy arg) { return arg; }
HPy ReturnConstant(HPyContext* ctx, HPy, HPy) { return ctx->h_None; }
HPy ReturnClosed(HPyContext* ctx, HPy, HPy) {
  const HPy number = HPyLong_FromLongLong(ctx, 5);
  HPy_Close(ctx, number);
  return number;
}
HPy ReturnForged(HPyContext*, HPy, HPy) { return HPy{0x123456789abc}; }
HPy UseNull(HPyContext* ctx, HPy, HPy arg) { return HPy_Add(ctx, arg, HPy_NULL); }
HPy UseForged(HPyContext* ctx, HPy, HPy arg) { return HPy_Add(ctx, HPy{0x7f0000001001}, arg); }

TEST_F(DebugContextTest, EachMistakeHasItsKind) {
  const std::pair<HPyFunc_o, Kind> cases[] = {
      {CloseArgument, Kind::kCloseOfArgument},
      {CloseConstant, Kind::kCloseOfConstant},
      {ReturnArgument, Kind::kReturnOfArgument},
      {ReturnConstant, Kind::kReturnOfConstant},
      {ReturnClosed, Kind::kReturnOfClosed},
      {ReturnForged, Kind::kNotAHandle},
      {UseNull, Kind::kNullArgument},
      {UseForged, Kind::kNotAHandle},
  };
  for (const auto& [function, kind] : cases) {
    debugger.interpreter.raised.clear();
    EXPECT_EQ(debugger.Call(function, 3), nullptr);
    EXPECT_EQ(OnlyRaised().kind, kind) << leakdetector::KindName(kind);
    EXPECT_EQ(debugger.interpreter.References(), 0) << leakdetector::KindName(kind);
    EXPECT_TRUE(FindLeaks(debugger.state, {}).empty()) << leakdetector::KindName(kind);
  }
}

HPy kept_handle;
HPyContext* kept_context;

HPy KeepArgument(HPyContext* ctx, HPy, HPy arg) {
  kept_handle = arg;
  kept_context = ctx;
  return HPy_Dup(ctx, ctx->h_None);
}
HPy UseKept(HPyContext* ctx, HPy, HPy) { return HPy_Dup(ctx, kept_handle); }
HPy UseKeptContext(HPyContext*, HPy, HPy) { return HPyLong_FromLongLong(kept_context, 1); }

TEST_F(DebugContextTest, AnArgumentIsClosedWhenItsCallReturns) {
  debugger.Call(KeepArgument, 3);
  debugger.Call(UseKept, 0);
  EXPECT_EQ(OnlyRaised().kind, Kind::kUseAfterClose);
  EXPECT_NE(OnlyRaised().message.find("an argument of a call that has returned"),
            std::string::npos);
}

HPy ChurnHandles(HPyContext* ctx, HPy, HPy arg) {
  for (int i = 0; i < 5000; i++) HPy_Close(ctx, HPy_Dup(ctx, arg));
  return HPy_Dup(ctx, ctx->h_None);
}

TEST_F(DebugContextTest, OtherHandlesDoNotPushTheStoryOfAnArgumentOut) {
  debugger.Call(KeepArgument, 3);
  debugger.Call(ChurnHandles, 3);
  debugger.Call(UseKept, 0);
  EXPECT_TRUE(OnlyRaised().opened.has_value());
}

TEST_F(DebugContextTest, WhoAsksForClosedHandlesGetsArgumentsTooFromThenOn) {
  debugger.Call(KeepArgument, 3);
  debugger.state.QueueArguments();
  const size_t before = debugger.state.table.ClosedSlots(0).size();
  EXPECT_EQ(before, 3u) << "self, the argument and the result";
  debugger.Call(KeepArgument, 3);
  EXPECT_EQ(debugger.state.table.ClosedSlots(0).size(), before + 3);
  debugger.Call(ChurnHandles, 3);
  debugger.Call(UseKept, 0);
  EXPECT_FALSE(OnlyRaised().opened.has_value()) << "in the queue as any other";
}

HPy QueueAndUse(HPyContext* ctx, HPy, HPy arg) {
  DebugContext::From(ctx)->call.state->QueueArguments();
  return HPy_Dup(ctx, arg);
}

TEST_F(DebugContextTest, ArgumentsOfACallInProgressAreQueuedWhenItEnds) {
  EXPECT_EQ(debugger.Call(QueueAndUse, 5)->value, 5);
  EXPECT_EQ(debugger.state.table.ClosedSlots(0).size(), 3u);
  EXPECT_EQ(debugger.Call(QueueAndUse, 6)->value, 6);
  EXPECT_EQ(debugger.state.table.ClosedSlots(0).size(), 6u);
}

TEST_F(DebugContextTest, AStaleContextIsFoundInTheSixtyFourCallsThatFollow) {
  debugger.Call(KeepArgument, 3);
  for (int i = 0; i < 64; i++) {
    debugger.interpreter.raised.clear();
    debugger.Call(UseKeptContext, 0);
    EXPECT_EQ(OnlyRaised().kind, Kind::kStaleContext) << "call " << i;
  }
}

FakeDebugger* nested_debugger;

HPy UseOuterContext(HPyContext*, HPy, HPy) { return HPyLong_FromLongLong(kept_context, 1); }
HPy CallNested(HPyContext* ctx, HPy, HPy arg) {
  kept_context = ctx;
  EXPECT_EQ(nested_debugger->Call(UseOuterContext, 0), nullptr);
  HPyErr_Clear(ctx);
  return HPy_Dup(ctx, arg);  // our own context is still good
}

TEST_F(DebugContextTest, TheContextOfAnOuterCallIsWrongInANestedOne) {
  nested_debugger = &debugger;
  EXPECT_NE(debugger.Call(CallNested, 3), nullptr);
  EXPECT_EQ(OnlyRaised().kind, Kind::kStaleContext);
}

HPy ReadText(HPyContext* ctx, HPy, HPy arg) {
  HPy_ssize_t size = 0;
  const char* first = HPyUnicode_AsUTF8AndSize(ctx, arg, &size);
  EXPECT_EQ(std::string(first, static_cast<size_t>(size)), "text");
  EXPECT_EQ(HPyUnicode_AsUTF8AndSize(ctx, arg, nullptr), first) << "one copy for a handle";
  kept_handle = arg;
  return HPy_Dup(ctx, ctx->h_None);
}

TEST_F(DebugContextTest, BytesAreCopiedOncePerHandle) {
  EXPECT_NE(debugger.Call(ReadText, 0), nullptr);
  const handles::Slot* slot = debugger.state.table.SlotOf(kept_handle);
  ASSERT_NE(slot, nullptr);
  EXPECT_FALSE(slot->is_open());
  EXPECT_EQ(debugger.state.RawDataSize(*slot), 5);
}

TEST_F(DebugContextTest, WithAnOlderHookTheCallGoesOnWithTheObject) {
  debugger.interpreter.hook_installed = true;
  debugger.state.KeepClosed(true);
  debugger.Call(KeepArgument, 3);
  FakeObject* result = debugger.Call(UseKept, 0);
  ASSERT_NE(result, nullptr);
  EXPECT_EQ(result->value, 3);
  EXPECT_EQ(debugger.interpreter.hook_calls, 1);
  EXPECT_TRUE(debugger.interpreter.told.empty());
}

HPy KeepClosedIfNotNull(HPyContext* ctx, HPy, HPy arg) {
  if (HPyLong_AsLongLong(ctx, arg) != 0) DebugContext::From(ctx)->call.state->KeepClosed(true);
  HPy_Close(ctx, HPy_Dup(ctx, arg));
  return HPy_Dup(ctx, arg);
}

TEST_F(DebugContextTest, AnOlderHookIsSetWithinACall) {
  const auto kept = [&] {
    int count = 0;
    debugger.state.table.ForEachKept([&](handles::Slot&) { count++; });
    return count;
  };
  for (int i = 0; i < 100; i++) debugger.Call(KeepClosedIfNotNull, 0);
  EXPECT_EQ(kept(), 0);
  debugger.Call(KeepClosedIfNotNull, 1);
  EXPECT_EQ(kept(), 4) << "two arguments, what was closed, and the result";
  debugger.Call(KeepClosedIfNotNull, 0);
  EXPECT_EQ(kept(), 8);
  debugger.state.ReleaseKept();
  debugger.Call(KeepClosedIfNotNull, 0);
  EXPECT_EQ(kept(), 0);
}

State* releases = nullptr;

TEST_F(DebugContextTest, WhatAClosedHandleKeptIsReleasedOnce) {
  State& state = debugger.state;
  debugger.interpreter.context.ctx_Close = [](HPyContext*, HPy h) {
    if (State* now = std::exchange(releases, nullptr)) now->ReleaseKept();
    FakeInterpreter::Object(h)->references--;
  };
  std::vector<int64_t> left;
  for (State* within : {static_cast<State*>(nullptr), &state}) {
    const int64_t before = debugger.interpreter.References();
    debugger.Call(KeepClosedIfNotNull, 1);
    releases = within;
    state.table.set_closed_queue_max(0);
    debugger.Call(KeepClosedIfNotNull, 0);
    EXPECT_EQ(releases, nullptr) << "nothing was released";
    state.ReleaseKept();
    state.table.set_closed_queue_max(1024);
    left.push_back(debugger.interpreter.References() - before);
  }
  EXPECT_EQ(left[0], left[1]) << "also where all are released within the release of one";
}

TEST_F(DebugContextTest, WhatMostCallsTouchIsTwoLinesOfTheCache) {
  const Call call;
  const auto offset = [&](const auto& member) {
    return reinterpret_cast<const char*>(&member) - reinterpret_cast<const char*>(&call);
  };
  EXPECT_EQ(reinterpret_cast<uintptr_t>(&call) % kCacheLine, 0u);
  EXPECT_LE(offset(call.log) + 3 * sizeof(HPy*), 2 * kCacheLine) << "its pointers come first";
  for (const std::ptrdiff_t last :
       {offset(call.function), offset(call.state), offset(call.outer), offset(call.previous),
        offset(call.mark), offset(call.memo_limits), offset(call.callee), offset(call.exception),
        offset(call.first_order), offset(call.arguments), offset(call.next_free)}) {
    EXPECT_LT(last, offset(call.log));
  }
}

// Null arguments have no slot; the first slot that is used counts the generation for all.
TEST_F(DebugContextTest, NullArgumentsAmongOthers) {
  static std::vector<std::vector<HPy>> seen;
  seen.clear();
  const HPyFunc_objobjargproc function = [](HPyContext*, HPy a, HPy b, HPy c) {
    seen.push_back({a, b, c});
    return 0;
  };
  HPyContext* const root = debugger.state.root();
  const HPy object = debugger.interpreter.New(1);
  auto* const native = static_cast<cpy_PyObject*>(debugger.interpreter.Native(object));
  std::set<intptr_t> values;
  size_t opened = 0;
  for (int i = 0; i < 800; i++) {
    _HPyFunc_args_OBJOBJARGPROC args = {};
    args.arg0 = (i & 1) != 0 ? native : nullptr;
    args.arg1 = (i & 2) != 0 ? native : nullptr;
    args.arg2 = (i & 4) != 0 ? native : nullptr;
    root->ctx_CallRealFunctionFromTrampoline(
        root, HPyFunc_OBJOBJARGPROC,
        reinterpret_cast<HPyCFunction>(reinterpret_cast<void (*)()>(function)), &args);
    ASSERT_EQ(seen.size(), static_cast<size_t>(i) + 1);
    for (int position = 0; position < 3; position++) {
      const HPy handle = seen.back()[static_cast<size_t>(position)];
      EXPECT_EQ(HPy_IsNull(handle), (i >> position & 1) == 0);
      if (HPy_IsNull(handle)) continue;
      opened++;
      values.insert(handle._i);
      EXPECT_EQ(debugger.state.table.Classify(handle), handles::Validity::kClosed);
    }
  }
  EXPECT_EQ(values.size(), opened) << "no value is given out twice";
  debugger.interpreter.context.ctx_Close(&debugger.interpreter.context, object);
}

HPy LeaveWhileSettingsChange(HPyContext* ctx, HPy, HPy arg) {
  State& state = *DebugContext::From(ctx)->call.state;
  const HPyThreadState left = HPy_LeavePythonExecution(ctx);
  std::thread other([&] {  // which holds the interpreter now
    for (int i = 0; i < 1000; i++) state.SetStackDepth(1 + i % 64);
    state.KeepClosed(true);
    state.KeepClosed(false);
    state.SetStackDepth(64);
  });
  EXPECT_TRUE(HPy_IsNull(HPy_Dup(ctx, arg)));  // a mistake
  other.join();
  HPy_ReenterPythonExecution(ctx, left);
  return HPy_Dup(ctx, arg);
}

// For ThreadSanitizer.
TEST_F(DebugContextTest, SettingsChangeWhileACallHasLeft) {
  debugger.Call(LeaveWhileSettingsChange, 3);
  EXPECT_EQ(OnlyRaised().kind, Kind::kCallAfterLeave);
}

HPy CallInThread(HPyContext* ctx, HPy, HPy arg) {
  std::thread([&] { EXPECT_TRUE(HPy_IsNull(HPy_Dup(ctx, arg))); }).join();
  return HPy_Dup(ctx, arg);
}

TEST_F(DebugContextTest, AThreadWithoutTheInterpreterDoesNotWaitForIt) {
  EXPECT_NE(debugger.Call(CallInThread, 3), nullptr);
  EXPECT_TRUE(debugger.interpreter.unraisable.empty());
  debugger.interpreter.RunPendingCalls();
  ASSERT_EQ(debugger.interpreter.unraisable.size(), 1u);
  EXPECT_EQ(debugger.interpreter.unraisable[0].kind, Kind::kWrongThread);
  EXPECT_EQ(debugger.interpreter.told.size(), 1u);
}

HPy CallLeft(HPyContext* ctx, HPy, HPy arg) {
  const HPyThreadState state = HPy_LeavePythonExecution(ctx);
  EXPECT_TRUE(HPy_IsNull(HPy_Dup(ctx, arg)));
  HPy_ReenterPythonExecution(ctx, state);
  return HPy_Dup(ctx, arg);
}

TEST_F(DebugContextTest, ACallAfterLeavingIsRaisedAtTheReturn) {
  EXPECT_EQ(debugger.Call(CallLeft, 3), nullptr);
  EXPECT_EQ(OnlyRaised().kind, Kind::kCallAfterLeave);
}

HPy FailSilently(HPyContext*, HPy, HPy) { return HPy_NULL; }

TEST_F(DebugContextTest, AnErrorNeedsAnException) {
  EXPECT_EQ(debugger.Call(FailSilently, 3), nullptr);
  EXPECT_EQ(OnlyRaised().kind, Kind::kErrorWithoutException);
}

TEST_F(DebugContextTest, ManyHandlesInOneCallNeedNoMoreMemoryThanAreOpen) {
  const auto many = [](HPyContext* ctx, HPy, HPy arg) {
    for (int i = 0; i < 100000; i++) HPy_Close(ctx, HPy_Dup(ctx, arg));
    static_cast<void>(HPy_Dup(ctx, arg));
    return HPy_Dup(ctx, ctx->h_None);
  };
  debugger.Call(many, 7);
  const std::vector<Leak> leaks = FindLeaks(debugger.state, {});
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_FALSE(leaks[0].violation.opened->python.empty());
}

// Opens as many as there are digits and closes those that the digits name, 1 first: 312 closes the third, the
// first, the second. 0 leaves one.
HPy OpenAllAndClose(HPyContext* ctx, HPy, HPy order) {
  const std::string digits = std::to_string(HPyLong_AsLongLong(ctx, order));
  std::vector<HPy> handles;
  for (size_t i = 0; i < digits.size(); i++) {
    handles.push_back(HPyLong_FromLongLong(ctx, static_cast<long long>(100 + i)));
  }
  for (const char digit : digits) {
    if (digit != '0') HPy_Close(ctx, handles[static_cast<size_t>(digit - '1')]);
  }
  return HPy_Dup(ctx, ctx->h_None);
}

TEST_F(DebugContextTest, WhatACallLeavesIsFoundWhateverTheOrderOfClosing) {
  const auto reprs_left = [&](long long order) {
    const int64_t generation = debugger.state.NewGeneration();
    debugger.Call(OpenAllAndClose, order);
    EXPECT_EQ(thread_calls.last, nullptr);
    std::set<std::string> reprs;
    for (const Leak& leak : FindLeaks(debugger.state, {.generation = generation, .ignore = {}})) {
      EXPECT_FALSE(leak.violation.opened->python.empty()) << order << ": its call noticed it";
      for (const handles::Slot* slot : leak.handles) {
        EXPECT_NE(slot->closed & handles::kOutlived, 0u);
        reprs.insert(debugger.state.host.Repr(slot->wrapped()).value_or("none"));
      }
    }
    return reprs;
  };
  for (const long long order : {123, 132, 213, 231, 312, 321}) {
    EXPECT_EQ(reprs_left(order), std::set<std::string>()) << order;
  }
  EXPECT_EQ(reprs_left(120), std::set<std::string>({"102"}));
  EXPECT_EQ(reprs_left(302), std::set<std::string>({"100"}));
  EXPECT_EQ(reprs_left(310), std::set<std::string>({"101"}));
  EXPECT_EQ(reprs_left(200), std::set<std::string>({"100", "102"}));
}

using DebugContextDeathTest = DebugContextTest;

TEST_F(DebugContextDeathTest, AbortPrintsTheReportAndTheFatalText) {
  debugger.state.settings.policy = Policy::kAbort;
  EXPECT_DEATH(debugger.Call(UseAfterClose, 0),
               "error\\[use-after-close\\](.|\n)*Invalid usage of already closed handle");
  EXPECT_DEATH(debugger.Call(ReturnConstant, 0),
               "error\\[return-of-constant\\](.|\n)*Invalid usage of already closed handle");
}

}  // namespace
}  // namespace hpy::debug_ctx
