// hpy_debug_describe(handle), for people in a debugger:
//
//   (gdb) call (void)hpy_debug_describe(h._i)
//   0x7f0000000005a0 is an open handle, the 12th that was opened
//     object: 42 (int)
//     opened by snippets.leak
//       leak_impl at src/snippets.c:8
//
// It changes nothing, and writes to standard error, where the debugger is looking.
#include <Python.h>
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "debug_ctx/report.h"
#include "debug_ctx/story.h"
#include "debug_state.h"
#include "leakdetector/kind.h"

namespace hpy::python {

namespace {

using handles::HandleTable;
using handles::Slot;
using handles::Validity;

constexpr int kPythonFrames = 64;

void AddStack(const leakdetector::Stack& stack, std::string* out) {
  for (const auto& [function, file, line, library, offset, inlined, tail] : stack.native) {
    const std::string place =
        line > 0 ? fmt::format("{}:{}", file, line) : fmt::format("{}+{:#x}", library, offset);
    *out += fmt::format("    {} at {}\n", function.empty() ? "?" : function, place);
  }
  for (const leakdetector::PythonFrame& frame : stack.python) {
    *out += fmt::format("    Python: {} at {}:{}\n", frame.function, frame.file, frame.line);
  }
  if (stack.native.empty() && stack.python.empty()) *out += "    no stack was kept\n";
}

// The repr runs code of the object, which only a thread in which Python executes may do.
std::string ObjectText(debug_ctx::State& state, HPy object) {
  if (PyGILState_Check() == 0) return "not shown: this thread does not hold the interpreter";
  const std::string type = state.host.TypeName(object);
  return fmt::format("{} ({})", state.host.Repr(object).value_or("without a repr"), type);
}

std::string_view HowClosed(const Slot& slot) {
  if (slot.is_argument()) return "when the call returned, of";
  if (slot.was_returned()) return "by being returned from";
  return "at";
}

std::string StoryOf(debug_ctx::State& state, const HandleTable& table, HPy value,
                    std::string_view what) {
  const Slot& slot = *table.SlotOf(value);
  const bool open = slot.is_open() && table.Resolve(value) == &slot;
  std::string out = fmt::format("{:#x} is {} {}", static_cast<uint64_t>(value._i),
                                open ? "an open" : "a closed", what);
  if (!table.HasStory(slot, value)) {
    return out +
           ", closed so long ago that its story was recycled (the setting closed_handles keeps "
           "more of them)\n";
  }
  if (slot.is_constant()) {
    out += fmt::format(": a constant of the context\n  object: {}\n",
                       ObjectText(state, slot.wrapped()));
    return out;
  }
  out += fmt::format(", number {} of those that were opened\n",
                     debug_ctx::OrderOf(state, table, slot));
  if (&table == &state.table) {
    const Slot* witness = open ? &slot : table.FindSameObject(slot);
    out += fmt::format("  object: {}\n", witness != nullptr
                                             ? ObjectText(state, witness->wrapped())
                                             : std::string("not known, it may be gone"));
  }
  leakdetector::Violation named;
  debug_ctx::NameFunction(state, slot.function, &named);
  const std::string function =
      named.function ? fmt::format("{}.{}", named.module.value_or("?"), *named.function) : "?";
  const bool argument = slot.is_argument();
  out += fmt::format("  {} {}\n", argument ? "an argument of" : "opened by", function);
  leakdetector::Stack opened = debug_ctx::OpenedStack(state, slot);
  // The Python frames of the call in progress are read when it returns, or now.
  const debug_ctx::Call* call = debug_ctx::thread_calls.innermost;
  if (opened.python.empty() && call != nullptr && slot.order >= call->first_order &&
      PyGILState_Check() != 0) {
    opened.python = state.host.PythonFrames(kPythonFrames);
  }
  AddStack(opened, &out);
  if (open) return out;
  out += fmt::format("  closed {}\n", HowClosed(slot));
  const bool by_return = argument || slot.was_returned();
  AddStack(by_return ? debug_ctx::FunctionStack(state, slot.function)
                     : debug_ctx::Filtered(state, state.stories.Native(slot.closed)),
           &out);
  return out;
}

std::string Describe(debug_ctx::State& state, uintptr_t bits) {
  const HPy value{static_cast<intptr_t>(bits)};
  const struct {
    const HandleTable& table;
    std::string_view what;
  } tables[] = {{state.table, "handle"}, {state.builders, "builder"}, {state.trackers, "tracker"}};
  // Values of different tables may be equal: everything that it can be is told.
  std::string out;
  for (const auto& [table, what] : tables) {
    const Validity validity = table.Classify(value);
    if (validity == Validity::kNull) return "HPy_NULL: it refers to nothing\n";
    if (validity != Validity::kNotAHandle) out += StoryOf(state, table, value, what);
  }
  if (out.empty()) {
    out = fmt::format("{:#x} is no handle: the debug context never gave it out\n",
                      static_cast<uint64_t>(bits));
  }
  return out;
}

}  // namespace

}  // namespace hpy::python

extern "C" __attribute__((visibility("default"), used)) void hpy_debug_describe(uintptr_t handle) {
  using namespace hpy::python;
  const bool executes = PyGILState_GetThisThreadState() != nullptr && PyGILState_Check() != 0;
  DebugState* debug = executes ? DebugState::Find() : DebugState::Any();
  const std::string text = debug != nullptr
                               ? Describe(debug->state, handle)
                               : "no HPy module was loaded in debug mode: there are no handles\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}
