// Symbolised stacks name the right function, file and line, or none.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <sstream>
#include <thread>

#include "tests/cpp/stacktrace_test_util.h"

namespace hpy::stacktrace::testing {
namespace {

// Every call of the API gets its own line, and every call of a function writes its line down, so
// the library itself says what must come out, wherever the optimiser has put it.
constexpr char kSource[] = R"(typedef void (*api)(int);
int where[8];
volatile int sink;
static inline void innermost(api f, int n)
{
    if (n > 3) {
        sink = n;
    }
    f(__LINE__);
    sink = 1;
}
static inline void middle(api f, int n)
{
    for (int i = 0; i < 1; i++) {
        where[1] = __LINE__; innermost(f, n + i);
        sink = 2;
    }
}
static __attribute__((noinline)) void own_frame(api f, int n)
{
    int here = n;

    where[2] = __LINE__; middle(f, here);
    sink = 3;
}
void outer(api f, int n)
{
    where[3] = __LINE__; own_frame(f, n);
    sink = 4;
}
void direct(api f, int n)
{
    f(__LINE__); sink = 5;
    if (n) {
        f(__LINE__);
        sink = 6;
    }
}
)";

struct Build {
  std::string compiler, flags;
};

std::vector<Build> Builds() {
  std::vector<Build> builds;
  for (const char* compiler : {"gcc", "clang"}) {
    if (!Has(compiler)) continue;
    const bool gcc = compiler[0] == 'g';
    for (const char* level : {"-O0", "-O1", "-O2", "-O3"}) {
      builds.push_back({compiler, std::string(level) + " -g"});
      builds.push_back({compiler, std::string(level) + " -gdwarf-4 -fomit-frame-pointer"});
    }
    builds.push_back({compiler, "-O2 -g -gz"});
    builds.push_back({compiler, "-O2 -g -gsplit-dwarf"});
    builds.push_back({compiler, "-O2 -g -ffunction-sections -Wl,--gc-sections"});
    if (gcc) builds.push_back({compiler, "-O2 -g -flto"});
    if (gcc) builds.push_back({compiler, "-O3 -g -flto -gdwarf-4"});
  }
  return builds;
}

void PrintTo(const Build& build, std::ostream* out) {
  *out << build.compiler << ' ' << build.flags;
}

class EveryBuild : public ::testing::TestWithParam<Build> {};

// The frames of the last capture against the lines that the library wrote down.
void ExpectOuterStack(const Library& library, StackId id, const std::string& source) {
  const int* where = library.Get<int>("where");
  const std::vector<Frame> frames = Symbolize(id);
  ASSERT_EQ(frames.size(), 4u) << Text(frames);
  const char* const functions[] = {"innermost", "middle", "own_frame", "outer"};
  const int lines[] = {t_call.line, where[1], where[2], where[3]};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(frames[i].function, functions[i]) << Text(frames);
    EXPECT_EQ(frames[i].line, lines[i]) << Text(frames);
    EXPECT_EQ(frames[i].file, source) << Text(frames);
    EXPECT_EQ(frames[i].library, library.path());
    EXPECT_FALSE(frames[i].tail);
  }
  EXPECT_FALSE(frames[3].inlined);
}

