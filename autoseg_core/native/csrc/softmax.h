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

// Rows of pixels whose softmax is computed, and where its parts go.
template <typename T>
struct SoftmaxRows {
  const T* const* logits;  // of each class
  const T* label;
  int64_t classes, count;
  T* exponentials;           // of each class, `stride` apart
  int64_t stride;            // 0: one row, which the next class overwrites
  T *top, *inverse, *own;    // own: not asked for if null
};

// Writes exp(x - max x) of the logits x, max x, 1 / the sum, and the probability of each pixel's own
// class. Logits where label < 0 count as 0: even a NaN there must reach nothing.
template <typename T>
void exponents(const SoftmaxRows<T>& rows) {
  using Vec = Vectorized<T>;
  for (int64_t j = 0; j < rows.count; j += Vec::size()) {
    const Vec kind = Vec::loadu(rows.label + j), known = kind >= Vec(T(0));
    Vec top(-std::numeric_limits<T>::infinity());
    for (int64_t c = 0; c < rows.classes; ++c) {
      top = at::vec::maximum(top, Vec::loadu(rows.logits[c] + j) & known);
    }
    Vec sum(T(0)), own(T(0));
    for (int64_t c = 0; c < rows.classes; ++c) {
      const Vec e = exponential<T>((Vec::loadu(rows.logits[c] + j) & known) - top);
      e.store(rows.exponentials + c * rows.stride + j);
      sum = sum + e;
      own = Vec::blendv(own, e, kind == Vec(static_cast<T>(c)));
    }
    // NaN where a logit is NaN or +inf: the exponential itself clamps them.
    const Vec inverse = Vec(T(1)) / (sum + (top - top));
    top.store(rows.top + j);
    inverse.store(rows.inverse + j);
    if (rows.own != nullptr) (own * inverse).store(rows.own + j);
  }
}

}  // namespace CPU_CAPABILITY
}  // namespace autoseg
