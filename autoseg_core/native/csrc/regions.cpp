// Soft region counts: the C++ form of surrogates/regions.py, forward and backward.
//
// One pass over the logits each way, block by block; nothing larger than a block is kept.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <type_traits>

#include "blocks.h"
#include "curve.h"
#include "labels.h"
#include "softmax.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {
namespace regions {

constexpr int64_t TASKS = 64;  // partial sums, added in order: the threads' number changes nothing
template <typename T>
using Rows = std::vector<T>;

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
    exponents<T>({.logits = x_.data(),
                  .label = label_.data(),
                  .classes = classes_,
                  .count = count_,
                  .exponentials = p_.data(),
                  .stride = width_,
                  .top = top_.data(),
                  .inverse = inverse_.data(),
                  .own = own_.data()});
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
  // and dU_c g_or'(p_c) for the others. d: (4, C). Calls `put(c, room, fill)` for each class.
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

// Whether rows follow each other, so that all pixels of an image are one row.
bool rows_follow(const at::Tensor& x) {
  return x.size(-2) == 1 || x.stride(-2) == x.size(-1) * x.stride(-1);
}

// A view of such a tensor: what is written to it is written to x.
at::Tensor one_row(const at::Tensor& x) { return x.flatten(-2).unsqueeze(-2); }

// Arguments of the operation, as both directions read them.
struct Problem {
  at::Tensor logits, target;
  at::TensorList tables;
  int64_t ignore_index;
  bool align_corners;

  // Makes all pixels of an image one row, if rows follow each other; whether they do.
  bool flatten(bool result_follows = true) {
    const bool flat = !upsampled() && rows_follow(logits) && rows_follow(target) && result_follows;
    if (flat) logits = one_row(logits), target = one_row(target);
    return flat;
  }
  bool upsampled() const {
    return target.size(-2) != logits.size(2) || target.size(-1) != logits.size(3);
  }
  Grid grid() const { return {logits.size(0), logits.size(1), target.size(-2), target.size(-1)}; }
  Labels labels() const { return {target, logits.size(1), ignore_index}; }
};

// Calls `run(type of pixels, source of logits)`.
template <typename S, typename Run>
void with_pixels(const Problem& given, const Run& run) {
  using T = Working<S>;
  const auto with_source = [&](auto pixels) {
    if (given.upsampled())
      run(pixels, Upsampled<S>(given.logits, given.grid(), given.align_corners));
    else
      run(pixels, Dense<S>(given.logits));
  };
  if (given.target.dim() == 4)
    with_source(std::type_identity<Sigmoid<T>>());
  else
    with_source(std::type_identity<Softmax<T>>());
}

template <typename Pixels, typename Source>
at::Tensor sums_of(const Problem& given, const Source& like) {
  const Grid grid = given.grid();
  const Curves<typename Source::T> curves(given.tables);
  Labels labels = given.labels();
  const int64_t blocks = grid.blocks(), tasks = std::min(TASKS, blocks);
  at::Tensor partial = at::zeros({tasks, REGION_SUMS, grid.classes}, at::kDouble);
  double* sums = partial.data_ptr<double>();
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    Source source = like;
    Pixels pixels(grid.classes, grid.width);
    for (int64_t task = begin; task < end; ++task) {
      for (int64_t k = task * blocks / tasks; k < (task + 1) * blocks / tasks; ++k) {
        pixels.load(source, labels, grid.block(k));
        pixels.add(curves, sums + task * REGION_SUMS * grid.classes);
      }
    }
  });
  labels.check();
  return partial.sum(0);
}

// Writes the gradient in the logits. d: (4, C), that in the sums.
template <typename Pixels, typename S>
void write_gradient(const Problem& given, Dense<S> source, const Dense<S>& out, const double* d) {
  const Grid grid = given.grid();
  const Curves<Working<S>> curves(given.tables);
  Labels labels = given.labels();
  at::parallel_for(0, grid.blocks(), 1, [&](int64_t begin, int64_t end) {
    Pixels pixels(grid.classes, grid.width);
    for (int64_t k = begin; k < end; ++k) {
      const Block block = grid.block(k);
      pixels.load(source, labels, block);
      pixels.differentiate(curves, d, [&](int64_t c, Working<S>* room, const auto& fill) {
        out.write(block, c, room, fill);
      });
    }
  });
}

// The gradient in some rows of logits that are upsampled.
template <typename S>
class RowsOfLogits {
 public:
  using T = Working<S>;

  RowsOfLogits(const Upsampled<S>& source, int64_t classes, int64_t most)
      : source_(source), most_(most), sums_(classes * most * source.width), narrow_(source.width) {}

  // Clears the sums, for rows from `first` on.
  void start(int64_t first) {
    first_ = first, rows_ = std::min(most_, source_.height - first);
    std::fill(sums_.begin(), sums_.end(), T(0));
  }

