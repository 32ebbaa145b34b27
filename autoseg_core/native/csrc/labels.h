// Labels of a block, read from integers of any width as they stand.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>

#include <atomic>
#include <optional>

#include "blocks.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {

// Raises for shapes that do not belong together, which would be read out of bounds.
inline void check_arguments(const at::Tensor& logits, const at::Tensor& target, bool sigmoid,
                            at::OptionalIntArrayRef size = std::nullopt) {
  TORCH_CHECK(logits.dim() == 4 && target.dim() == (sigmoid ? 4 : 3),
              "expected logits (N, C, H, W) and their target, got ", logits.sizes(), " and ",
              target.sizes());
  const at::IntArrayRef pixels = target.sizes().slice(target.dim() - 2);
  const at::IntArrayRef expected = size ? at::IntArrayRef(*size) : logits.sizes().slice(2);
  TORCH_CHECK(target.size(0) == logits.size(0) && pixels == expected &&
                  (!sigmoid || target.size(1) == logits.size(1)),
              "the target ", target.sizes(), " does not fit the logits ", logits.sizes());
}

inline void check_gradient(const at::Tensor& gradient, const at::Tensor& logits) {
  TORCH_CHECK(gradient.dim() == 2 && gradient.size(0) == 4 && gradient.size(1) == logits.size(1),
              "expected a gradient of shape (4, C), got ", gradient.sizes());
}

// Target (N, R, Q), or (N, C, R, Q) of 0 and 1 for each class, and which pixels count.
class Labels {
 public:
  Labels(const at::Tensor& target, const std::optional<at::Tensor>& near, int64_t kinds,
         int64_t ignore)
      : target_(target), near_(near), kinds_(kinds), ignore_(ignore) {}

  // Writes -1 where nothing counts, the padding included up to whole vectors.
  template <typename T>
  void load(const Block& b, int64_t c, T* to) {
    const bool per_class = target_.dim() == 4;
    const auto s = target_.strides();
    const int64_t plane = b.image * s[0] + (per_class ? c * s[1] : 0);
    const int64_t offset = plane + b.row * s[s.size() - 2] + b.column * s.back();
    const bool* near = nullptr;
    if (near_) {
      const int64_t row = b.image * near_->size(1) + b.row;
      near = near_->const_data_ptr<bool>() + row * near_->size(2) + b.column;
    }
    AT_DISPATCH_INTEGRAL_TYPES(target_.scalar_type(), "labels", [&] {
      const scalar_t* from = target_.const_data_ptr<scalar_t>() + offset;
      s.back() == 1 ? read(from, std::integral_constant<int64_t, 1>(), near, b.count, to)
                    : read(from, s.back(), near, b.count, to);
    });
    std::fill(to + b.count, to + whole_vectors<T>(b.count), T(-1));
  }

  // Raises for a label that is neither a class nor void.
  void check() const {
    TORCH_CHECK_VALUE(!bad_, "The target holds labels outside the classes 0..", kinds_ - 1,
                      ", such as ", example_.load(), "; void pixels must be ", ignore_,
                      " (ignore_index). A binary mask with one logit per pixel wants "
                      "activation='sigmoid'.");
  }

 private:
  template <typename L, typename Stride, typename T>
  void read(const L* from, Stride stride, const bool* near, int64_t count, T* to) {
    bool bad = false;
    for (int64_t j = 0; j < count; ++j) {
      const int64_t label = static_cast<int64_t>(from[j * stride]);
      bad |= (label != ignore_) & ((label < 0) | (label >= kinds_));
      to[j] = label == ignore_ ? T(-1) : static_cast<T>(static_cast<int32_t>(label));
    }
    if (near != nullptr) {
      for (int64_t j = 0; j < count; ++j) to[j] = near[j] ? to[j] : T(-1);
    }
    if (bad) remember(from, stride, count);
  }

  template <typename L, typename Stride>
  void remember(const L* from, Stride stride, int64_t count) {
    for (int64_t j = 0; j < count; ++j) {
      const int64_t label = static_cast<int64_t>(from[j * stride]);
      if (label != ignore_ && (label < 0 || label >= kinds_)) example_ = label;
    }
    bad_ = true;
  }

  const at::Tensor target_;
  const std::optional<at::Tensor> near_;
  const int64_t kinds_, ignore_;
  std::atomic<bool> bad_{false};
  std::atomic<int64_t> example_{0};
};

}  // namespace CPU_CAPABILITY
}  // namespace autoseg
