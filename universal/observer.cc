// Hands out the functions of runtime/ctx_observer.c.
#include "universal/observer.h"

#include "runtime/ctx_observer.h"

namespace hpy::universal {

const _HPyObserverFunctions* ObserverFunctions() { return &_HPyObserver_functions; }

}  // namespace hpy::universal
