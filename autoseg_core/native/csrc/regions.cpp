// Soft region counts: the C++ form of surrogates/regions.py, forward and backward.
//
// One pass over the logits each way, block by block; nothing larger than a block is kept.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <optional>

#include "blocks.h"
#include "curve.h"
#include "label_maps.h"
#include "labels.h"
#include "softmax.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {
namespace regions {

constexpr int64_t TASKS = 64;  // partial sums, added in order: the threads' number changes nothing
enum Sum { FOUND, CLAIMED, TARGET, PIXELS, SUMS };

template <typename T>
using Rows = std::vector<T>;

// The curves g_and and g_or of a term; without the latter the identity.
template <typename T>
struct Curves {
  Curve<T> both;
  std::optional<Curve<T>> either;

  explicit Curves(at::TensorList tables) : both(tables[0]) {
    if (tables.size() > 1) either.emplace(tables[1]);
  }
  Vectorized<T> claimed(Vectorized<T> p) const { return either ? either->value(p) : p; }
  Vectorized<T> claimed_slope(Vectorized<T> p) const {
    return either ? either->slope(p) : Vectorized<T>(T(1));
  }
};

// Block of pixels whose classes exclude each other.
template <typename T>
class Softmax {
 public:
  using Vec = Vectorized<T>;
  static constexpr int64_t LANES = Vec::size();

  Softmax(int64_t classes, int64_t width)
      : classes_(classes),
        width_(width),
        p_(classes * width),
        q_(classes * width),
        x_(classes),
        label_(width),
        top_(width),
        inverse_(width),
        own_(width) {}

  template <typename Source>
  void load(Source& source, Labels& labels, const Block& block) {
    count_ = whole_vectors<T>(block.count);
    labels.load(block, 0, label_.data());
    for (int64_t c = 0; c < classes_; ++c) x_[c] = source.read(block, c, row(q_, c));
    exponents(x_.data(), p_.data(), classes_, width_, count_, label_.data(), top_.data(),
              inverse_.data(), own_.data());
  }

  void add(const Curves<T>& curves, double* sums) {
    for (int64_t j = 0; j < count_; j += LANES) curves.both.value(at(own_, j)).store(&own_[j]);
    Vec pixels(T(0));
    for (int64_t j = 0; j < count_; j += LANES) pixels = pixels + (valid(j) & Vec(T(1)));
    const double seen = sum_of(pixels);
    for (int64_t c = 0; c < classes_; ++c) {
      Vec found(T(0)), claimed(T(0)), target(T(0));
      const Vec me(static_cast<T>(c));
      for (int64_t j = 0; j < count_; j += LANES) {
        const Vec label = at(label_, j), mine = label == me;
        const Vec p = Vec::loadu(row(p_, c) + j) * at(inverse_, j);
        found = found + (at(own_, j) & mine);
        target = target + (Vec(T(1)) & mine);
        claimed = claimed + Vec::blendv(curves.claimed(p) & (label >= Vec(T(0))), Vec(T(0)), mine);
      }
      sums[FOUND * classes_ + c] += sum_of(found);
      sums[CLAIMED * classes_ + c] += sum_of(claimed);
      sums[TARGET * classes_ + c] += sum_of(target);
      sums[PIXELS * classes_ + c] += seen;
    }
  }

  // dlogit_c = p_c (dp_c - sum_k p_k dp_k), with dp_c = dI_c g_and'(p_c) for a pixel's own class
  // and dU_c g_or'(p_c) for the others. d: (SUMS, C). Calls `put(c, room, fill)` for each class.
  template <typename Put>
  void differentiate(const Curves<T>& curves, const double* d, const Put& put) {
    for (int64_t j = 0; j < count_; j += LANES) {
      curves.both.slope(at(own_, j)).store(&own_[j]);
      Vec(T(0)).store(&top_[j]);
    }
    for (int64_t c = 0; c < classes_; ++c) {
      const Vec me(static_cast<T>(c)), d_found(static_cast<T>(d[FOUND * classes_ + c]));
      const Vec d_claimed(static_cast<T>(d[CLAIMED * classes_ + c]));
      for (int64_t j = 0; j < count_; j += LANES) {
        const Vec p = Vec::loadu(row(p_, c) + j) * at(inverse_, j);
        const Vec others = curves.claimed_slope(p) * d_claimed;
        const Vec q = p * Vec::blendv(others, at(own_, j) * d_found, at(label_, j) == me);
        p.store(row(p_, c) + j);
        q.store(row(q_, c) + j);
        (at(top_, j) + q).store(&top_[j]);
      }
    }
    for (int64_t c = 0; c < classes_; ++c) {
      const T *p = row(p_, c), *q = row(q_, c);
      put(c, row(q_, c), [&](T* to) {
        for (int64_t j = 0; j < count_; j += LANES) {
          const Vec mean = Vec::loadu(p + j) * at(top_, j);
          ((Vec::loadu(q + j) - mean) & valid(j)).store(to + j);
        }
      });
    }
  }

