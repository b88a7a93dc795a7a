/* The entry point of the extension. (examples/leaky has another one for the same module.) */
#include "json.h"

HPy_MODINIT(hpyjson, json_module)
