// The depot: every distinct stack once, under a 32-bit number.

#include "stacktrace/depot.h"

#include <cstddef>

namespace hpy::stacktrace {
namespace {

uint32_t Hash(uint64_t head, const PackedFrame* frames, int count) {
  uint64_t h = head * 0x9e3779b97f4a7c15u;
  for (int i = 0; i < count; ++i) {
    h = (h ^ frames[i].bits()) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
  }
  return static_cast<uint32_t>(h >> 32);
}

}  // namespace

StackId Depot::Intern(const PackedFrame* frames, int count, bool truncated) {
  const uint64_t head = static_cast<uint64_t>(count) << 1 | (truncated ? 1 : 0);
  const uint32_t hash = Hash(head, frames, count);
  if ((starts_.size() + 1) * 2 > table_.size()) Grow();
  const size_t mask = table_.size() - 1;
  size_t i = hash & mask;
  for (; table_[i].id != 0; i = (i + 1) & mask) {
    if (table_[i].hash != hash) continue;
    const uint64_t* stack = &words_[starts_[table_[i].id - 1]];
    if (stack[0] != head) continue;
    int k = 0;
    while (k < count && stack[1 + k] == frames[k].bits()) ++k;
    if (k == count) return table_[i].id;
  }
  // 2^32 words are 32 GiB of stacks: there is no memory for as much, but a number must not wrap.
  if (words_.size() + static_cast<size_t>(count) + 1 > UINT32_MAX) return kNoStack;
  // What may throw comes first, so that a failure leaves the depot as it was.
  const size_t needed = words_.size() + static_cast<size_t>(count) + 1;
  if (needed > words_.capacity()) words_.reserve(needed + needed / 2);
  starts_.push_back(static_cast<uint32_t>(words_.size()));
  words_.push_back(head);
  for (int k = 0; k < count; ++k) words_.push_back(frames[k].bits());
  const auto id = static_cast<StackId>(starts_.size());
  table_[i] = {hash, id};
  return id;
}

RawStack Depot::Lookup(StackId id) const {
  RawStack result;
  if (id == kNoStack || id > starts_.size()) return result;
  const uint64_t* stack = &words_[starts_[id - 1]];
  result.truncated = (stack[0] & 1) != 0;
  result.frames.reserve(stack[0] >> 1);
  for (uint64_t k = 0; k < stack[0] >> 1; ++k) {
    result.frames.push_back(PackedFrame(stack[1 + k]).Unpack());
  }
  return result;
}

int Depot::LookupInto(StackId id, RawFrame* frames, int max, bool* truncated) const {
  *truncated = false;
  if (id == kNoStack || id > starts_.size()) return 0;
  const uint64_t* stack = &words_[starts_[id - 1]];
  const auto depth = static_cast<int>(stack[0] >> 1);
  *truncated = (stack[0] & 1) != 0 || depth > max;
  const int count = depth < max ? depth : max;
  for (int k = 0; k < count; ++k) frames[k] = PackedFrame(stack[1 + k]).Unpack();
  return count;
}

void Depot::Grow() {
  std::vector<Cell> bigger(table_.empty() ? 64 : table_.size() * 2, Cell{0, 0});
  const size_t mask = bigger.size() - 1;
  for (const Cell& cell : table_) {
    if (cell.id == 0) continue;
    size_t i = cell.hash & mask;
    while (bigger[i].id != 0) i = (i + 1) & mask;
    bigger[i] = cell;
  }
  table_ = std::move(bigger);
}

}  // namespace hpy::stacktrace
