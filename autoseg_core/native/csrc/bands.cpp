// Soft counts on the bands of Boundary IoU: the C++ form of surrogates/bands.py.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include "curve.h"
#include "planes.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {
namespace bands {

enum Sum { FOUND, CLAIMED, TARGET, PIXELS, SUMS };

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

template <typename S>
class Worker {
 public:
  using T = Working<S>;
  using Vec = Vectorized<T>;
  static constexpr int64_t LANES = Vec::size();

  Worker(const Scene<S>& scene, at::TensorList tables, c10::string_view curves, int64_t radius,
         bool border)
      : scene_(scene),
        H(scene.height),
        W(scene.width),
        P(scene.padded),
        radius_(radius),
        L(P + 2 * radius + LANES),
        rim_(border ? T(0) : T(1)),
        p_(H * L),
        lowest_((H + 2 * radius) * P),
        eroded_((H + 2 * radius) * P),
        line_(L) {
    if (curves != "or") g_and_.emplace(tables[0]);
    if (curves != "and") g_or_.emplace(tables[tables.size() - 1]);
  }

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

  void add(const std::vector<T>& band, int64_t c, T* sums, int64_t classes) const {
    double found = 0, claimed = 0, target = 0, pixels = 0;
    for (int64_t y = 0; y < H; ++y) {
      Vec f(T(0)), u(T(0)), t(T(0)), n(T(0));
      for (int64_t j = 0; j < P; j += LANES) {
        const Places at = places(band, y, j, c);
        f = f + (value(g_and_, at.b) & at.own);
        u = u + (value(g_or_, at.b) & at.other);
        t = t + (Vec(T(1)) & at.own);
        n = n + (Vec(T(1)) & (at.own | at.other));
      }
      found += sum_of(f), claimed += sum_of(u), target += sum_of(t), pixels += sum_of(n);
    }
    sums[FOUND * classes + c] = found;
    sums[CLAIMED * classes + c] = claimed;
    sums[TARGET * classes + c] = target;
    sums[PIXELS * classes + c] = pixels;
  }

  template <typename Put>
  void differentiate(const std::vector<T>& band, int64_t c, const double* d, int64_t classes,
                     const Put& put) {
    const Vec d_found(static_cast<T>(d[FOUND * classes + c])),
        d_claimed(static_cast<T>(d[CLAIMED * classes + c]));
    of_rows_.assign((H + 2 * radius_) * P, T(0));
    of_p_.resize(H * P);
    for (int64_t y = 0; y < H; ++y) {
      for (int64_t j = 0; j < P; j += LANES) {
        const Places at = places(band, y, j, c);
        const Vec db =
            (slope(g_and_, at.b) * d_found & at.own) + (slope(g_or_, at.b) * d_claimed & at.other);
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

  Places places(const std::vector<T>& band, int64_t y, int64_t j, int64_t c) const {
    const Vec label = Vec::loadu(scene_.label_row(image_, y) + j),
              near = Vec::loadu(&band[y * P + j]);
    const Vec known = label >= Vec(T(0)),
              own = (label == Vec(static_cast<T>(c))) & (near > Vec(T(0)));
    const Vec other = Vec::blendv(known, Vec(T(0)), own);
    const Vec b = (Vec::loadu(&p_[y * L + radius_ + j]) - Vec::loadu(&eroded_[y * P + j])) & known;
    return {b, own, other};
  }

  static Vec value(const std::optional<Curve<T>>& g, Vec x) { return g ? g->value(x) : x; }
  static Vec slope(const std::optional<Curve<T>>& g, Vec x) { return g ? g->slope(x) : Vec(T(1)); }

  const Scene<S>& scene_;
  const int64_t H, W, P, radius_, L;
  const T rim_;
  int64_t image_ = 0;
  std::optional<Curve<T>> g_and_, g_or_;
  std::vector<T> p_, lowest_, eroded_, line_, of_rows_, of_p_;
};

template <typename S, typename Work>
void for_each_plane(const Scene<S>& scene, at::TensorList tables, c10::string_view curves,
                    int64_t radius, bool border, const Work& work) {
  using T = Working<S>;
  std::vector<std::vector<T>> bands(scene.images);
  at::parallel_for(0, scene.images, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) bands[n] = own_band(scene, n, radius, border);
  });
  at::parallel_for(0, scene.images * scene.classes, 1, [&](int64_t begin, int64_t end) {
    Worker<S> worker(scene, tables, curves, radius, border);
    for (int64_t k = begin; k < end; ++k) {
      worker.look(k / scene.classes, k % scene.classes);
      work(worker, k / scene.classes, k % scene.classes, bands[k / scene.classes]);
    }
  });
}

at::Tensor band_sums(const at::Tensor& logits, const at::Tensor& target, at::TensorList tables,
                     int64_t ignore_index, c10::string_view curves, int64_t radius, bool border,
                     bool void_edges) {
  at::Tensor sums;
  DISPATCH(logits.scalar_type(), "band_sums", [&] {
    using T = Working<scalar_t>;
    const Scene<scalar_t> scene(logits, target, ignore_index, void_edges);
    at::Tensor partial =
        at::zeros({scene.images, SUMS, scene.classes}, c10::CppTypeToScalarType<T>::value);
    T* to = partial.data_ptr<T>();
    for_each_plane(
        scene, tables, curves, radius, border,
        [&](Worker<scalar_t>& worker, int64_t image, int64_t c, const std::vector<T>& band) {
          worker.add(band, c, to + image * SUMS * scene.classes, scene.classes);
        });
    sums = partial.sum(0);
  });
  return sums;
}

at::Tensor band_sums_backward(const at::Tensor& gradient, const at::Tensor& logits,
                              const at::Tensor& target, at::TensorList tables, int64_t ignore_index,
                              c10::string_view curves, int64_t radius, bool border,
                              bool void_edges) {
  check_gradient(gradient, logits);
  at::Tensor out = at::empty_like(logits);
  const at::Tensor d = gradient.to(at::kDouble).contiguous();
  DISPATCH(logits.scalar_type(), "band_sums_backward", [&] {
    using T = Working<scalar_t>;
    const Scene<scalar_t> scene(logits, target, ignore_index, void_edges);
    const at::Tensor of_p = working_room<T>(out);
    const Dense<T> place(of_p);
    for_each_plane(
        scene, tables, curves, radius, border,
        [&](Worker<scalar_t>& worker, int64_t image, int64_t c, const std::vector<T>& band) {
          worker.differentiate(
              band, c, d.const_data_ptr<double>(), scene.classes,
              [&](int64_t y, const T* row) { place.store({image, y, 0, scene.width}, c, row); });
        });
    softmax_gradient(scene, logits, place, out);
  });
  return out;
}

}  // namespace bands
}  // namespace CPU_CAPABILITY
}  // namespace autoseg

TORCH_LIBRARY_IMPL(autoseg, CPU, m) {
  m.impl("band_sums", autoseg::bands::band_sums);
  m.impl("band_sums_backward", autoseg::bands::band_sums_backward);
}
