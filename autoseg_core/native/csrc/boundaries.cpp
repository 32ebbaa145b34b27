// Soft boundary counts: the C++ form of surrogates/boundaries.py, forward and backward.
//
// Class by class of each image. With the place known that each dilation takes its maximum from, the
// counts are linear in the soft edges E: prediction = sum E, matched prediction = sum near E,
// matched target = sum peaks E, with near = the dilated edges of the target and peaks = how many of
// them see their highest soft edge here.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include "curve.h"
#include "planes.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {
namespace boundaries {

enum Sum { TARGET, MATCHED_TARGET, PREDICTION, MATCHED_PREDICTION, SUMS };

// XOR of a probability and its erosion, from four curves or from one.
template <typename T>
class Xor {
 public:
  using Vec = Vectorized<T>;
  struct Slopes {
    Vec of_p, of_e;
  };

  explicit Xor(at::TensorList tables) {
    for (const at::Tensor& table : tables) curves_.emplace_back(table);
  }

  Vec value(Vec p, Vec e) const {
    if (curves_.size() == 1) return curves_[0].value(p) - curves_[0].value(e);
    const Vec a = curves_[2].value(p), b = curves_[3].value(e);
    return a + b - a * b - curves_[0].value(p) * curves_[1].value(e);
  }

  Slopes slopes(Vec p, Vec e) const {
    if (curves_.size() == 1) return {curves_[0].slope(p), curves_[0].slope(e).neg()};
    const auto and_p = curves_[0].value_and_slope(p), and_e = curves_[1].value_and_slope(e);
    const auto or_p = curves_[2].value_and_slope(p), or_e = curves_[3].value_and_slope(e);
    const Vec one(T(1));
    return {(one - or_e.value) * or_p.slope - and_p.slope * and_e.value,
            (one - or_p.value) * or_e.slope - and_p.value * and_e.slope};
  }

 private:
  std::vector<Curve<T>> curves_;
};

using Pixel = Edges::Pixel;

// The work on one class of one image at a time.
template <typename S>
class Worker {
 public:
  using T = Working<S>;
  using Vec = Vectorized<T>;
  static constexpr int64_t LANES = Vec::size();

  Worker(const Scene<S>& scene, const Xor<T>& form, int64_t tolerance)
      : scene_(scene),
        form_(form),
        H(scene.height),
        W(scene.width),
        P(scene.padded),
        reach_(std::min<int64_t>(tolerance, std::max(H, W))),
        p_(H, P, T(1)),
        lowest_(H, P, T(1)),
        edge_(H, P, T(0)),
        highest_(H, P, T(0)),
        near_line_(P, 0),
        line_(P + 2 * reach_ + LANES),
        bytes_(P + 2 * reach_ + 64) {}

  // Probabilities, the minima of rows of three, and the soft edges of a class.
  void look(int64_t image, int64_t c) {
    image_ = image;
    for (int64_t y = 0; y < H; ++y) {
      T* p = p_.row(y);
      scene_.probabilities(image, c, y, p);
      T* lowest = lowest_.row(y);
      for (int64_t j = 0; j < P; j += LANES) {
        const Vec sides = at::vec::minimum(Vec::loadu(p + j - 1), Vec::loadu(p + j + 1));
        at::vec::minimum(sides, Vec::loadu(p + j)).store(lowest + j);
      }
      if (y > 0) look_for_edges(y - 1);  // while its rows are in the cache
    }
    look_for_edges(H - 1);
  }

