// Source files for excerpts: whatever a path names, a report neither fails nor hangs.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "leakdetector/source_file.h"
#include "temporary_directory.h"

namespace hpy::leakdetector {
namespace {

using testing::TemporaryDirectory;

TEST(SourceFile, LinesAreCountedFromOne) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("a.c", "one\r\n\nthree");
  SourceFiles sources("");
  EXPECT_EQ(sources.Line(file, 1), "one");
  EXPECT_EQ(sources.Line(file, 2), "");
  EXPECT_EQ(sources.Line(file, 3), "three");
  EXPECT_EQ(sources.Line(file, 4), std::nullopt);
  EXPECT_EQ(sources.Line(file, 0), std::nullopt);
  EXPECT_EQ(sources.Line(file, -1), std::nullopt);
}

TEST(SourceFile, RelativePathsLieInTheBaseDirectory) {
  const TemporaryDirectory directory;
  directory.Write("src/a.c", "one\n");
  SourceFiles sources(directory.path());
  EXPECT_EQ(sources.Line("src/a.c", 1), "one");
  EXPECT_EQ(sources.Line("src/b.c", 1), std::nullopt);
}

TEST(SourceFile, WhatIsNoSourceHasNoLines) {
  const TemporaryDirectory directory;
  const std::string pipe = directory.File("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);  // opening it must not wait for a writer
  const std::string huge = directory.Write("huge.c", "int x;\n");
  std::filesystem::resize_file(huge, SourceFiles::kMaxBytes + 1);
  SourceFiles sources("");
  EXPECT_EQ(sources.Line(pipe, 1), std::nullopt);
  EXPECT_EQ(sources.Line(huge, 1), std::nullopt);
  EXPECT_EQ(sources.Line(directory.Write("binary", std::string("a\0b\n", 4)), 1), std::nullopt);
  EXPECT_EQ(sources.Line(directory.Write("empty.c", ""), 1), std::nullopt);
  EXPECT_EQ(sources.Line(directory.path(), 1), std::nullopt);
  EXPECT_EQ(sources.Line("/dev/zero", 1), std::nullopt);
  EXPECT_EQ(sources.Line("<built-in>", 1), std::nullopt);
  EXPECT_EQ(sources.Line("", 1), std::nullopt);
}

TEST(SourceFile, ManyFilesAreReadAgain) {
  const TemporaryDirectory directory;
  SourceFiles sources("");
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < 2 * SourceFiles::kMaxFiles; ++i) {
      const std::string name = std::to_string(i) + ".c";
      EXPECT_EQ(sources.Line(directory.Write(name, name + "\n"), 1), name);
    }
  }
}

TEST(SourceFile, KnowsWhetherASourceIsNewerThanItsLibrary) {
  const TemporaryDirectory directory;
  const std::string old_file = directory.Write("old", "x");
  const std::string new_file = directory.Write("new", "x");
  std::filesystem::last_write_time(
      new_file, std::filesystem::last_write_time(old_file) + std::chrono::seconds(2));
  const SourceFiles sources("");
  EXPECT_TRUE(sources.IsNewerThan(new_file, old_file));
  EXPECT_FALSE(sources.IsNewerThan(old_file, new_file));
  EXPECT_FALSE(sources.IsNewerThan(new_file, "/no/such/library.so"));
  EXPECT_FALSE(sources.IsNewerThan("/no/such/source.c", old_file));
  EXPECT_FALSE(sources.IsNewerThan(new_file, ""));
}

}  // namespace
}  // namespace hpy::leakdetector