  // Whether a row of pixels reads one of these rows.
  bool are_read_by(int64_t row) const {
    return source_.rows.second[row] >= first_ && source_.rows.first[row] < first_ + rows_;
  }

  // Adds the gradient in a block of pixels: Upsampled::read transposed.
  void add(const Block& b, int64_t c, const T* gradient) {
    const Places<T>&rows = source_.rows, &columns = source_.columns;
    const int64_t left = columns.first[b.column], right = columns.second[b.column + b.count - 1];
    T *narrow = narrow_.data(), *band = &sums_[c * most_ * source_.width];
    std::fill(narrow + left, narrow + right + 1, T(0));
    for (int64_t j = 0; j < b.count; ++j) {
      const T share = columns.weight[b.column + j] * gradient[j];
      narrow[columns.first[b.column + j]] += gradient[j] - share;
      narrow[columns.second[b.column + j]] += share;
    }
    const T down = rows.weight[b.row];
    const auto add_to = [&](int64_t row, T weight) {
      if (row < first_ || row >= first_ + rows_) return;
      T* to = band + (row - first_) * source_.width;
      for (int64_t i = left; i <= right; ++i) to[i] += weight * narrow[i];
    };
    add_to(rows.first[b.row], T(1) - down);
    add_to(rows.second[b.row], down);
  }

  void store(int64_t image, int64_t c, const Dense<S>& out) const {
    for (int64_t r = 0; r < rows_; ++r) {
      out.store({image, first_ + r, 0, source_.width}, c, &sums_[(c * most_ + r) * source_.width]);
    }
  }

 private:
  const Upsampled<S>& source_;
  const int64_t most_;
  int64_t first_ = 0, rows_ = 0;
  std::vector<T> sums_, narrow_;
};

// The same of logits that are upsampled. Each task owns some rows of the logits and visits the
// pixels that read them, those at its rims twice with its neighbour: no two tasks write one number.
template <typename Pixels, typename S>
void write_gradient(const Problem& given, const Upsampled<S>& like, const Dense<S>& out,
                    const double* d) {
  const Grid grid = given.grid();
  const Curves<Working<S>> curves(given.tables);
  Labels labels = given.labels();
  const int64_t most = std::max<int64_t>(4, std::min<int64_t>(16, (like.height + 3) / 4));
  const int64_t tasks = (like.height + most - 1) / most;
  at::parallel_for(0, grid.images * tasks, 1, [&](int64_t begin, int64_t end) {
    Upsampled<S> source = like;
    Pixels pixels(grid.classes, grid.width);
    RowsOfLogits<S> sums(like, grid.classes, most);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / tasks;
      sums.start(task % tasks * most);
      for (int64_t r = 0; r < grid.rows; ++r) {
        if (!sums.are_read_by(r)) continue;
        for (int64_t k = 0; k < grid.per_row; ++k) {
          const Block block = grid.block((image * grid.rows + r) * grid.per_row + k);
          pixels.load(source, labels, block);
          pixels.differentiate(curves, d, [&](int64_t c, Working<S>* room, const auto& fill) {
            fill(room);
            sums.add(block, c, room);
          });
        }
      }
      for (int64_t c = 0; c < grid.classes; ++c) sums.store(image, c, out);
    }
  });
}

at::Tensor region_sums(const at::Tensor& logits, const at::Tensor& target, at::TensorList tables,
                       int64_t ignore_index, bool align_corners) {
  check_arguments(logits, target);
  Problem given{logits, target, tables, ignore_index, align_corners};
  given.flatten();
  at::Tensor sums;
  DISPATCH(logits.scalar_type(), "region_sums", [&] {
    with_pixels<scalar_t>(given, [&](auto pixels, const auto& source) {
      sums = sums_of<typename decltype(pixels)::type>(given, source);
    });
    sums = sums.to(c10::CppTypeToScalarType<Working<scalar_t>>::value);
  });
  return sums;
}

at::Tensor region_sums_backward(const at::Tensor& gradient, const at::Tensor& logits,
                                const at::Tensor& target, at::TensorList tables,
                                int64_t ignore_index, bool align_corners) {
  check_arguments(logits, target);
  check_gradient(gradient, logits);
  at::Tensor result = at::empty_like(logits);
  Problem given{logits, target, tables, ignore_index, align_corners};
  const bool flat = given.flatten(rows_follow(result));
  const at::Tensor d = gradient.to(at::kDouble).contiguous();
  DISPATCH(logits.scalar_type(), "region_sums_backward", [&] {
    const Dense<scalar_t> out(flat ? one_row(result) : result);
    with_pixels<scalar_t>(given, [&](auto pixels, const auto& source) {
      using Pixels = typename decltype(pixels)::type;
      write_gradient<Pixels>(given, source, out, d.const_data_ptr<double>());
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