 private:
  T* row(Rows<T>& rows, int64_t c) { return rows.data() + c * width_; }
  static Vec at(const Rows<T>& values, int64_t j) { return Vec::loadu(values.data() + j); }
  Vec valid(int64_t j) const { return at(label_, j) >= Vec(T(0)); }

  int64_t classes_, width_, count_ = 0;
  Rows<T> p_, q_;  // of logits that have no place of their own, q_ is the room too
  Rows<const T*> x_;
  Rows<T> label_, top_, inverse_, own_;
};

// Block of pixels whose classes do not exclude each other.
template <typename T>
class Sigmoid {
 public:
  using Vec = Vectorized<T>;
  static constexpr int64_t LANES = Vec::size();

  Sigmoid(int64_t classes, int64_t width)
      : classes_(classes), width_(width), p_(classes * width), label_(classes * width) {}

  template <typename Source>
  void load(Source& source, Labels& labels, const Block& block) {
    count_ = whole_vectors<T>(block.count);
    for (int64_t c = 0; c < classes_; ++c) {
      T *x = &p_[c * width_], *label = &label_[c * width_];
      labels.load(block, c, label);
      const T* from = source.read(block, c, x);
      for (int64_t j = 0; j < count_; j += LANES) {
        const Vec known = Vec::loadu(from + j) & (Vec::loadu(label + j) >= Vec(T(0)));
        const Vec p = Vec(T(1)) / (Vec(T(1)) + exponential<T>(known.neg()));
        Vec::blendv(p, known, known != known).store(x + j);
      }
    }
  }

  void add(const Curves<T>& curves, double* sums) {
    for (int64_t c = 0; c < classes_; ++c) {
      Vec found(T(0)), claimed(T(0)), target(T(0)), pixels(T(0));
      for (int64_t j = 0; j < count_; j += LANES) {
        const Vec p = Vec::loadu(&p_[c * width_ + j]), label = Vec::loadu(&label_[c * width_ + j]);
        const Vec own = label == Vec(T(1)), other = label == Vec(T(0));
        found = found + (curves.both.value(p) & own);
        claimed = claimed + (curves.claimed(p) & other);
        target = target + (Vec(T(1)) & own);
        pixels = pixels + (Vec(T(1)) & (own | other));
      }
      sums[FOUND * classes_ + c] += sum_of(found);
      sums[CLAIMED * classes_ + c] += sum_of(claimed);
      sums[TARGET * classes_ + c] += sum_of(target);
      sums[PIXELS * classes_ + c] += sum_of(pixels);
    }
  }

  template <typename Put>
  void differentiate(const Curves<T>& curves, const double* d, const Put& put) {
    for (int64_t c = 0; c < classes_; ++c) {
      const Vec d_found(static_cast<T>(d[FOUND * classes_ + c]));
      const Vec d_claimed(static_cast<T>(d[CLAIMED * classes_ + c]));
      T *at = &p_[c * width_], *kind = &label_[c * width_];
      put(c, at, [&](T* to) {
        for (int64_t j = 0; j < count_; j += LANES) {
          const Vec p = Vec::loadu(at + j), label = Vec::loadu(kind + j);
          const Vec own = curves.both.slope(p) * d_found;
          const Vec other = curves.claimed_slope(p) * d_claimed;
          const Vec dp = (own & (label == Vec(T(1)))) + (other & (label == Vec(T(0))));
          (dp * p * (Vec(T(1)) - p)).store(to + j);
        }
      });
    }
  }

 private:
  int64_t classes_, width_, count_ = 0;
  Rows<T> p_, label_;
};

template <typename Activation, typename Source, typename T>
at::Tensor sums_of(const Grid& grid, const Source& like, Labels& labels, const Curves<T>& curves) {
  const int64_t blocks = grid.blocks(), tasks = std::min(TASKS, blocks);
  at::Tensor partial = at::zeros({tasks, SUMS, grid.classes}, at::kDouble);
  double* sums = partial.data_ptr<double>();
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    Source source = like;
    Activation pixels(grid.classes, grid.width);
    for (int64_t task = begin; task < end; ++task) {
      for (int64_t k = task * blocks / tasks; k < (task + 1) * blocks / tasks; ++k) {
        pixels.load(source, labels, grid.block(k));
        pixels.add(curves, sums + task * SUMS * grid.classes);
      }
    }
  });
  labels.check();
  return partial.sum(0);
}