TEST_P(EveryBuild, NamesTheLine) {
  TempDir dir;
  const std::string source = dir.Write("code.c", kSource);
  Shell(dir.path(), GetParam().compiler + " -std=gnu99 -shared -fPIC " + GetParam().flags +
                        " -o libcode.so code.c");
  Library library(dir.path() + "/libcode.so");
  const StackId id = Trampoline(library.Get<void(Api, int)>("outer"), &ApiFunction, 5);
  ExpectOuterStack(library, id, source);

  std::vector<StackId> ids;
  std::vector<int> lines;
  t_call.also = [&](const CallSite&) {
    ids.push_back(t_call.id);
    lines.push_back(t_call.line);
  };
  Trampoline(library.Get<void(Api, int)>("direct"), &ApiFunction, 1);
  t_call.also = nullptr;
  ASSERT_EQ(ids.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const std::vector<Frame> frames = Symbolize(ids[i]);
    ASSERT_EQ(frames.size(), 1u) << Text(frames);
    EXPECT_EQ(frames[0].function, "direct");
    EXPECT_EQ(frames[0].line, lines[i]);
  }

  // A third opinion, at the offset that the frame gives.
  // (binutils cannot read split debug information, and names the files of link-time optimised code
  // "<artificial>".)
  if (!Has("addr2line") || GetParam().flags.find("split") != std::string::npos ||
      GetParam().flags.find("lto") != std::string::npos) {
    return;
  }
  const std::vector<Frame> frames = Symbolize(id);
  char command[256];
  snprintf(command, sizeof command, "addr2line -fie '%s' 0x%llx", library.path().c_str(),
           static_cast<unsigned long long>(frames[0].offset));
  std::istringstream output(Shell(dir.path(), command));
  std::string function, place;
  for (size_t i = 0; std::getline(output, function) && std::getline(output, place); ++i) {
    place = place.substr(0, place.find(" (disc"));
    EXPECT_EQ(frames[i].function, function);
    EXPECT_EQ(frames[i].file + ":" + std::to_string(frames[i].line), place);
  }
}

INSTANTIATE_TEST_SUITE_P(Compilers, EveryBuild, ::testing::ValuesIn(Builds()),
                         [](const auto& info) {
                           std::string name = info.param.compiler + "_" + info.param.flags;
                           for (char& c : name) {
                             if (!isalnum(static_cast<unsigned char>(c))) c = '_';
                           }
                           return name;
                         });

// A library of kSource, and a stack in it.
struct Example {
  TempDir dir;
  std::string source = dir.Write("code.c", kSource);
  std::string path = dir.path() + "/libcode.so";

  void Compile(const std::string& flags) {
    Shell(dir.path(), "cc -std=gnu99 -shared -fPIC -O2 " + flags + " -o libcode.so code.c");
  }
  StackId Call(const Library& library) {
    return Trampoline(library.Get<void(Api, int)>("outer"), &ApiFunction, 5);
  }
};

TEST(Symbolize, WithoutDebugInformationTheSymbolTable) {
  Example example;
  example.Compile("");
  Library library(example.path);
  const std::vector<Frame> frames = Symbolize(example.Call(library));
  ASSERT_EQ(frames.size(), 2u) << Text(frames);
  EXPECT_EQ(frames[0].function, "own_frame");  // and not what was inlined into it
  EXPECT_EQ(frames[1].function, "outer");
  EXPECT_EQ(frames[0].file, "");
  EXPECT_EQ(frames[0].line, 0);
  EXPECT_EQ(frames[0].library, example.path);
}

TEST(Symbolize, StrippedOnlyWhatIsExported) {
  Example example;
  example.Compile("-s");
  Library library(example.path);
  const std::vector<Frame> frames = Symbolize(example.Call(library));
  ASSERT_EQ(frames.size(), 2u) << Text(frames);
  EXPECT_EQ(frames[0].function, "");  // never the nearest symbol by chance
  EXPECT_NE(frames[0].offset, 0u);
  EXPECT_EQ(frames[1].function, "outer");
}

TEST(Symbolize, SeparateDebugFileByLink) {
  for (const char* id : {"", "-Wl,--build-id=none"}) {
    for (const char* place : {".", ".debug"}) {
      Example example;
      example.Compile(std::string("-g ") + id);
      Shell(example.dir.path(),
            std::string("mkdir -p .debug && objcopy --only-keep-debug libcode.so ") + place +
                "/code.debug && objcopy --strip-all --add-gnu-debuglink=" + place +
                "/code.debug libcode.so");
      Library library(example.path);
      ExpectOuterStack(library, example.Call(library), example.source);
    }
  }
}

TEST(Symbolize, ASeparateDebugFileOfAnotherBuildIsRefused) {
  for (const char* id : {"", "-Wl,--build-id=none"}) {
    Example example;
    example.Compile(std::string("-g ") + id);
    Shell(example.dir.path(),
          "objcopy --only-keep-debug libcode.so code.debug && "
          "objcopy --strip-all --add-gnu-debuglink=code.debug libcode.so");
    example.dir.Write("code.c", std::string("\n\n\n") + kSource);
    Shell(example.dir.path(),
          std::string("cc -std=gnu99 -shared -fPIC -O2 -g ") + id +
              " -o other.so code.c && objcopy --only-keep-debug other.so code.debug");
    Library library(example.path);
    const std::vector<Frame> frames = Symbolize(example.Call(library));
    ASSERT_EQ(frames.size(), 2u) << Text(frames);
    EXPECT_EQ(frames[0].line, 0);
  }
}

