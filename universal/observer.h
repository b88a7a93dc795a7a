// The runtime's functions for the debug mode, for the module that offers them to it.
#ifndef HPY_UNIVERSAL_OBSERVER_H_
#define HPY_UNIVERSAL_OBSERVER_H_

#include "runtime/observer.h"

namespace hpy::universal {

const _HPyObserverFunctions* ObserverFunctions();

}  // namespace hpy::universal

#endif  // HPY_UNIVERSAL_OBSERVER_H_