  void add(const Pixel* begin, const Pixel* end, T* sums, int64_t classes, int64_t c) {
    double total = 0, matched = 0, found = 0;
    const bool any = begin != end;
    if (any) mark_near(begin, end);
    for (int64_t y = 0; y < H; ++y) {
      Vec all(T(0)), close(T(0));
      if (any) read_near(y);
      for (int64_t j = 0; j < P; j += LANES) {
        const Vec e = Vec::loadu(edge_.row(y) + j);
        all = all + e;
        close = close + e * Vec::loadu(&near_line_[j]);
      }
      total += sum_of(all);
      matched += sum_of(close);
    }
    if (any) {
      find_highest();
      for (const Pixel* at = begin; at != end; ++at) found += peak_value(*at);
    }
    sums[TARGET * classes + c] = end - begin;
    sums[MATCHED_TARGET * classes + c] = found;
    sums[PREDICTION * classes + c] = total;
    sums[MATCHED_PREDICTION * classes + c] = matched;
  }

  // The gradient in the probabilities of the class that was looked at, row by row into `put`.
  // d: of the sums. Minima of equal numbers go to the first in reading order, as F.max_pool2d does.
  template <typename Put>
  void differentiate(const Pixel* begin, const Pixel* end, const double* d, int64_t classes,
                     int64_t c, const Put& put) {
    const Vec d_total(static_cast<T>(d[PREDICTION * classes + c]));
    const Vec d_matched(static_cast<T>(d[MATCHED_PREDICTION * classes + c]));
    const T d_found = static_cast<T>(d[MATCHED_TARGET * classes + c]);
    const bool any = begin != end;
    // highest_ becomes the gradient in the soft edges, edge_ that in the probabilities.
    if (any) {
      mark_near(begin, end);
      find_highest();
      peaks_.clear();
      for (const Pixel* at = begin; at != end; ++at) peaks_.push_back(peak_of(*at));
    }
    highest_.fill(T(0));
    if (any)
      for (const Pixel& peak : peaks_) highest_.row(peak.y)[peak.x] += d_found;
    of_rows_.resize(3 * (P + 2 * LANES));
    // Rows of the gradient in `lowest_`: one above, this one, one below.
    std::fill(of_rows_.begin(), of_rows_.end(), T(0));
    for (int64_t y = 0; y < H; ++y) {
      const T* label = scene_.label_row(image_, y);
      T* above = of_row(y - 1);
      T* here = of_row(y);
      T* below = of_row(y + 1);
      std::fill(below, below + P, T(0));
      if (any) read_near(y);
      for (int64_t j = 0; j < P; j += LANES) {
        Vec d_edge = Vec::loadu(highest_.row(y) + j) + d_total;
        d_edge = (d_edge + d_matched * Vec::loadu(&near_line_[j])) & scene_.seen(label + j);
        const Vec p = Vec::loadu(p_.row(y) + j), e = eroded(y, j);
        const auto slopes = form_.slopes(p, e);
        (slopes.of_p * d_edge).store(edge_.row(y) + j);
        Vec left = slopes.of_e * d_edge;
        left = give(above + j, lowest_.row(y - 1) + j, e, left);
        left = give(here + j, lowest_.row(y) + j, e, left);
        give(below + j, lowest_.row(y + 1) + j, e, left);
      }
      if (y > 0) finish_row(y - 1, put);
    }
    finish_row(H - 1, put);
  }

 private:
  Vec eroded(int64_t y, int64_t j) const {
    const Vec sides =
        at::vec::minimum(Vec::loadu(lowest_.row(y - 1) + j), Vec::loadu(lowest_.row(y + 1) + j));
    return at::vec::minimum(sides, Vec::loadu(lowest_.row(y) + j));
  }

  void look_for_edges(int64_t y) {
    const T* label = scene_.label_row(image_, y);
    for (int64_t j = 0; j < P; j += LANES) {
      const Vec xor_ = form_.value(Vec::loadu(p_.row(y) + j), eroded(y, j));
      (xor_ & scene_.seen(label + j)).store(edge_.row(y) + j);
    }
    std::fill(edge_.row(y) + W, edge_.row(y) + P, T(0));
  }

  T* of_row(int64_t y) { return of_rows_.data() + (y + 3) % 3 * (P + 2 * LANES) + LANES; }

