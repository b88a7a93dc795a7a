// Reads text that may not be UTF-8.

#include "leakdetector/utf8.h"

#include <cstdint>

namespace hpy::leakdetector {
namespace {

// Length and first value bits of the character that begins with `lead`; length 0 for none.
struct Lead {
  int length;
  char32_t bits;
  char32_t smallest;  // below it the form is overlong
};

constexpr Lead DecodeLead(uint8_t lead) {
  if (lead < 0x80) return {1, lead, 0};
  if (lead >= 0xC2 && lead <= 0xDF) return {2, char32_t{lead} & 0x1F, 0x80};
  if (lead >= 0xE0 && lead <= 0xEF) return {3, char32_t{lead} & 0x0F, 0x800};
  if (lead >= 0xF0 && lead <= 0xF4) return {4, char32_t{lead} & 0x07, 0x10000};
  return {0, 0, 0};
}

}  // namespace

char32_t NextCharacter(std::string_view text, size_t* position) {
  const size_t start = (*position)++;
  const Lead lead = DecodeLead(static_cast<uint8_t>(text[start]));
  if (lead.length == 0 || text.size() - start < static_cast<size_t>(lead.length)) {
    return kReplacementCharacter;
  }
  char32_t value = lead.bits;
  for (int i = 1; i < lead.length; ++i) {
    const uint8_t byte = static_cast<uint8_t>(text[start + i]);
    if ((byte & 0xC0) != 0x80) return kReplacementCharacter;
    value = (value << 6) | (byte & 0x3F);
  }
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < lead.smallest || surrogate || value > 0x10FFFF) return kReplacementCharacter;
  *position = start + lead.length;
  return value;
}

void AppendCharacter(char32_t character, std::string& out) {
  const auto add = [&out](char32_t byte) { out += static_cast<char>(byte); };
  if (character < 0x80) {
    add(character);
  } else if (character < 0x800) {
    add(0xC0 | (character >> 6));
    add(0x80 | (character & 0x3F));
  } else if (character < 0x10000) {
    add(0xE0 | (character >> 12));
    add(0x80 | ((character >> 6) & 0x3F));
    add(0x80 | (character & 0x3F));
  } else {
    add(0xF0 | (character >> 18));
    add(0x80 | ((character >> 12) & 0x3F));
    add(0x80 | ((character >> 6) & 0x3F));
    add(0x80 | (character & 0x3F));
  }
}

std::string_view FirstCharacters(std::string_view text, size_t characters) {
  size_t position = 0;
  while (position < text.size() && characters-- > 0) NextCharacter(text, &position);
  return text.substr(0, position);
}

size_t CountCharacters(std::string_view text) {
  size_t count = 0;
  for (size_t position = 0; position < text.size(); ++count) NextCharacter(text, &position);
  return count;
}

std::string OneLine(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    const char32_t character = NextCharacter(text, &position);
    const bool blank = (character >= '\t' && character <= '\r') || character == 0x85 ||
                       character == 0x2028 || character == 0x2029;
    // C0, DEL and C1; the marks that turn the direction of text can make a report lie as well.
    const bool hostile = character < 0x20 || (character >= 0x7F && character < 0xA0) ||
                         (character >= 0x200E && character <= 0x200F) ||
                         (character >= 0x202A && character <= 0x202E) ||
                         (character >= 0x2066 && character <= 0x2069);
    if (blank) {
      out += ' ';
    } else {
      AppendCharacter(hostile ? kReplacementCharacter : character, out);
    }
  }
  return out;
}

}  // namespace hpy::leakdetector
