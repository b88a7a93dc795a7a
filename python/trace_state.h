// Trace mode in one interpreter: its context, its counts, and the functions that people set.
#ifndef HPY_PYTHON_TRACE_STATE_H_
#define HPY_PYTHON_TRACE_STATE_H_

#include <Python.h>

#include "debug_ctx/trace.h"
#include "universal/capi.h"

namespace hpy::python {

// Never freed: libraries keep the address of the context in it, and destroy functions still run when
// an interpreter ends. When it has ended, its state serves the next one, with new counts.
class TraceState final : public debug_ctx::TraceHost {
 public:
  // That of the current interpreter, made if there is none; nullptr with an exception set.
  static TraceState* OfInterpreter();

  HPyContext* context() { return &context_; }
  debug_ctx::Trace& trace() { return trace_; }

  // Sets the functions to call, borrowed; nullptr: as it was, None: none.
  void SetFunctions(PyObject* on_enter, PyObject* on_exit);

  // Traces what extensions in debug mode call too, or ends that. False with an exception set.
  bool TraceDebugMode(bool enabled);

  void OnEnter(const char* function) override;
  void OnExit(const char* function) override;
  void CallRealFunction(HPyContext* ctx, HPyFunc_Signature signature, HPyCFunction function,
                        void* args) override;

 private:
  explicit TraceState(PyInterpreterState* interpreter) : interpreter_(interpreter) {}
  static TraceState* Find(PyInterpreterState* interpreter);
  static TraceState* New(PyInterpreterState* interpreter);
  static void InterpreterEnds(PyObject* capsule);
  void CallFunction(PyObject* callable, const char* function, const char* fatal_message);

  // Under the GIL, which all interpreters with a trace context share.
  static TraceState* states_;

  PyInterpreterState* interpreter_;  // nullptr: free for another one
  TraceState* next_ = nullptr;
  PyObject* on_enter_ = nullptr;
  PyObject* on_exit_ = nullptr;
  decltype(hpy_universal_capi::call_real_function) call_real_function_ = nullptr;
  debug_ctx::Trace trace_{*this};
  debug_ctx::TraceLayer layer_{trace_};
  debug_ctx::TraceLayer debug_layer_{trace_};
  bool debug_knows_us_ = false;
  HPyContext context_ = {};
};

}  // namespace hpy::python

#endif  // HPY_PYTHON_TRACE_STATE_H_
