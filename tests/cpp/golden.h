// Golden files: texts that a person reads are compared with tests/cpp/golden/NAME.txt.
//
//   EXPECT_TRUE(MatchesGolden("use_after_close", ToText(violation, options)));
//
// HPY_UPDATE_GOLDEN=1 in the environment rewrites the files instead; read the diff before
// committing.

#ifndef HPY_TESTS_CPP_GOLDEN_H_
#define HPY_TESTS_CPP_GOLDEN_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace hpy::testing {

inline ::testing::AssertionResult MatchesGolden(const std::string& name, const std::string& text) {
  const std::filesystem::path file =
      std::filesystem::path(__FILE__).parent_path() / "golden" / (name + ".txt");
  const char* update = std::getenv("HPY_UPDATE_GOLDEN");
  if (update != nullptr && std::string(update) == "1") {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream out(file, std::ios::binary);
    out << text;
    out.close();
    if (!out) return ::testing::AssertionFailure() << "cannot write " << file;
    return ::testing::AssertionSuccess() << "rewrote " << file;
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    return ::testing::AssertionFailure()
           << file << " is missing; run the test with HPY_UPDATE_GOLDEN=1 to write it. The text:\n"
           << text;
  }
  std::ostringstream wanted;
  wanted << in.rdbuf();
  if (wanted.str() == text) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "wanted, as in " << file << ":\n"
         << wanted.str() << "found:\n"
         << text << "If the new text is right, run the test with HPY_UPDATE_GOLDEN=1";
}

}  // namespace hpy::testing

#endif  // HPY_TESTS_CPP_GOLDEN_H_
