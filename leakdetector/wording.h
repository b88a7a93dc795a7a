// The words of a text report: what a label under a source line says, numbers and places.

#ifndef HPY_LEAKDETECTOR_WORDING_H_
#define HPY_LEAKDETECTOR_WORDING_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "leakdetector/kind.h"

namespace hpy::leakdetector {

// What is under the lines of the stacks `at`, `opened` and `closed`. Each ends with "here", or
// stands for a whole function.
struct Labels {
  std::string_view at = "used here";
  std::string_view opened = "opened here";
  std::string_view closed = "closed here";
};

Labels LabelsOf(Kind kind);

// "1st", "2nd", "11th", "1 204th".
std::string Ordinal(uint64_t number);

// "1 204".
std::string Grouped(uint64_t number);

// "1 site", "2 sites".
std::string Counted(uint64_t number, std::string_view singular);

// The part of a path behind the last slash.
std::string_view BaseName(std::string_view path);

}  // namespace hpy::leakdetector

#endif  // HPY_LEAKDETECTOR_WORDING_H_
