// Checks of the arguments that a few functions of the API look into without a check of their own.
#ifndef HPY_DEBUG_CTX_CHECK_TYPES_H_
#define HPY_DEBUG_CTX_CHECK_TYPES_H_

#include "debug_ctx/api_call.h"

namespace hpy::debug_ctx {

// Whether the argument at `position` is a type, a str, or a tuple. `handle_u` is its handle of the
// universal context; null passes. If it is not, the call is refused (`api.ok()` is false from then on),
// and `fatal` is the text that HPy 0.9 ends the process with.
bool CheckIsType(ApiCall& api, HPy handle, HPy handle_u, int position, const char* fatal);
bool CheckIsUnicode(ApiCall& api, HPy handle, HPy handle_u, int position, const char* fatal);
bool CheckIsTuple(ApiCall& api, HPy handle, HPy handle_u, int position, const char* fatal);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_CHECK_TYPES_H_
