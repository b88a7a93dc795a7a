// The report file: whole lines from many processes and threads, and errors told once.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "leakdetector/report_file.h"
#include "temporary_directory.h"

namespace hpy::leakdetector {
namespace {

using testing::ReadFile;
using testing::TemporaryDirectory;

// A plain function takes complaints, so they are kept here.
std::vector<std::string>& Complaints() {
  static std::vector<std::string> complaints;
  return complaints;
}

void Complain(std::string_view message) { Complaints().emplace_back(message); }

class ReportFileTest : public ::testing::Test {
 protected:
  void SetUp() override { Complaints().clear(); }

  const TemporaryDirectory directory_;
};

// The exit status of a child that runs `body`; -1 when it was killed.
template <typename Body>
int InChild(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(ReportFileTest, AppendsLines) {
  const std::string path = directory_.Write("out.jsonl", "{}\n");
  ReportFile file(path, Complain);
  EXPECT_EQ(file.path(), path);
  errno = 1234;
  EXPECT_TRUE(file.Append("first"));
  EXPECT_TRUE(file.Append(""));
  EXPECT_EQ(errno, 1234);
  EXPECT_EQ(ReadFile(path), "{}\nfirst\n\n");
}

TEST_F(ReportFileTest, KeepsNoDescriptor) {
  ReportFile file(directory_.File("out.jsonl"), Complain);
  const int before = dup(0);
  close(before);
  EXPECT_TRUE(file.Append("line"));
  const int after = dup(0);
  close(after);
  EXPECT_EQ(before, after);
}

TEST_F(ReportFileTest, PutsTheProcessIntoThePath) {
  ReportFile file(directory_.File("{pid}/out-{pid}.{pi}"), Complain);
  const std::string pid = std::to_string(getpid());
  EXPECT_EQ(file.path(), directory_.File(pid + "/out-" + pid + ".{pi}"));
}

TEST_F(ReportFileTest, AForkedChildHasAFileOfItsOwn) {
  ReportFile file(directory_.File("out-{pid}"), Complain);
  EXPECT_TRUE(file.Append("parent"));
  EXPECT_EQ(InChild([&file] { return file.Append("child") ? 0 : 1; }), 0);
  EXPECT_TRUE(file.Append("parent"));
  EXPECT_EQ(ReadFile(file.path()), "parent\nparent\n");
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    ++files;
    if (entry.path() != file.path()) {
      EXPECT_EQ(ReadFile(entry.path()), "child\n");
    }
  }
  EXPECT_EQ(files, 2);
}

// 8 processes with 8 threads each, lines far above the size that a pipe would write in one piece.
TEST_F(ReportFileTest, LinesOfProcessesAndThreadsDoNotMix) {
  constexpr int kProcesses = 8, kThreads = 8, kLines = 25;
  const std::string path = directory_.File("out.jsonl");
  ReportFile file(path, Complain);
  const auto line = [](int process, int thread, int number) {
    const std::string name =
        std::to_string(process) + "." + std::to_string(thread) + "." + std::to_string(number);
    const size_t size = number % 5 == 0 ? 70'000 : 50 + 37 * number;
    return name + ":" + std::string(size, static_cast<char>('a' + (process * 8 + thread) % 26));
  };
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      std::atomic<int> failures{0};
      std::vector<std::thread> threads;
      for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
          for (int number = 0; number < kLines; ++number) {
            if (!file.Append(line(process, thread, number))) ++failures;
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      _exit(failures == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }

  // Each line is there once, and those of one thread are in their order.
  std::map<std::pair<int, int>, int> next;
  std::istringstream lines(ReadFile(path));
  int total = 0;
  for (std::string found; std::getline(lines, found); ++total) {
    int process = -1, thread = -1, number = -1;
    ASSERT_EQ(std::sscanf(found.c_str(), "%d.%d.%d:", &process, &thread, &number), 3);
    ASSERT_EQ(found, line(process, thread, number));
    ASSERT_EQ(number, (next[{process, thread}]++));
  }
  EXPECT_EQ(total, kProcesses * kThreads * kLines);
}

TEST_F(ReportFileTest, ALineThatWasCutStaysALineOfItsOwn) {
  const std::string path = directory_.Write("out.jsonl", "whole\ncut by a cra");
  ReportFile file(path, Complain);
  EXPECT_TRUE(file.Append("next"));
  EXPECT_TRUE(file.Append("last"));
  EXPECT_EQ(ReadFile(path), "whole\ncut by a cra\nnext\nlast\n");
}

// A process that was stopped in the middle of a line must not stop all others for ever.
TEST_F(ReportFileTest, WaitsForALockButNotForEver) {
  const std::string path = directory_.Write("out.jsonl", "");
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  ReportFile file(path, Complain);
  EXPECT_TRUE(file.Append("line"));
  EXPECT_EQ(ReadFile(path), "line\n");
  close(fd);
}

TEST_F(ReportFileTest, TellsOnceWhatIsWrongAndWhatMendsIt) {
  ReportFile file(directory_.File("missing/out.jsonl"), Complain);
  EXPECT_FALSE(file.Append("line"));
  EXPECT_FALSE(file.Append("line"));
  ASSERT_EQ(Complaints().size(), 1u);
  EXPECT_EQ(Complaints()[0],
            "hpy.debug: wanted to append violations to the report file '" + file.path() +
                "', but opening it failed: No such file or directory. To mend it, create its "
                "folder first, or choose another path with HPY_DEBUG_REPORT or "
                "hpy.debug.configure(report=...). Violations are missing in the file from here "
                "on.");
  // Once the folder is there, it works.
  std::filesystem::create_directory(directory_.File("missing"));
  EXPECT_TRUE(file.Append("line"));
}

TEST_F(ReportFileTest, ComplainsOnStandardErrorByItself) {
  ReportFile file(directory_.path());
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(file.Append("line"));
  EXPECT_FALSE(file.Append("line"));
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("Is a directory. To mend it, name a file inside of that folder"),
            text.rfind("Is a directory."));
  EXPECT_TRUE(text.ends_with("from here on.\n")) << text;
}

TEST_F(ReportFileTest, APathThatIsTooLong) {
  ReportFile file("/" + std::string(5000, 'x'), Complain);
  EXPECT_FALSE(file.Append("line"));
  ASSERT_EQ(Complaints().size(), 1u);
  EXPECT_NE(Complaints()[0].find("File name too long"), std::string::npos);
}

// As on a full disk: the first bytes of the line can be written, the others cannot.
TEST_F(ReportFileTest, ALineThatDoesNotFitIsTakenBack) {
  const std::string path = directory_.Write("out.jsonl", "0123456789\n");
  const int status = InChild([&path] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {100, 100};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    ReportFile file(path, Complain);
    if (file.Append(std::string(200, 'x'))) return 2;
    if (Complaints().size() != 1) return 3;
    if (Complaints()[0].find("writing a line failed: File too large. To mend it, make room") ==
        std::string::npos) {
      return 4;
    }
    return file.Append("short") ? 0 : 5;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(ReadFile(path), "0123456789\nshort\n");
}

TEST_F(ReportFileTest, AFullDeviceIsTold) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "this system has no /dev/full";
  ReportFile file("/dev/full", Complain);
  EXPECT_FALSE(file.Append("line"));
  ASSERT_EQ(Complaints().size(), 1u);
  EXPECT_NE(Complaints()[0].find("No space left on device"), std::string::npos);
}

TEST_F(ReportFileTest, APipeTakesLinesToo) {
  const std::string path = directory_.File("pipe");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  ReportFile file(path, Complain);
  EXPECT_TRUE(file.Append("line"));
  char bytes[16];
  EXPECT_EQ(read(reader, bytes, sizeof(bytes)), 5);
  close(reader);
}

}  // namespace
}  // namespace hpy::leakdetector