template <typename Activation, typename S>
void dense_gradient(const Grid& grid, Dense<S> source, Dense<S> out, Labels& labels,
                    const Curves<Working<S>>& curves, const double* d) {
  at::parallel_for(0, grid.blocks(), 1, [&](int64_t begin, int64_t end) {
    Activation pixels(grid.classes, grid.width);
    for (int64_t k = begin; k < end; ++k) {
      const Block block = grid.block(k);
      pixels.load(source, labels, block);
      pixels.differentiate(curves, d, [&](int64_t c, Working<S>* room, const auto& fill) {
        out.write(block, c, room, fill);
      });
    }
  });
}

// Adds the gradient of a block to a band of rows (C, band, w) of the logits: Upsampled::read
// transposed. start: first row of the band.
template <typename T>
void spread(const Block& b, const Places<T>& rows, const Places<T>& columns, const T* gradient,
            T* band, int64_t start, int64_t height, int64_t width, T* narrow) {
  const int64_t left = columns.first[b.column], right = columns.second[b.column + b.count - 1];
  std::fill(narrow + left, narrow + right + 1, T(0));
  for (int64_t j = 0; j < b.count; ++j) {
    const T share = columns.weight[b.column + j] * gradient[j];
    narrow[columns.first[b.column + j]] += gradient[j] - share;
    narrow[columns.second[b.column + j]] += share;
  }
  const T down = rows.weight[b.row];
  const auto add = [&](int64_t row, T weight) {
    if (row < start || row >= start + height) return;
    T* to = band + (row - start) * width;
    for (int64_t i = left; i <= right; ++i) to[i] += weight * narrow[i];
  };
  add(rows.first[b.row], T(1) - down);
  add(rows.second[b.row], down);
}

// Each task owns a band of the logits' rows and visits the pixels that read them, those at its
// rims twice with its neighbour: no two tasks write one number.
template <typename Activation, typename S>
void upsampled_gradient(const Grid& grid, const Upsampled<S>& like, Dense<S> out, int64_t height,
                        int64_t width, Labels& labels, const Curves<Working<S>>& curves,
                        const double* d) {
  using T = Working<S>;
  const int64_t band = std::max<int64_t>(4, std::min<int64_t>(16, (height + 3) / 4));
  const int64_t bands = (height + band - 1) / band;
  at::parallel_for(0, grid.images * bands, 1, [&](int64_t begin, int64_t end) {
    Upsampled<S> source = like;
    Activation pixels(grid.classes, grid.width);
    std::vector<T> sum(grid.classes * band * width), narrow(width);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / bands, start = task % bands * band;
      const int64_t rows = std::min(band, height - start);
      std::fill(sum.begin(), sum.end(), T(0));
      for (int64_t r = 0; r < grid.rows; ++r) {
        if (like.rows.second[r] < start || like.rows.first[r] >= start + rows) continue;
        for (int64_t k = 0; k < grid.per_row; ++k) {
          const Block block = grid.block((image * grid.rows + r) * grid.per_row + k);
          pixels.load(source, labels, block);
          pixels.differentiate(curves, d, [&](int64_t c, T* room, const auto& fill) {
            fill(room);
            spread(block, like.rows, like.columns, room, &sum[c * band * width], start, rows, width,
                   narrow.data());
          });
        }
      }
      for (int64_t c = 0; c < grid.classes; ++c) {
        for (int64_t r = 0; r < rows; ++r) {
          out.store({image, start + r, 0, width}, c, &sum[(c * band + r) * width]);
        }
      }
    }
  });
}

template <typename F>
auto with_activation(bool sigmoid, const F& run) {
  return sigmoid ? run(std::true_type()) : run(std::false_type());
}

template <typename T, bool SIGMOID>
using Activation = std::conditional_t<SIGMOID, Sigmoid<T>, Softmax<T>>;

// Whether rows follow each other, so that all pixels of an image are one row.
bool flat(const at::Tensor& x) {
  return x.size(-2) == 1 || x.stride(-2) == x.size(-1) * x.stride(-1);
}

// A view: what is written to it is written to x.
at::Tensor flattened(const at::Tensor& x) {
  std::vector<int64_t> sizes = x.sizes().slice(0, x.dim() - 2).vec();
  sizes.push_back(1);
  sizes.push_back(x.size(-2) * x.size(-1));
  return x.view(sizes);
}

