// Takes HPy's own frames out of a symbolized stack, so that its first frame is the extension's.

#ifndef HPY_LEAKDETECTOR_FRAME_FILTER_H_
#define HPY_LEAKDETECTOR_FRAME_FILTER_H_

#include <string>
#include <string_view>
#include <vector>

#include "leakdetector/violation.h"
#include "stacktrace/stacktrace.h"

namespace hpy::leakdetector {

// Set up once by the embedder, then only read: safe to use from many threads.
struct FrameFilter {
  // Frames whose library begins with one of these paths are the debug mode's own.
  std::vector<std::string> own_libraries;
  // Frames whose file lies in one of these folders are HPy's, besides those of IsHPySource().
  std::vector<std::string> own_directories;
  // Frames whose function begins with one of these are dropped: the interpreter's evaluation loop,
  // which only the embedder knows by name.
  std::vector<std::string> own_functions;

  bool IsOwn(const stacktrace::Frame& frame) const;

  // The stack without our frames. `api` is set to the outermost API function among the frames
  // dropped in front of the first one that stays.
  Stack Apply(std::vector<stacktrace::Frame> native) const;
};

// True for the headers that extensions include and for the C helpers compiled into them: `hpy.h`,
// anything below `include/hpy/`, and `hpy/devel/src/`. A folder that merely has "hpy" in its name,
// or is called so, is an extension's.
bool IsHPySource(std::string_view file);

}  // namespace hpy::leakdetector

#endif  // HPY_LEAKDETECTOR_FRAME_FILTER_H_
