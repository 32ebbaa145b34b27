// Labels of a block, read from integers of any width as they stand.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>

#include <atomic>
#include <limits>

#include "blocks.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {

// Raises for shapes that do not belong together, which would be read out of bounds.
inline void check_arguments(const at::Tensor& logits, const at::Tensor& target) {
  TORCH_CHECK(logits.dim() == 4 && (target.dim() == 3 || target.dim() == 4),
              "expected logits (N, C, H, W) and their target, got ", logits.sizes(), " and ",
              target.sizes());
  TORCH_CHECK(target.size(0) == logits.size(0) && target.size(-2) >= logits.size(2) &&
                  target.size(-1) >= logits.size(3) &&
                  (target.dim() == 3 || target.size(1) == logits.size(1)),
              "the target ", target.sizes(), " does not fit the logits ", logits.sizes());
}

inline void check_gradient(const at::Tensor& gradient, const at::Tensor& logits) {
  TORCH_CHECK(gradient.dim() == 2 && gradient.size(0) == 4 && gradient.size(1) == logits.size(1),
              "expected a gradient of shape (4, C), got ", gradient.sizes());
}

// Raises for a target with labels that are neither one of `kinds` classes nor void.
inline void refuse_labels(const at::Tensor& target, int64_t kinds, int64_t ignore) {
  const at::Tensor y = target.to(at::kLong);
  const at::Tensor bad = y.masked_select(((y < 0) | (y >= kinds)) & (y != ignore));
  TORCH_CHECK_VALUE(false, "The target holds labels outside the classes 0..", kinds - 1,
                    ", such as ", bad[0].item<int64_t>(), "; void pixels must be ", ignore,
                    " (ignore_index). A binary mask with one logit per pixel wants "
                    "activation='sigmoid'.");
}

// Target (N, R, Q) of `classes`, or (N, C, R, Q) of 0 and 1 for each class.
class Labels {
 public:
  Labels(const at::Tensor& target, int64_t classes, int64_t ignore)
      : target_(target), kinds_(target.dim() == 4 ? 2 : classes), ignore_(ignore) {}

  // Writes -1 where nothing counts, the padding included up to whole vectors.
  template <typename T>
  void load(const Block& b, int64_t c, T* to) {
    const bool per_class = target_.dim() == 4;
    const auto s = target_.strides();
    const int64_t plane = b.image * s[0] + (per_class ? c * s[1] : 0);
    const int64_t offset = plane + b.row * s[s.size() - 2] + b.column * s.back();
    AT_DISPATCH_INTEGRAL_TYPES(target_.scalar_type(), "labels", [&] {
      const scalar_t* from = target_.const_data_ptr<scalar_t>() + offset;
      const bool good = s.back() == 1
                            ? read(from, std::integral_constant<int64_t, 1>(), b.count, to)
                            : read(from, s.back(), b.count, to);
      if (!good) bad_ = true;
    });
    std::fill(to + b.count, to + whole_vectors<T>(b.count), T(-1));
  }

  // Raises for a label that is neither a class nor void.
  void check() const {
    if (bad_) refuse_labels(target_, kinds_, ignore_);
  }

 private:
  // False for a bad label. All of one width, which the compiler makes vectors of.
  template <typename L, typename Stride, typename T>
  bool read(const L* from, Stride stride, int64_t count, T* to) const {
    using W = std::conditional_t<(sizeof(L) < 4), int32_t, int64_t>;
    const W kinds = kinds_, ignored = std::clamp<int64_t>(ignore_, std::numeric_limits<W>::min(),
                                                          std::numeric_limits<W>::max());
    W bad = 0;
    for (int64_t j = 0; j < count; ++j) {
      const W label = from[j * stride];
      const W kind = label == ignored ? W(-1) : label;
      bad |= (label != ignored) & ((label < 0) | (label >= kinds)) ? W(1) : W(0);
      to[j] = static_cast<T>(static_cast<int32_t>(kind));
    }
    return bad == 0;
  }

  const at::Tensor target_;
  const int64_t kinds_, ignore_;
  std::atomic<bool> bad_{false};
};

}  // namespace CPU_CAPABILITY
}  // namespace autoseg