// Arguments as both directions read them. narrowed: the target on its trimap, or nothing.
struct Arguments {
  at::Tensor logits, target;
  std::optional<at::Tensor> narrowed;
  at::OptionalIntArrayRef size;
  bool sigmoid, flatten;
  int64_t ignore_index;

  Arguments(const at::Tensor& x, const at::Tensor& y, int64_t ignore_index, bool sigmoid,
            at::OptionalIntArrayRef size, int64_t tolerance, bool drop_background,
            bool void_edges, bool flat_result = true)
      : logits(x),
        target(y),
        size(size),
        sigmoid(sigmoid),
        flatten(!size && flat_result && flat(x) && flat(y)),
        ignore_index(ignore_index) {
    check_arguments(x, y, sigmoid, size);
    TORCH_CHECK(!sigmoid || tolerance < 0, "a trimap is of classes that exclude each other");
    if (tolerance >= 0) {
      narrowed =
          label_maps::trimap(y, x.size(1), ignore_index, tolerance, drop_background, void_edges);
    }
    if (flatten) {
      logits = flattened(x);
      target = flattened(y);
      if (narrowed) narrowed = flattened(*narrowed);
    }
  }

  Grid grid() const {
    const at::Tensor& pixels = size ? target : logits;
    return {logits.size(0), logits.size(1), pixels.size(-2), pixels.size(-1)};
  }
  Labels labels() const { return {target, narrowed, sigmoid ? 2 : logits.size(1), ignore_index}; }
};

at::Tensor region_sums(const at::Tensor& logits, const at::Tensor& target, at::TensorList tables,
                       int64_t ignore_index, bool sigmoid, at::OptionalIntArrayRef size,
                       bool align_corners, int64_t near, bool drop_background, bool void_edges) {
  const Arguments given(logits, target, ignore_index, sigmoid, size, near,
                        drop_background, void_edges);
  const Grid grid = given.grid();
  Labels labels = given.labels();
  at::Tensor sums;
  DISPATCH(logits.scalar_type(), "region_sums", [&] {
    using T = Working<scalar_t>;
    const Curves<T> curves(tables);
    sums = with_activation(sigmoid, [&](auto kind) {
             using Pixels = Activation<T, decltype(kind)::value>;
             if (!size) {
               const Dense<scalar_t> source(given.logits);
               return sums_of<Pixels>(grid, source, labels, curves);
             }
             const Upsampled<scalar_t> source(logits, *size, align_corners);
             return sums_of<Pixels>(grid, source, labels, curves);
           }).to(c10::CppTypeToScalarType<T>::value);
  });
  return sums;
}

at::Tensor region_sums_backward(const at::Tensor& gradient, const at::Tensor& logits,
                                const at::Tensor& target, at::TensorList tables,
                                int64_t ignore_index, bool sigmoid, at::OptionalIntArrayRef size,
                                bool align_corners, int64_t near, bool drop_background,
                                bool void_edges) {
  at::Tensor result = at::empty_like(logits);
  const Arguments given(logits, target, ignore_index, sigmoid, size, near,
                        drop_background, void_edges, flat(result));
  check_gradient(gradient, logits);
  const Grid grid = given.grid();
  Labels labels = given.labels();
  const at::Tensor d = gradient.to(at::kDouble).contiguous();
  const double* slopes = d.const_data_ptr<double>();
  DISPATCH(logits.scalar_type(), "region_sums_backward", [&] {
    using T = Working<scalar_t>;
    const Curves<T> curves(tables);
    const Dense<scalar_t> out(given.flatten ? flattened(result) : result);
    with_activation(sigmoid, [&](auto kind) {
      using Pixels = Activation<T, decltype(kind)::value>;
      if (size) {
        const Upsampled<scalar_t> source(logits, *size, align_corners);
        upsampled_gradient<Pixels>(grid, source, out, logits.size(2), logits.size(3), labels,
                                   curves, slopes);
      } else {
        const Dense<scalar_t> source(given.logits);
        dense_gradient<Pixels>(grid, source, out, labels, curves, slopes);
      }
      return 0;
    });
  });
  return result;
}

}  // namespace regions
}  // namespace CPU_CAPABILITY
}  // namespace autoseg

TORCH_LIBRARY_IMPL(autoseg, CPU, m) {
  m.impl("region_sums", autoseg::regions::region_sums);
  m.impl("region_sums_backward", autoseg::regions::region_sums_backward);
}
