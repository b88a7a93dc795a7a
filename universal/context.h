// The universal context: an HPyContext whose functions are CPython's API.
#ifndef HPY_UNIVERSAL_CONTEXT_H_
#define HPY_UNIVERSAL_CONTEXT_H_

#include <Python.h>

#include "hpy.h"

struct _HPyInterpreter;

namespace hpy::universal {

// The universal context of the current interpreter, made on the first call in it. It is never
// freed: libraries keep its address. nullptr with a Python exception set when there is no memory
// for it.
HPyContext* ContextOfInterpreter();

// Where the only interpreter stands that has a universal context; null there when there are several.
const _HPyInterpreter* const* OnlyInterpreter();

// Calls the implementation `func` of signature `sig` with handles made of the native arguments in
// `args` (one of the structs _HPyFunc_args_*), with `ctx` as its context, and stores the result
// there.
void CallRealFunction(HPyContext* ctx, HPyFunc_Signature sig, HPyCFunction func, void* args);

// hpy_universal_capi::watch_slots.
void WatchSlots(void (*begin)(void* frame, HPyCFunction function, const void* object, int destroys),
                void (*end)(const void* frame));

}  // namespace hpy::universal

#endif  // HPY_UNIVERSAL_CONTEXT_H_
