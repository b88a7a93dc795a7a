// Shared by the tests of stacktrace/: compiled libraries, and a second opinion on every stack.

#ifndef HPY_TESTS_CPP_STACKTRACE_TEST_UTIL_H_
#define HPY_TESTS_CPP_STACKTRACE_TEST_UTIL_H_

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <stdlib.h>
#include <unistd.h>
#include <unwind.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "stacktrace/stacktrace.h"

namespace hpy::stacktrace::testing {

// A folder that goes when the test does.
class TempDir {
 public:
  TempDir() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "stacktrace_test.XXXXXX").string();
    path_ = std::filesystem::canonical(mkdtemp(pattern.data())).string();
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string Write(const std::string& name, const std::string& text) const {
    const std::string file = path_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file) << text;
    return file;
  }

 private:
  std::string path_;
};

// Runs a shell command in `directory`; its output. Fails the test if the command does.
inline std::string Shell(const std::string& directory, const std::string& command) {
  std::string output;
  FILE* pipe = popen(("cd '" + directory + "' && (" + command + ") 2>&1").c_str(), "r");
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, n);
  EXPECT_EQ(pclose(pipe), 0) << command << "\n" << output;
  return output;
}

inline bool Has(const std::string& program) {
  return system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}

// A library that is loaded as long as the object lives.
class Library {
 public:
  explicit Library(const std::string& path)
      : path_(path), handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    EXPECT_NE(handle_, nullptr) << dlerror();
  }
  ~Library() { Close(); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const std::string& path() const { return path_; }
  template <typename F>
  F* Get(const char* name) const {
    void* symbol = dlsym(handle_, name);
    EXPECT_NE(symbol, nullptr) << name;
    return reinterpret_cast<F*>(symbol);
  }
  void Close() {
    if (handle_ != nullptr) dlclose(handle_);
    handle_ = nullptr;
  }

 private:
  std::string path_;
  void* handle_;
};

// What a library calls, as an extension calls the API.
using Api = void (*)(int line);

struct CallState {
  CaptureLimits limits;
  StackId id = kNoStack;
  int line = 0;
  int calls = 0;
  std::function<void(const CallSite&)> also;
};
inline thread_local CallState t_call;

__attribute__((noinline)) inline void ApiFunction(int line) {
  const CallSite site = HPY_STACKTRACE_CALL_SITE();
  t_call.line = line;
  ++t_call.calls;
  t_call.id = Capture(site, t_call.limits);
  if (t_call.also) t_call.also(site);
  asm volatile("" : : : "memory");
}

// The trampoline: calls f(arguments...) with the limits of that call, as an outermost one.
template <typename F, typename... Args>
__attribute__((noinline)) StackId Trampoline(F* f, Args... args) {
  const CaptureLimits outer = t_call.limits;
  t_call.limits = {.stop_sp = HPY_STACKTRACE_STOP(),
                   .callee = reinterpret_cast<uintptr_t>(f),
                   .max_frames = outer.max_frames};
  f(args...);
  t_call.limits = outer;
  asm volatile("" : : : "memory");
  return t_call.id;
}

// The return addresses from `site` to `stop_sp`, unwound afresh by libgcc.
struct FreshFrame {
  uintptr_t ip, sp;
};
inline std::vector<uintptr_t> FreshStack(const CallSite& site, uintptr_t stop_sp, int max_frames) {
  std::vector<FreshFrame> all;
  _Unwind_Backtrace(
      [](_Unwind_Context* context, void* arg) {
        int before = 0;
        const uintptr_t ip = _Unwind_GetIPInfo(context, &before);
        static_cast<std::vector<FreshFrame>*>(arg)->push_back(
            {ip + (before != 0 ? 1 : 0), static_cast<uintptr_t>(_Unwind_GetCFA(context))});
        return _URC_NO_REASON;
      },
      &all);
  std::vector<uintptr_t> result;
  size_t i = 0;
  while (i < all.size() && (all[i].ip != site.pc || all[i].sp != site.sp)) ++i;
  // The CFA of a frame is the stack pointer of the next one.
  for (; i + 1 < all.size() && result.size() < static_cast<size_t>(max_frames); ++i) {
    if (stop_sp != 0 && all[i + 1].sp >= stop_sp) break;
    result.push_back(all[i].ip);
  }
  return result;
}

// A frame as an address again, while its library is loaded where it was.
struct Located {
  std::string path;
  uint64_t offset;
  bool operator==(const Located&) const = default;
};
inline uint64_t OffsetOf(uintptr_t pc) {
  Dl_info info;
  link_map* map = nullptr;
  if (dladdr1(reinterpret_cast<void*>(pc - 1), &info, reinterpret_cast<void**>(&map),
              RTLD_DL_LINKMAP) == 0)
    return pc;
  return pc - map->l_addr;
}

inline std::vector<uint64_t> Offsets(const std::vector<uintptr_t>& pcs) {
  std::vector<uint64_t> result;
  for (const uintptr_t pc : pcs) result.push_back(OffsetOf(pc));
  return result;
}
inline std::vector<uint64_t> Offsets(const RawStack& stack) {
  std::vector<uint64_t> result;
  for (const RawFrame& f : stack.frames) result.push_back(f.offset);
  return result;
}

inline std::string Text(const std::vector<Frame>& frames) {
  std::string text;
  for (const Frame& f : frames) {
    text += f.function + " " + f.file + ":" + std::to_string(f.line) +
            (f.inlined ? " inlined" : "") + (f.tail ? " tail" : "") + " (" + f.library + ")\n";
  }
  return text;
}

}  // namespace hpy::stacktrace::testing

#endif  // HPY_TESTS_CPP_STACKTRACE_TEST_UTIL_H_
