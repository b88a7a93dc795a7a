// Files on disk: is it the file that was loaded, and where is its separate debug information.

#ifndef HPY_STACKTRACE_ELF_FILE_H_
#define HPY_STACKTRACE_ELF_FILE_H_

#include <cstdint>
#include <string>

#include "stacktrace/modules.h"

namespace hpy::stacktrace {

// A descriptor of the file from which `module` was loaded, or -1 if it is gone or was exchanged.
int OpenLoadedFile(const ModuleInfo& module);

// A descriptor of the separate debug file, or -1. `library` is the path of the loaded file,
// `build_id` its build id (may be empty), `link` and `crc` its .gnu_debuglink (`link` may be null).
// Candidates with another build id or checksum are refused. Sets *found to its path.
int OpenSeparateDebugFile(const std::string& library, const std::string& build_id, const char* link,
                          uint32_t crc, std::string* found);

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_ELF_FILE_H_
