// An index of address ranges, as debug information gives them.

#ifndef HPY_STACKTRACE_INTERVALS_H_
#define HPY_STACKTRACE_INTERVALS_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace hpy::stacktrace {

// Intervals [low, high) with a value each; they may overlap.
template <typename T>
class Intervals {
 public:
  void Add(uint64_t low, uint64_t high, T value) {
    // What a linker has dropped lies at 0, or has no extent.
    if (low > 1 && low < high) all_.push_back({low, high, 0, std::move(value)});
  }
  void Sort() {
    std::sort(all_.begin(), all_.end(), [](const Item& a, const Item& b) { return a.low < b.low; });
    uint64_t highest = 0;
    for (Item& item : all_) item.highest = highest = std::max(highest, item.high);
  }
  // Calls f(size, value) for each interval that holds `address`.
  template <typename F>
  void ForEachAt(uint64_t address, F f) const {
    auto it = std::upper_bound(all_.begin(), all_.end(), address,
                               [](uint64_t a, const Item& item) { return a < item.low; });
    while (it != all_.begin() && (--it)->highest > address) {
      if (address < it->high) f(it->high - it->low, it->value);
    }
  }
  // The narrowest interval that holds `address`, or null.
  const T* Find(uint64_t address) const {
    const T* best = nullptr;
    uint64_t best_size = ~uint64_t{0};
    ForEachAt(address, [&](uint64_t size, const T& value) {
      if (size < best_size) {
        best = &value;
        best_size = size;
      }
    });
    return best;
  }

 private:
  struct Item {
    uint64_t low, high;
    uint64_t highest;  // end of this and all before it
    T value;
  };
  std::vector<Item> all_;
};

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_INTERVALS_H_
