// Sliding windows along one side, in a few passes.
#pragma once

#include <algorithm>
#include <cstdint>

namespace autoseg {
inline namespace CPU_CAPABILITY {

// Joins windows of 2 radius + 1 along a side, in place; doubles the window until it is that wide.
// values: count entries between rims of `radius` entries; entries are `stride` numbers each.
template <typename V, typename Join>
void window(V* values, int64_t count, int64_t radius, int64_t stride, const Join& join) {
  int64_t have = 1, size = (count + 2 * radius) * stride;
  for (const int64_t want = 2 * radius + 1; have < want;) {
    const int64_t step = std::min(have, want - have) * stride;
    size -= step;
#pragma GCC ivdep  // what is read lies ahead of what is written
    for (int64_t j = 0; j < size; ++j) values[j] = join(values[j], values[j + step]);
    have += step / stride;
  }
}

}  // namespace CPU_CAPABILITY
}  // namespace autoseg