TEST(Symbolize, AfterTheLibraryWasUnloaded) {
  Example example;
  example.Compile("-g");
  auto library = std::make_unique<Library>(example.path);
  const StackId id = example.Call(*library);
  const int line = t_call.line;
  library.reset();
  const std::vector<Frame> frames = Symbolize(id);
  ASSERT_EQ(frames.size(), 4u) << Text(frames);
  EXPECT_EQ(frames[0].line, line);
  EXPECT_EQ(frames[0].library, example.path);
}

// Another library in the same place of memory, again and again: the memo must not mix them up.
TEST(Symbolize, LibrariesThatFollowOneAnother) {
  constexpr int kCount = 4;
  TempDir dir;
  for (int i = 0; i < kCount; ++i) {
    // The same code, so the same addresses, with other lines.
    dir.Write("v" + std::to_string(i) + ".c", std::string(static_cast<size_t>(i), '\n') + kSource);
    Shell(dir.path(), "cc -std=gnu99 -shared -fPIC -O2 -g -o libv" + std::to_string(i) + ".so v" +
                          std::to_string(i) + ".c");
  }
  std::vector<StackId> ids;
  int same_place = 0;
  uintptr_t last = 0;
  for (int round = 0; round < 40; ++round) {
    Library library(dir.path() + "/libv" + std::to_string(round % kCount) + ".so");
    const auto outer = library.Get<void(Api, int)>("outer");
    same_place += reinterpret_cast<uintptr_t>(outer) == last;
    last = reinterpret_cast<uintptr_t>(outer);
    for (int again = 0; again < 3; ++again) {
      const StackId id = Trampoline(outer, &ApiFunction, 5);
      ExpectOuterStack(library, id, dir.path() + "/v" + std::to_string(round % kCount) + ".c");
      if (round < kCount) ids.push_back(id);
      EXPECT_EQ(id,
                ids[static_cast<size_t>(round % kCount) * 3]);  // the same file is the same module
    }
  }
  EXPECT_GT(same_place, 0);
}

// Within one call into foreign code, which opens and closes them itself: the frames below are the same.
void OpenAndCall(const std::string* paths, const int* count, std::vector<StackId>* ids) {
  for (int i = 0; i < *count; ++i) {
    Library library(paths[i]);
    library.Get<void(Api, int)>("outer")(&ApiFunction, 5);
    ids->push_back(t_call.id);
    asm volatile("" : : : "memory");
  }
}

TEST(Symbolize, LibrariesThatFollowOneAnotherInOneCall) {
  constexpr int kCount = 6;
  TempDir dir;
  std::string paths[kCount];
  for (int i = 0; i < kCount; ++i) {
    const std::string name = std::to_string(i % 2);
    if (i < 2) {
      dir.Write("w" + name + ".c", std::string(static_cast<size_t>(i), '\n') + kSource);
      Shell(dir.path(),
            "cc -std=gnu99 -shared -fPIC -O2 -g -o libw" + name + ".so w" + name + ".c");
    }
    paths[i] = dir.path() + "/libw" + name + ".so";
  }
  std::vector<StackId> ids;
  Trampoline(&OpenAndCall, &paths[0], &kCount, &ids);
  ASSERT_EQ(ids.size(), size_t{kCount});
  for (size_t i = 0; i < kCount; ++i) {
    const std::vector<Frame> frames = Symbolize(ids[i]);
    ASSERT_FALSE(frames.empty());
    EXPECT_EQ(frames[0].file, dir.path() + "/w" + std::to_string(i % 2) + ".c");
    EXPECT_EQ(ids[i], ids[i % 2]);
  }
}

