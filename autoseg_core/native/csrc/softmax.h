// Softmax of a block of pixels, in the parts that the sums need.
#pragma once

#include <numeric>

#include "blocks.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {

template <typename T>
Vectorized<T> exponential(Vectorized<T> x) {
  if constexpr (std::is_same_v<T, float>)
    return x.exp_u20();
  else
    return x.exp();
}

template <typename T>
double sum_of(Vectorized<T> lanes) {
  T values[Vectorized<T>::size()];
  lanes.store(values);
  return std::accumulate(values, values + Vectorized<T>::size(), 0.0);
}

// Writes exp(x - max x) of the logits x (C pointers) to rows (C, width), of which count pixels, and
// max x, 1 / the sum, and, if asked for, the probability of each pixel's own class. Logits where
// label < 0 count as 0: even a NaN there must reach nothing.
template <typename T>
void exponents(const T* const* x, T* rows, int64_t classes, int64_t width, int64_t count,
               const T* label, T* top_out, T* inverse_out, T* own_out) {
  using Vec = Vectorized<T>;
  for (int64_t j = 0; j < count; j += Vec::size()) {
    const Vec kind = Vec::loadu(label + j), known = kind >= Vec(T(0));
    Vec top(-std::numeric_limits<T>::infinity());
    for (int64_t c = 0; c < classes; ++c) {
      top = at::vec::maximum(top, Vec::loadu(x[c] + j) & known);
    }
    Vec sum(T(0)), own(T(0));
    for (int64_t c = 0; c < classes; ++c) {
      const Vec e = exponential<T>((Vec::loadu(x[c] + j) & known) - top);
      e.store(rows + c * width + j);
      sum = sum + e;
      own = Vec::blendv(own, e, kind == Vec(static_cast<T>(c)));
    }
    // NaN where a logit is NaN or +inf: the exponential itself clamps them.
    const Vec inverse = Vec(T(1)) / (sum + (top - top));
    top.store(top_out + j);
    inverse.store(inverse_out + j);
    if (own_out != nullptr) (own * inverse).store(own_out + j);
  }
}

}  // namespace CPU_CAPABILITY
}  // namespace autoseg
