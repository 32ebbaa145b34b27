// Soft counts on the bands of Boundary IoU: the C++ form of surrogates/regions.py.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include "curve.h"
#include "planes.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {
namespace bands {

// Pixels of an image in the band of their own label, (H, padded) of 0 and 1.
template <typename S>
std::vector<Working<S>> own_band(const Scene<S>& scene, int64_t image, int64_t radius,
                                 bool border) {
  using T = Working<S>;
  const int64_t H = scene.height, W = scene.width, P = scene.padded, L = P + 2 * radius;
  constexpr T most = std::numeric_limits<T>::infinity();
  const auto smaller = [](T a, T b) { return b < a ? b : a; };
  const auto larger = [](T a, T b) { return a < b ? b : a; };
  // A border that is an edge has a label of its own.
  const T low_rim = border ? T(-2) : most, high_rim = border ? T(-2) : -most;
  std::vector<T> low((H + 2 * radius) * P, low_rim), high((H + 2 * radius) * P, high_rim), line(L);
  for (int64_t y = 0; y < H; ++y) {
    const T* label = scene.label_row(image, y);
    for (const bool least : {true, false}) {
      std::fill(line.begin(), line.end(), least ? low_rim : high_rim);
      for (int64_t x = 0; x < W; ++x) {
        const bool hidden = label[x] < 0 && !scene.void_edges;
        line[radius + x] = hidden ? (least ? most : -most) : label[x];
      }
      if (least)
        window(line.data(), W, radius, 1, smaller);
      else
        window(line.data(), W, radius, 1, larger);
      std::copy_n(line.begin(), W, (least ? low : high).begin() + (radius + y) * P);
    }
  }
  window(low.data(), H, radius, P, smaller);
  window(high.data(), H, radius, P, larger);
  for (int64_t y = 0; y < H; ++y) {
    const T* label = scene.label_row(image, y);
    for (int64_t x = 0; x < P; ++x) {
      low[y * P + x] = x < W && label[x] >= 0 && low[y * P + x] != high[y * P + x];
    }
  }
  low.resize(H * P);
  return low;
}

// What all classes share. border: the image's border is an edge.
template <typename S>
struct Form {
  using T = Working<S>;
  class Worker;

  Form(const Scene<S>& scene, at::TensorList tables, int64_t radius, bool border)
      : scene(scene), curves(tables), radius(radius), border(border), bands(scene.images) {
    at::parallel_for(0, scene.images, 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) bands[n] = own_band(scene, n, radius, border);
    });
  }

  const Scene<S>& scene;
  const Curves<T> curves;
  const int64_t radius;
  const bool border;
  std::vector<std::vector<T>> bands;  // of each image
};

template <typename S>
class Form<S>::Worker {
 public:
  using Vec = Vectorized<T>;
  static constexpr int64_t LANES = Vec::size();

  explicit Worker(const Form& form)
      : form_(form),
        scene_(form.scene),
        H(scene_.height),
        W(scene_.width),
        P(scene_.padded),
        radius_(form.radius),
        L(P + 2 * radius_ + LANES),
        rim_(form.border ? T(0) : T(1)),
        p_(H * L),
        lowest_((H + 2 * radius_) * P),
        eroded_((H + 2 * radius_) * P),
        line_(L) {}

  // Probabilities of a class, with rims left and right, and their erosion.
  void look(int64_t image, int64_t c) {
    image_ = image;
    const auto smaller = [](T a, T b) { return b < a ? b : a; };
    std::fill(lowest_.begin(), lowest_.end(), rim_);
    for (int64_t y = 0; y < H; ++y) {
      T* row = &p_[y * L];
      std::fill(row, row + L, rim_);
      scene_.probabilities(image, c, y, line_.data());
      std::copy_n(line_.begin(), W, row + radius_);
      std::copy_n(row, L, line_.begin());
      window(line_.data(), W, radius_, 1, smaller);
      std::copy_n(line_.begin(), W, &lowest_[(radius_ + y) * P]);
    }
    eroded_ = lowest_;
    window(eroded_.data(), H, radius_, P, smaller);
  }