TEST(Symbolize, AnExchangedFileIsNotBelieved) {
  for (const char* id : {"", "-Wl,--build-id=none"}) {
    Example example;
    example.Compile(std::string("-g ") + id);
    Library library(example.path);
    const StackId stack = example.Call(library);
    example.dir.Write("code.c", std::string("\n\n\n\n\n") + kSource);
    Shell(example.dir.path(), std::string("cc -std=gnu99 -shared -fPIC -O2 -g ") + id +
                                  " -o new.so code.c && mv new.so libcode.so");
    const std::vector<Frame> frames = Symbolize(stack);
    ASSERT_EQ(frames.size(), 2u) << Text(frames);
    EXPECT_EQ(frames[0].line, 0);
    EXPECT_EQ(frames[0].function, "");
    EXPECT_EQ(frames[0].library, example.path);
    EXPECT_NE(frames[0].offset, 0u);
  }
}

TEST(Symbolize, WithoutABuildIdTheSameFileIsBelieved) {
  Example example;
  example.Compile("-g -Wl,--build-id=none");
  Library library(example.path);
  ExpectOuterStack(library, example.Call(library), example.source);
}

TEST(Symbolize, AFileThatIsGone) {
  Example example;
  example.Compile("-g");
  Library library(example.path);
  const StackId id = example.Call(library);
  std::filesystem::remove(example.path);
  const std::vector<Frame> frames = Symbolize(id);
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].line, 0);
  EXPECT_EQ(frames[0].library, example.path);
}

// Loaded by a relative name, from a directory that is not the current one any more; compiled by a
// relative name too.
TEST(Symbolize, RelativeNames) {
  TempDir dir;
  const std::string source = dir.Write("src/deep/code.c", kSource);
  for (const char* flags : {"-g", "-gdwarf-4", "-g -flto"}) {
    Shell(dir.path(),
          std::string("mkdir -p build && cd build && cc -std=gnu99 -shared -fPIC -O2 ") + flags +
              " -o libcode.so ../src/deep/code.c");
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(dir.path() + "/build");
    Library library("./libcode.so");
    std::filesystem::current_path(before);
    const std::vector<Frame> frames =
        Symbolize(Trampoline(library.Get<void(Api, int)>("outer"), &ApiFunction, 5));
    ASSERT_EQ(frames.size(), 4u) << Text(frames);
    EXPECT_EQ(frames[0].library, dir.path() + "/build/libcode.so");
    EXPECT_EQ(frames[0].line, t_call.line);
    EXPECT_EQ(frames[0].file[0], '/');
    EXPECT_EQ(std::filesystem::weakly_canonical(frames[0].file), source);
    EXPECT_EQ(frames[3].file, frames[0].file);
  }
}

TEST(Symbolize, CodeInAHeader) {
  TempDir dir;
  dir.Write("include/inline.h",
            "typedef void (*api)(int);\nextern volatile int sink;\n"
            "static inline void in_header(api f)\n{\n    f(__LINE__);\n    sink = 1;\n}\n");
  dir.Write("code.c",
            "#include \"inline.h\"\nvolatile int sink;\nvoid entry(api f)\n{\n    in_header(f);\n  "
            "  sink = 2;\n}\n");
  for (const char* flags : {"-O0 -g", "-O2 -g", "-O2 -gdwarf-4", "-O2 -g -flto"}) {
    Shell(dir.path(), std::string("cc -Iinclude -shared -fPIC ") + flags + " -o libcode.so code.c");
    Library library(dir.path() + "/libcode.so");
    const std::vector<Frame> frames =
        Symbolize(Trampoline(library.Get<void(Api)>("entry"), &ApiFunction));
    ASSERT_EQ(frames.size(), 2u) << Text(frames);
    EXPECT_EQ(frames[0].file, dir.path() + "/include/inline.h");
    EXPECT_EQ(frames[0].line, 5);
    EXPECT_EQ(frames[0].function, "in_header");
    EXPECT_EQ(frames[1].file, dir.path() + "/code.c");
    EXPECT_EQ(frames[1].line, 5);
    EXPECT_EQ(frames[0].inlined, std::string(flags) != "-O0 -g");
  }
}

