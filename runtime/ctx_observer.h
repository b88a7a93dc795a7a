/* The runtime's side of runtime/observer.h. In the CPython ABI there is none of it. */
#ifndef HPY_RUNTIME_CTX_OBSERVER_H_
#define HPY_RUNTIME_CTX_OBSERVER_H_

#include "ctx_internal.h"
#include "observer.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef HPY_UNIVERSAL_CONTEXT

extern HPyAPI_IMPL const _HPyObserverFunctions _HPyObserver_functions;

/* NULL until the debug mode is used in this process. */
extern HPyAPI_IMPL const _HPyObserver *_HPyObserver_installed;

#define HPY_OBSERVE(event, ...)                          \
  do {                                                   \
    if (_HPy_UNLIKELY(_HPyObserver_installed != NULL)) { \
      _HPyObserver_installed->event(__VA_ARGS__);        \
    }                                                    \
  } while (0)

/* In ctx_type.c. */
HPyAPI_IMPL HPy _HPyObserver_TypeFromSpec(HPyType_Spec *spec, HPyType_SpecParam *params);

#else
#define HPY_OBSERVE(event, ...) ((void)0)
#endif

#ifdef __cplusplus
}
#endif

#endif
