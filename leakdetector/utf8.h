// Reads text that may not be UTF-8: the paths, names and reprs that end in reports.

#ifndef HPY_LEAKDETECTOR_UTF8_H_
#define HPY_LEAKDETECTOR_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace hpy::leakdetector {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

// The character at `*position`, which must lie inside `text`, and advances behind it. A byte that
// begins no well-formed character (overlong forms, surrogates and values above U+10FFFF are none)
// is kReplacementCharacter by itself, so that no byte is swallowed.
char32_t NextCharacter(std::string_view text, size_t* position);

void AppendCharacter(char32_t character, std::string& out);

// The longest beginning of `text` that has at most `characters` characters.
std::string_view FirstCharacters(std::string_view text, size_t characters);

// How many characters `text` has.
size_t CountCharacters(std::string_view text);

// `text` fit for one line of a terminal: valid UTF-8, and in place of each character that moves
// the cursor or starts an escape sequence a blank (line breaks, tabs) or U+FFFD (all others).
std::string OneLine(std::string_view text);

}  // namespace hpy::leakdetector

#endif  // HPY_LEAKDETECTOR_UTF8_H_
