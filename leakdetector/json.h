// A violation as one line of JSON: the report file's format, and what Python builds its own
// Violation from.

#ifndef HPY_LEAKDETECTOR_JSON_H_
#define HPY_LEAKDETECTOR_JSON_H_

#include <string>
#include <string_view>

#include "leakdetector/violation.h"

namespace hpy::leakdetector {

// One JSON object, valid UTF-8, without any line break: `kind message api module function handle
// at opened closed severity count`, in this order, none ever missing. Bytes that are no UTF-8
// become U+FFFD. A handle is {"id", "repr", "type"}, its id a hexadecimal string; a stack is
// {"native", "python"}; a native frame {"function", "file", "line", "library", "offset"} with the
// offset as a number and null for what is not known. `notes` and `argument` are for the text only.
std::string ToJson(const Violation& violation);

// Appends `text` to `out` as a JSON string with its quotes.
void AppendJsonString(std::string_view text, std::string& out);

}  // namespace hpy::leakdetector

#endif  // HPY_LEAKDETECTOR_JSON_H_