TEST(Symbolize, CPlusPlus) {
  TempDir dir;
  dir.Write("code.cc",
            "typedef void (*api)(int);\nvolatile int sink;\n"
            "namespace ns {\ntemplate <typename T> struct Box {\n"
            "  __attribute__((noinline)) void Open(api f, T) { f(__LINE__); sink = 1; }\n};\n}\n"
            "extern \"C\" void entry(api f) {\n"
            "  struct Local { __attribute__((noinline)) static void Run(api f) { "
            "ns::Box<int>().Open(f, 3); sink = 2; } };\n"
            "  auto lambda = [&](int n) __attribute__((noinline)) { Local::Run(f); sink = n; };\n"
            "  lambda(3); sink = 3;\n}\n");
  for (const char* flags : {"-O0 -g", "-O2 -g"}) {
    Shell(dir.path(), std::string("c++ -shared -fPIC ") + flags + " -o libcode.so code.cc");
    Library library(dir.path() + "/libcode.so");
    const std::vector<Frame> frames =
        Symbolize(Trampoline(library.Get<void(Api)>("entry"), &ApiFunction));
    ASSERT_EQ(frames.size(), 4u) << Text(frames);
    EXPECT_EQ(frames[0].function, "ns::Box<int>::Open(void (*)(int), int)");
    EXPECT_NE(frames[1].function.find("Run"), std::string::npos) << Text(frames);
    EXPECT_NE(frames[2].function.find("operator()"), std::string::npos) << Text(frames);
    EXPECT_EQ(frames[3].function, "entry");
    EXPECT_EQ(frames[0].line, 5);
    EXPECT_EQ(frames[1].line, 9);
    EXPECT_EQ(frames[2].line, 10);
    EXPECT_EQ(frames[3].line, 11);
  }
}

// Dropped functions have line tables at address 0 which reach over those of live code.
TEST(Symbolize, FunctionsThatTheLinkerDropped) {
  TempDir dir;
  std::string text =
      "typedef void (*api)(int);\nvolatile int sink;\n__attribute__((visibility(\"hidden\"))) void "
      "dropped(void)\n{\n";
  for (int i = 0; i < 3000; ++i) text += "    sink = " + std::to_string(i) + ";\n";
  text += "}\nvoid kept(api f)\n{\n    f(__LINE__);\n    sink = 1;\n}\n";
  const std::string source = dir.Write("code.c", text);
  std::vector<std::string> builds = {"gcc -gdwarf-4", "gcc -gdwarf-5"};
  if (Has("clang")) builds.push_back("clang -g");
  for (const std::string& build : builds) {
    Shell(dir.path(),
          build + " -O1 -shared -fPIC -ffunction-sections -Wl,--gc-sections -o libcode.so code.c");
    Library library(dir.path() + "/libcode.so");
    const std::vector<Frame> frames =
        Symbolize(Trampoline(library.Get<void(Api)>("kept"), &ApiFunction));
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].function, "kept") << build;
    EXPECT_EQ(frames[0].line, t_call.line) << build;
    EXPECT_EQ(frames[0].file, source) << build;
  }
}

// The call is the last thing in the function, of which nothing returns: the address after it is
// another function's.
TEST(Symbolize, ACallThatDoesNotReturn) {
  TempDir dir;
  dir.Write(
      "code.c",
      "#include <setjmp.h>\ntypedef void (*api)(int);\n__attribute__((noreturn)) void leave(api f, "
      "jmp_buf *b);\n"
      "volatile int sink;\nstatic jmp_buf buffer;\n"
      "__attribute__((noinline, noreturn)) void last(api f)\n{\n    sink = 1;\n    leave(f, "
      "&buffer);\n}\n"
      "void entry(api f)\n{\n    if (setjmp(buffer) == 0)\n        last(f);\n    sink = 2;\n}\n");
  dir.Write("leave.c",
            "#include <setjmp.h>\nvoid leave(void (*f)(int), jmp_buf *b)\n{\n    f(__LINE__);\n    "
            "longjmp(*b, 1);\n}\n");
  Shell(dir.path(), "cc -O2 -g -shared -fPIC -o libcode.so code.c leave.c");
  Library library(dir.path() + "/libcode.so");
  const std::vector<Frame> frames =
      Symbolize(Trampoline(library.Get<void(Api)>("entry"), &ApiFunction));
  ASSERT_EQ(frames.size(), 3u) << Text(frames);
  EXPECT_EQ(frames[0].function, "leave");
  EXPECT_EQ(frames[0].line, 4);
  EXPECT_EQ(frames[1].function, "last");
  EXPECT_EQ(frames[1].line, 9);
  EXPECT_EQ(frames[2].function, "entry");
  EXPECT_EQ(frames[2].line, 14);
}

