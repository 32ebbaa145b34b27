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
#include "label_maps.h"
#include "planes.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {
namespace boundaries {

enum Sum { EDGES, MATCHED_EDGES, PREDICTION, MATCHED_PREDICTION };

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

  C10_ALWAYS_INLINE Vec value(Vec p, Vec e) const {
    if (curves_.size() == 1) return curves_[0].value(p) - curves_[0].value(e);
    const Vec a = curves_[2].value(p), b = curves_[3].value(e);
    return a + b - a * b - curves_[0].value(p) * curves_[1].value(e);
  }

  C10_ALWAYS_INLINE Slopes slopes(Vec p, Vec e) const {
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

// What all classes share. edges: of label_maps::edges.
template <typename S>
struct Form {
  using T = Working<S>;
  class Worker;

  Form(const Scene<S>& scene, at::TensorList tables, int64_t tolerance)
      : scene(scene),
        edges(label_maps::edges(scene.target, scene.classes, scene.ignore_index,
                                scene.void_edges)),
        soft_edge(tables),
        tolerance(tolerance) {}

  const Scene<S>& scene;
  const at::Tensor edges;
  const Xor<T> soft_edge;
  const int64_t tolerance;
};

template <typename S>
class Form<S>::Worker {
 public:
  using Vec = Vectorized<T>;
  static constexpr int64_t LANES = Vec::size();

  explicit Worker(const Form& form)
      : scene_(form.scene),
        edges_(form.edges),
        soft_edge_(form.soft_edge),
        H(scene_.height),
        W(scene_.width),
        P(scene_.padded),
        reach_(std::min<int64_t>(form.tolerance, std::max(H, W))),
        p_(H, P, T(1)),
        lowest_(H, P, T(1)),
        edge_(H, P, T(0)),
        highest_(H, P, T(0)),
        near_line_(P),
        line_(P + 2 * reach_ + LANES),
        own_(H * bytes_of_row(), 0),
        bytes_(P + 2 * reach_ + 64) {}

  // Edges of the target and what is near them; probabilities, the minima of rows of three, soft
  // edges and their sums.
  void look(int64_t image, int64_t c) {
    image_ = image;
    total_ = matched_ = 0;
    mark(c);
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

  void add(T* sums, int64_t c) const {
    const int64_t classes = scene_.classes;
    double found = 0;
    for_each_edge([&](int64_t y, int64_t x) { found += peak_value(y, x); });
    sums[EDGES * classes + c] = count_;
    sums[MATCHED_EDGES * classes + c] = found;
    sums[PREDICTION * classes + c] = total_;
    sums[MATCHED_PREDICTION * classes + c] = matched_;
  }

  // The gradient in the probabilities of the class that was looked at, row by row into `put`.
  // d: of the sums. Minima of equal numbers go to the first in reading order, as F.max_pool2d does.
  template <typename Put>
  void differentiate(const double* d, int64_t c, const Put& put) {
    const int64_t classes = scene_.classes;
    const Vec d_total(static_cast<T>(d[PREDICTION * classes + c]));
    const Vec d_matched(static_cast<T>(d[MATCHED_PREDICTION * classes + c]));
    const T d_found = static_cast<T>(d[MATCHED_EDGES * classes + c]);
    // highest_ becomes the gradient in the soft edges, edge_ that in the probabilities.
    peaks_.clear();
    for_each_edge([&](int64_t y, int64_t x) { peaks_.push_back(peak_of(y, x)); });
    highest_.fill(T(0));
    for (const Pixel& peak : peaks_) highest_.row(peak.y)[peak.x] += d_found;
    of_rows_.resize(3 * (P + 2 * LANES));
    // Rows of the gradient in `lowest_`: one above, this one, one below.
    std::fill(of_rows_.begin(), of_rows_.end(), T(0));
    for (int64_t y = 0; y < H; ++y) {
      const T *label = scene_.label_row(image_, y), *p = p_.row(y), *more = highest_.row(y);
      const Triple<const T> lowest{lowest_.row(y - 1), lowest_.row(y), lowest_.row(y + 1)};
      const Triple<T> of{of_row(y - 1), of_row(y), of_row(y + 1)};
      T* of_p = edge_.row(y);
      std::fill(of.below, of.below + P, T(0));
      read_near(y);
      for (int64_t j = 0; j < P; j += LANES) {
        const Vec all = d_total + d_matched * Vec::loadu(&near_line_[j]) + Vec::loadu(more + j);
        const Vec d_edge = all & scene_.seen(label + j), e = lowest.least(j);
        const auto slopes = soft_edge_.slopes(Vec::loadu(p + j), e);
        (slopes.of_p * d_edge).store(of_p + j);
        Vec left = slopes.of_e * d_edge;
        left = give(of.above + j, lowest.above + j, e, left);
        left = give(of.here + j, lowest.here + j, e, left);
        give(of.below + j, lowest.below + j, e, left);
      }
      if (y > 0) finish_row(y - 1, put);
    }
    finish_row(H - 1, put);
  }

 private:
  struct Pixel {
    int32_t y, x;
  };

  // A row with its neighbours.
  template <typename N>
  struct Triple {
    N *above, *here, *below;

    Vec least(int64_t j) const {
      const Vec sides = at::vec::minimum(Vec::loadu(above + j), Vec::loadu(below + j));
      return at::vec::minimum(sides, Vec::loadu(here + j));
    }
  };

  int64_t bytes_of_row() const { return (W + 7) / 8 * 8; }

  // own_ = the target's edges of a class, near_ = 1 within the tolerance of them, else 0.
  void mark(int64_t c) {
    const auto either = [](uint8_t a, uint8_t b) { return static_cast<uint8_t>(a | b); };
    near_.assign((H + 2 * reach_) * P, 0);
    count_ = 0;
    for (int64_t y = 0; y < H; ++y) {
      const int64_t found = own_edges(y, c);
      if (found == 0) continue;
      count_ += found;
      std::fill(bytes_.begin(), bytes_.end(), 0);
      std::copy_n(&own_[y * bytes_of_row()], W, &bytes_[reach_]);
      window(bytes_.data(), W, reach_, 1, either);
      std::copy_n(bytes_.begin(), W, &near_[(reach_ + y) * P]);
    }
    if (count_ > 0) window(near_.data(), H, reach_, P, either);
  }

  // Writes a row of own_; the number of its edges.
  int64_t own_edges(int64_t y, int64_t c) {
    uint8_t* own = &own_[y * bytes_of_row()];
    label_maps::with_label_type(scene_.classes, [&](auto type) {
      using L = decltype(type);
      const L* row = edges_.const_data_ptr<L>() + (image_ * H + y) * W;
      for (int64_t x = 0; x < W; ++x) own[x] = row[x] == static_cast<L>(c);
    });
    return std::accumulate(own, own + W, 0);
  }

  // Calls `work(y, x)` for the edges of own_, in reading order.
  template <typename Work>
  void for_each_edge(const Work& work) const {
    for (int64_t y = 0; y < (count_ > 0 ? H : 0); ++y) {
      for (int64_t x = 0; x < W; x += 8) {
        uint64_t eight;
        std::memcpy(&eight, &own_[y * bytes_of_row() + x], 8);
        for (; eight != 0; eight &= eight - 1) work(y, x + std::countr_zero(eight) / 8);
      }
    }
  }

  void read_near(int64_t y) { std::copy_n(&near_[y * P], P, near_line_.begin()); }

  void look_for_edges(int64_t y) {
    const Triple<const T> lowest{lowest_.row(y - 1), lowest_.row(y), lowest_.row(y + 1)};
    const T *label = scene_.label_row(image_, y), *p = p_.row(y);
    T* edge = edge_.row(y);
    Vec all(T(0)), close(T(0));
    read_near(y);
    for (int64_t j = 0; j < P; j += LANES) {
      const Vec soft = soft_edge_.value(Vec::loadu(p + j), lowest.least(j)) & scene_.seen(label + j);
      soft.store(edge + j);
      all = all + soft;
      close = close + soft * Vec::loadu(&near_line_[j]);
    }
    total_ += sum_of(all);
    matched_ += sum_of(close);
    if (count_ > 0) find_highest(y);
  }

  // highest_ = the largest soft edge within the tolerance along the row.
  void find_highest(int64_t y) {
    const auto larger = [](T a, T b) { return a < b ? b : a; };
    std::fill(line_.begin(), line_.end(), -std::numeric_limits<T>::infinity());
    std::copy_n(edge_.row(y), W, line_.begin() + reach_);
    window(line_.data(), W, reach_, 1, larger);
    std::copy_n(line_.begin(), W, highest_.row(y));
  }

  // The soft edges' dilation at a pixel.
  T peak_value(int64_t y, int64_t x) const {
    const int64_t first = std::max<int64_t>(0, y - reach_), last = std::min(H - 1, y + reach_);
    T peak = highest_.row(first)[x];
    for (int64_t v = first + 1; v <= last; ++v) peak = std::max(peak, highest_.row(v)[x]);
    return peak;
  }

  // Where it takes its value from: the first highest soft edge in reading order.
  Pixel peak_of(int64_t y, int64_t x) const {
    const T peak = peak_value(y, x);
    int64_t v = std::max<int64_t>(0, y - reach_), u = std::max<int64_t>(0, x - reach_);
    for (const int64_t last = std::min(H - 1, y + reach_); v < last; ++v)
      if (highest_.row(v)[x] == peak) break;
    for (const int64_t last = std::min(W - 1, x + reach_); u < last; ++u)
      if (edge_.row(v)[u] == peak) break;
    return {static_cast<int32_t>(v), static_cast<int32_t>(u)};
  }

  T* of_row(int64_t y) { return of_rows_.data() + (y + 3) % 3 * (P + 2 * LANES) + LANES; }

  template <typename Put>
  void finish_row(int64_t y, const Put& put) {
    const T *lowest = lowest_.row(y), *p = p_.row(y);
    T *left = of_row(y), *of_p = edge_.row(y);
    for (const int64_t step : {-1, 0, 1}) {
      for (int64_t j = 0; j < P; j += LANES) {
        const Vec e = Vec::loadu(lowest + j);
        give(of_p + j + step, p + j + step, e, Vec::loadu(left + j)).store(left + j);
      }
    }
    put(y, of_p);
  }

  const Scene<S>& scene_;
  const at::Tensor edges_;
  const Xor<T>& soft_edge_;
  const int64_t H, W, P, reach_;
  int64_t image_ = 0, count_ = 0;
  double total_ = 0, matched_ = 0;
  Plane<T> p_, lowest_, edge_, highest_;
  std::vector<T> near_line_, line_, of_rows_;
  std::vector<uint8_t> own_, near_, bytes_;
  std::vector<Pixel> peaks_;
};

}  // namespace boundaries
}  // namespace CPU_CAPABILITY
}  // namespace autoseg

TORCH_LIBRARY_IMPL(autoseg, CPU, m) {
  m.impl("boundary_sums", autoseg::plane_sums<autoseg::boundaries::Form, int64_t>);
  m.impl("boundary_sums_backward",
         autoseg::plane_sums_backward<autoseg::boundaries::Form, int64_t>);
}