  template <typename Put>
  void finish_row(int64_t y, const Put& put) {
    T* left = of_row(y);
    for (const int64_t step : {-1, 0, 1}) {
      for (int64_t j = 0; j < P; j += LANES) {
        T* to = edge_.row(y) + j + step;
        const Vec e = Vec::loadu(lowest_.row(y) + j);
        give(to, p_.row(y) + j + step, e, Vec::loadu(left + j)).store(left + j);
      }
    }
    put(y, edge_.row(y));
  }

  // near_ = 1 within the tolerance of the class's edges, else 0.
  void mark_near(const Pixel* begin, const Pixel* end) {
    const auto either = [](uint8_t a, uint8_t b) { return static_cast<uint8_t>(a | b); };
    near_.assign((H + 2 * reach_) * P, 0);
    while (begin != end) {  // a row at a time: they are in reading order
      const int64_t y = begin->y;
      std::fill(bytes_.begin(), bytes_.end(), 0);
      for (; begin != end && begin->y == y; ++begin) bytes_[reach_ + begin->x] = 1;
      window(bytes_.data(), W, reach_, 1, either);
      std::copy_n(bytes_.begin(), W, &near_[(reach_ + y) * P]);
    }
    window(near_.data(), H, reach_, P, either);
  }

  void read_near(int64_t y) { std::copy_n(&near_[y * P], P, near_line_.begin()); }

  // highest_ = the largest soft edge within the tolerance along the row.
  void find_highest() {
    const auto larger = [](T a, T b) { return a < b ? b : a; };
    for (int64_t y = 0; y < H; ++y) {
      std::fill(line_.begin(), line_.end(), -std::numeric_limits<T>::infinity());
      std::copy_n(edge_.row(y), W, line_.begin() + reach_);
      window(line_.data(), W, reach_, 1, larger);
      std::copy_n(line_.begin(), W, highest_.row(y));
    }
  }

  // The soft edges' dilation at a pixel.
  T peak_value(Pixel at) const {
    const int64_t first = std::max<int64_t>(0, at.y - reach_), last = std::min(H - 1, at.y + reach_);
    T peak = highest_.row(first)[at.x];
    for (int64_t y = first + 1; y <= last; ++y) peak = std::max(peak, highest_.row(y)[at.x]);
    return peak;
  }

  // Where it takes its value from: the first highest soft edge in reading order.
  Pixel peak_of(Pixel at) const {
    const T peak = peak_value(at);
    int64_t y = std::max<int64_t>(0, at.y - reach_), x = std::max<int64_t>(0, at.x - reach_);
    for (const int64_t last = std::min(H - 1, at.y + reach_); y < last; ++y)
      if (highest_.row(y)[at.x] == peak) break;
    for (const int64_t last = std::min(W - 1, at.x + reach_); x < last; ++x)
      if (edge_.row(y)[x] == peak) break;
    return {static_cast<int32_t>(y), static_cast<int32_t>(x)};
  }

  const Scene<S>& scene_;
  const Xor<T>& form_;
  const int64_t H, W, P, reach_;
  int64_t image_ = 0;
  Plane<T> p_, lowest_, edge_, highest_;
  std::vector<T> near_line_, line_, of_rows_;
  std::vector<uint8_t> near_, bytes_;
  std::vector<Pixel> peaks_;
};

std::vector<Edges> edges_of(const at::Tensor& target, int64_t classes, int64_t ignore_index,
                            bool void_edges) {
  const at::Tensor map = label_maps::edges(target, classes, ignore_index, void_edges);
  const int64_t H = map.size(1), W = map.size(2);
  std::vector<Edges> edges(map.size(0));
  at::parallel_for(0, map.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      AT_DISPATCH_INTEGRAL_TYPES(map.scalar_type(), "edges", [&] {
        edges[n] = Edges(map.const_data_ptr<scalar_t>() + n * H * W, H, W, classes);
      });
  });
  return edges;
}