  void add(T* sums, int64_t c) const {
    double found = 0, claimed = 0, target = 0, pixels = 0;
    for (int64_t y = 0; y < H; ++y) {
      Vec f(T(0)), u(T(0)), t(T(0)), n(T(0));
      for (int64_t j = 0; j < P; j += LANES) {
        const Places at = places(y, j, c);
        f = f + (form_.curves.both.value(at.b) & at.own);
        u = u + (form_.curves.claimed(at.b) & at.other);
        t = t + (Vec(T(1)) & at.own);
        n = n + (Vec(T(1)) & (at.own | at.other));
      }
      found += sum_of(f), claimed += sum_of(u), target += sum_of(t), pixels += sum_of(n);
    }
    const int64_t classes = scene_.classes;
    sums[FOUND * classes + c] = found;
    sums[CLAIMED * classes + c] = claimed;
    sums[TARGET * classes + c] = target;
    sums[PIXELS * classes + c] = pixels;
  }

  template <typename Put>
  void differentiate(const double* d, int64_t c, const Put& put) {
    const Vec d_found(static_cast<T>(d[FOUND * scene_.classes + c]));
    const Vec d_claimed(static_cast<T>(d[CLAIMED * scene_.classes + c]));
    of_rows_.assign((H + 2 * radius_) * P, T(0));
    of_p_.resize(H * P);
    for (int64_t y = 0; y < H; ++y) {
      for (int64_t j = 0; j < P; j += LANES) {
        const Places at = places(y, j, c);
        const Vec own = form_.curves.both.slope(at.b) * d_found & at.own;
        const Vec db = own + (form_.curves.claimed_slope(at.b) * d_claimed & at.other);
        db.store(&of_p_[y * P + j]);
        Vec left = db.neg();
        const Vec e = Vec::loadu(&eroded_[y * P + j]);
        for (int64_t k = 0; k <= 2 * radius_ && left.zero_mask() != ALL; ++k) {
          left = give(&of_rows_[(y + k) * P + j], &lowest_[(y + k) * P + j], e, left);
        }
      }
    }
    for (int64_t y = 0; y < H; ++y) {
      std::fill(line_.begin(), line_.end(), T(0));
      for (int64_t j = 0; j < P; j += LANES) {
        Vec left = Vec::loadu(&of_rows_[(y + radius_) * P + j]);
        const Vec e = Vec::loadu(&lowest_[(y + radius_) * P + j]);
        for (int64_t k = 0; k <= 2 * radius_ && left.zero_mask() != ALL; ++k) {
          left = give(&line_[j + k], &p_[y * L + j + k], e, left);
        }
      }
      for (int64_t j = 0; j < P; ++j) line_[j] = of_p_[y * P + j] + line_[j + radius_];
      put(y, line_.data());
    }
  }

 private:
  static constexpr int ALL = (1 << LANES) - 1;
  struct Places {
    Vec b, own, other;
  };

  Places places(int64_t y, int64_t j, int64_t c) const {
    const Vec label = Vec::loadu(scene_.label_row(image_, y) + j);
    const Vec near = Vec::loadu(&form_.bands[image_][y * P + j]);
    const Vec known = label >= Vec(T(0)),
              own = (label == Vec(static_cast<T>(c))) & (near > Vec(T(0)));
    const Vec other = Vec::blendv(known, Vec(T(0)), own);
    const Vec b = (Vec::loadu(&p_[y * L + radius_ + j]) - Vec::loadu(&eroded_[y * P + j])) & known;
    return {b, own, other};
  }

  const Form& form_;
  const Scene<S>& scene_;
  const int64_t H, W, P, radius_, L;
  const T rim_;
  int64_t image_ = 0;
  std::vector<T> p_, lowest_, eroded_, line_, of_rows_, of_p_;
};

}  // namespace bands
}  // namespace CPU_CAPABILITY
}  // namespace autoseg

TORCH_LIBRARY_IMPL(autoseg, CPU, m) {
  m.impl("band_sums", autoseg::plane_sums<autoseg::bands::Form, int64_t, bool>);
  m.impl("band_sums_backward", autoseg::plane_sums_backward<autoseg::bands::Form, int64_t, bool>);
}