TEST(Symbolize, Addresses) {
  const auto address = reinterpret_cast<uintptr_t>(&ApiFunction);
  const std::vector<Frame> frames = SymbolizeAddress(address, false);
  ASSERT_FALSE(frames.empty());
  EXPECT_NE(frames.back().function.find("ApiFunction(int)"), std::string::npos) << Text(frames);
  const uint64_t symbolized = GetStats().symbolized;
  EXPECT_EQ(Text(SymbolizeAddress(address, false)), Text(frames));
  EXPECT_EQ(Text(SymbolizeAddress(address + 1, true)), Text(frames));
  EXPECT_EQ(GetStats().symbolized, symbolized);  // the same address never twice
  EXPECT_EQ(SymbolizeAddress(16, false).size(), 1u);
  EXPECT_EQ(SymbolizeAddress(16, false)[0].library, "");
  EXPECT_EQ(SymbolizeAddress(16, false)[0].offset, 16u);
}

// Ten thousand stacks of a report share most of their addresses.
TEST(Symbolize, EachAddressOnce) {
  TempDir dir;
  dir.Write("once.c", kSource);
  Shell(dir.path(), "cc -std=gnu99 -shared -fPIC -O2 -g -o libonce.so once.c");
  const Library library(dir.path() + "/libonce.so");
  const auto direct = library.Get<void(Api, int)>("direct");
  const StackId first = Trampoline(direct, &ApiFunction, 0),
                second = Trampoline(direct, &ApiFunction, 1);
  ASSERT_NE(first, second);
  const uint64_t before = GetStats().symbolized;
  const std::string text = Text(Symbolize(first));
  EXPECT_EQ(GetStats().symbolized, before + 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Text(Symbolize(first)), text);
  EXPECT_EQ(GetStats().symbolized, before + 1);
  EXPECT_NE(Text(Symbolize(second)), text);
  EXPECT_EQ(GetStats().symbolized, before + 2);
}

TEST(Symbolize, UnknownStacks) {
  EXPECT_TRUE(Symbolize(kNoStack).empty());
  EXPECT_TRUE(Symbolize(0xfffffff0u).empty());
  EXPECT_TRUE(Lookup(0xfffffff0u).frames.empty());
}

TEST(Symbolize, APinnedLibraryStays) {
  Example example;
  example.Compile("-g");
  void* handle = dlopen(example.path.c_str(), RTLD_NOW);
  ASSERT_NE(handle, nullptr) << dlerror();
  void* outer = dlsym(handle, "outer");
  ASSERT_TRUE(Pin(outer));
  dlclose(handle);
  void* again = dlopen(example.path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  EXPECT_NE(again, nullptr);
  EXPECT_EQ(dlsym(again, "outer"), outer);
  EXPECT_FALSE(Pin(nullptr));
  // Its stacks outlast what happens to other libraries.
  Example other;
  other.Compile("");
  StackId first = kNoStack;
  uint64_t misses = 0;
  for (int round = 0; round < 2; ++round) {
    const StackId id = Trampoline(reinterpret_cast<void (*)(Api, int)>(outer), &ApiFunction, 5);
    if (round == 1) {
      EXPECT_EQ(id, first);
      EXPECT_EQ(GetStats().misses, misses);
      break;
    }
    first = id;
    const uint64_t invalidations = GetStats().invalidations;
    {
      Library library(other.path);
      other.Call(library);
    }
    EXPECT_GT(GetStats().invalidations, invalidations);
    misses = GetStats().misses;
  }
}

TEST(Symbolize, FromManyThreads) {
  Example example;
  example.Compile("-g");
  Library library(example.path);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const StackId id = example.Call(library);
        EXPECT_EQ(Symbolize(id).size(), 4u);
      }
    });
  }
  for (std::thread& t : threads) t.join();
}

}  // namespace
}  // namespace hpy::stacktrace::testing
