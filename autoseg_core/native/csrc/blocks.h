// Blocks of neighbouring pixels, small enough for a core's cache, and where their logits come from.
//
// N: images; C: classes; R, Q: rows and columns of pixels; h, w: of logits yet to be upsampled.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/cpu/vec/functional.h>
#include <ATen/cpu/vec/vec.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

// The float types that logits have.
#define DISPATCH(TYPE, NAME, ...) \
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, TYPE, NAME, __VA_ARGS__)

namespace autoseg {
inline namespace CPU_CAPABILITY {

using at::vec::Vectorized;

// What is computed in: float for float32 and the half types, double for float64.
template <typename S>
using Working = std::conditional_t<std::is_same_v<S, double>, double, float>;

constexpr int64_t NUMBERS = 1 << 14;  // logits of a block: 64 KiB of float, part of a second cache

struct Block {
  int64_t image, row, column, count;
};

// Cuts (N, R, Q) pixels into blocks of one row each.
struct Grid {
  int64_t images, classes, rows, columns, width, per_row;

  Grid(int64_t n, int64_t c, int64_t r, int64_t q) : images(n), classes(c), rows(r), columns(q) {
    const int64_t fits = NUMBERS / std::max<int64_t>(1, c) / 64 * 64;
    width = std::clamp<int64_t>(fits, 64, 1024);
    per_row = (columns + width - 1) / width;
  }

  int64_t blocks() const { return images * rows * per_row; }

  Block block(int64_t index) const {
    const int64_t line = index / per_row, column = index % per_row * width;
    return {line / rows, line % rows, column, std::min(width, columns - column)};
  }
};

// Pixels of a block, rounded up to whole vectors.
template <typename T>
int64_t whole_vectors(int64_t count) {
  constexpr int64_t lanes = Vectorized<T>::size();
  return (count + lanes - 1) / lanes * lanes;
}

template <typename From, typename To>
void copy_row(const From* from, int64_t from_stride, To* to, int64_t to_stride, int64_t count) {
  if (from_stride == 1 && to_stride == 1) {
    if constexpr (std::is_same_v<From, To>)
      std::memcpy(to, from, count * sizeof(To));
    else
      at::vec::convert(from, to, count);
    return;
  }
  for (int64_t j = 0; j < count; ++j) to[j * to_stride] = static_cast<To>(from[j * from_stride]);
}

// Logits (N, C, R, Q) as they stand, of any strides.
template <typename S>
class Dense {
 public:
  using T = Working<S>;

  explicit Dense(const at::Tensor& logits)
      : data_(const_cast<S*>(logits.const_data_ptr<S>())), strides_(logits.strides().vec()) {}

  void load(const Block& block, int64_t c, T* to) const {
    copy_row(place(block, c), strides_[3], to, 1, block.count);
  }

  // The same, not copied where whole vectors can be read in place; `room` is for the copy.
  const T* read(const Block& block, int64_t c, T* room) const {
    if constexpr (std::is_same_v<S, T>)
      if (in_place(block)) return place(block, c);
    load(block, c, room);
    return room;
  }

  void store(const Block& block, int64_t c, const T* from) const {
    copy_row(from, 1, place(block, c), strides_[3], block.count);
  }

  // Has `fill` write whole vectors, in place or to `room`, and stores them.
  template <typename Fill>
  void write(const Block& block, int64_t c, T* room, const Fill& fill) const {
    if constexpr (std::is_same_v<S, T>)
      if (in_place(block)) return fill(place(block, c));
    fill(room);
    store(block, c, room);
  }

 private:
  bool in_place(const Block& block) const {
    return strides_[3] == 1 && block.count == whole_vectors<T>(block.count);
  }

  S* place(const Block& b, int64_t c) const {
    return data_ + b.image * strides_[0] + c * strides_[1] + b.row * strides_[2] +
           b.column * strides_[3];
  }

  S* data_;
  std::vector<int64_t> strides_;
};

// Between which two inputs each output of a bilinear upsampling lies, and how near the second.
template <typename T>
struct Places {
  std::vector<int32_t> first, second;
  std::vector<T> weight;

  // As F.interpolate places them, in float64.
  Places(int64_t inputs, int64_t outputs, bool align_corners)
      : first(outputs), second(outputs), weight(outputs) {
    const double step = align_corners
                            ? (outputs > 1 ? double(inputs - 1) / double(outputs - 1) : 0.0)
                            : double(inputs) / double(outputs);
    for (int64_t o = 0; o < outputs; ++o) {
      const double at = align_corners ? o * step : std::max(0.0, (o + 0.5) * step - 0.5);
      first[o] = std::min<int32_t>(at, inputs - 1);
      second[o] = std::min<int32_t>(first[o] + 1, inputs - 1);
      weight[o] = at - first[o];
    }
  }
};

// Logits (N, C, h, w) that are upsampled to R x Q on the way.
template <typename S>
class Upsampled {
 public:
  using T = Working<S>;

  Upsampled(const at::Tensor& logits, const Grid& grid, bool align_corners)
      : height(logits.size(2)),
        width(logits.size(3)),
        rows(height, grid.rows, align_corners),
        columns(width, grid.columns, align_corners),
        data_(logits.const_data_ptr<S>()),
        strides_(logits.strides().vec()),
        narrow_(width) {}

  const T* read(const Block& b, int64_t c, T* to) {
    const int64_t start = columns.first[b.column], last = columns.second[b.column + b.count - 1];
    const S* plane = data_ + b.image * strides_[0] + c * strides_[1];
    const S* upper = plane + rows.first[b.row] * strides_[2];
    const S* lower = plane + rows.second[b.row] * strides_[2];
    const T down = rows.weight[b.row], up = T(1) - down;
    for (int64_t i = start; i <= last; ++i) {
      narrow_[i] = up * T(upper[i * strides_[3]]) + down * T(lower[i * strides_[3]]);
    }
    const int32_t *first = &columns.first[b.column], *second = &columns.second[b.column];
    const T *weight = &columns.weight[b.column], *narrow = narrow_.data();
    for (int64_t j = 0; j < b.count; ++j) {
      to[j] = (T(1) - weight[j]) * narrow[first[j]] + weight[j] * narrow[second[j]];
    }
    return to;
  }

  const int64_t height, width;
  const Places<T> rows, columns;

 private:
  const S* data_;
  std::vector<int64_t> strides_;
  std::vector<T> narrow_;  // a row of logits between two rows
};

}  // namespace CPU_CAPABILITY
}  // namespace autoseg