// Runs `work(worker, image, class, first edge, one past its last)` for every class of every image.
template <typename S, typename Work>
void for_each_plane(const Scene<S>& scene, const Xor<Working<S>>& form, int64_t tolerance,
                    const std::vector<Edges>& edges, const Work& work) {
  at::parallel_for(0, scene.images * scene.classes, 1, [&](int64_t begin, int64_t end) {
    Worker<S> worker(scene, form, tolerance);
    for (int64_t k = begin; k < end; ++k) {
      const int64_t image = k / scene.classes, c = k % scene.classes;
      work(worker, image, c, edges[image].of(c), edges[image].of(c + 1));
    }
  });
}

// The fields of BoundaryCounts, (4, C).
at::Tensor boundary_sums(const at::Tensor& logits, const at::Tensor& target, at::TensorList tables,
                         int64_t ignore_index, int64_t tolerance, bool void_edges) {
  at::Tensor sums;
  DISPATCH(logits.scalar_type(), "boundary_sums", [&] {
    using T = Working<scalar_t>;
    const Scene<scalar_t> scene(logits, target, ignore_index, void_edges);
    const Xor<T> form(tables);
    at::Tensor partial =
        at::zeros({scene.images, SUMS, scene.classes}, c10::CppTypeToScalarType<T>::value);
    T* to = partial.data_ptr<T>();
    for_each_plane(scene, form, tolerance, edges_of(target, scene.classes, ignore_index, void_edges),
                   [&](Worker<scalar_t>& worker, int64_t image, int64_t c, const Pixel* begin,
                       const Pixel* end) {
                     worker.look(image, c);
                     worker.add(begin, end, to + image * SUMS * scene.classes, scene.classes, c);
                   });
    sums = partial.sum(0);
  });
  return sums;
}

at::Tensor boundary_sums_backward(const at::Tensor& gradient, const at::Tensor& logits,
                                  const at::Tensor& target, at::TensorList tables,
                                  int64_t ignore_index, int64_t tolerance, bool void_edges) {
  check_gradient(gradient, logits);
  at::Tensor out = at::empty_like(logits);
  const at::Tensor d = gradient.to(at::kDouble).contiguous();
  DISPATCH(logits.scalar_type(), "boundary_sums_backward", [&] {
    using T = Working<scalar_t>;
    const Scene<scalar_t> scene(logits, target, ignore_index, void_edges);
    const Xor<T> form(tables);
    const double* slopes = d.const_data_ptr<double>();
    const at::Tensor of_p = working_room<T>(out);
    const Dense<T> place(of_p);
    for_each_plane(scene, form, tolerance, edges_of(target, scene.classes, ignore_index, void_edges),
                   [&](Worker<scalar_t>& worker, int64_t image, int64_t c, const Pixel* begin,
                       const Pixel* end) {
                     bool nothing = true;
                     for (int64_t k = 0; k < SUMS; ++k)
                       nothing &= k == TARGET || slopes[k * scene.classes + c] == 0;
                     const std::vector<T> zeros(nothing ? scene.width : 0, T(0));
                     if (nothing) {
                       for (int64_t y = 0; y < scene.height; ++y)
                         place.store({image, y, 0, scene.width}, c, zeros.data());
                       return;
                     }
                     worker.look(image, c);
                     worker.differentiate(begin, end, slopes, scene.classes, c,
                                          [&](int64_t y, const T* row) {
                                            place.store({image, y, 0, scene.width}, c, row);
                                          });
                   });
    softmax_gradient(scene, logits, place, out);
  });
  return out;
}

}  // namespace boundaries
}  // namespace CPU_CAPABILITY
}  // namespace autoseg

TORCH_LIBRARY_IMPL(autoseg, CPU, m) {
  m.impl("boundary_sums", autoseg::boundaries::boundary_sums);
  m.impl("boundary_sums_backward", autoseg::boundaries::boundary_sums_backward);
}
