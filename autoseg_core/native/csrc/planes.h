// Planes: the map of one class of one image, whole, for what looks at neighbours.
//
// N: images; C: classes; H, W: pixels; S: type of the logits. Rows are padded to whole vectors; a
// plane has a rim of one row and at least one column on each side.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "blocks.h"
#include "labels.h"
#include "softmax.h"
#include "window.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {

// What all classes of a batch share: labels as numbers, and the softmax's largest logit and
// 1 / sum. Rows are padded to whole vectors, with label -2.
template <typename S>
class Scene {
 public:
  using T = Working<S>;
  using Vec = Vectorized<T>;

  // void_edges: void is looked at like any other pixel, as one more label without a class.
  Scene(const at::Tensor& logits, const at::Tensor& target, int64_t ignore_index, bool void_edges)
      : target(target),
        ignore_index(ignore_index),
        images(logits.size(0)),
        classes(logits.size(1)),
        height(logits.size(2)),
        width(logits.size(3)),
        padded(whole_vectors<T>(width)),
        void_edges(void_edges),
        least_(void_edges ? -1 : 0),
        source_(logits),
        maps_(at::empty({images * height * padded * 3}, c10::CppTypeToScalarType<T>::value)) {
    check_arguments(logits, target);
    TORCH_CHECK(target.dim() == 3 && target.sizes().slice(1) == logits.sizes().slice(2),
                "edges need logits of the target's size");
    TORCH_CHECK(height * width < std::numeric_limits<int32_t>::max(), "an image is too large");
    Labels labels(target, classes, ignore_index);
    const Grid grid(images, classes, height, width);
    const std::vector<T> seen(grid.width, T(0));
    at::parallel_for(0, grid.blocks(), 1, [&](int64_t begin, int64_t end) {
      // The exponentials are overwritten class by class: they are computed again where needed.
      std::vector<T> room(classes * grid.width), label(grid.width), unused(grid.width);
      std::vector<const T*> rows(classes);
      for (int64_t k = begin; k < end; ++k) {
        const Block block = grid.block(k);
        const int64_t count = whole_vectors<T>(block.count);
        labels.load(block, 0, label.data());
        for (int64_t c = 0; c < classes; ++c)
          rows[c] = source_.read(block, c, &room[c * grid.width]);
        T* to = const_cast<T*>(label_row(block.image, block.row)) + block.column;
        const T* mask = void_edges ? seen.data() : label.data();
        std::copy(label.begin(), label.begin() + block.count, to);
        std::fill(to + block.count, to + count, T(-2));
        exponents<T>({.logits = rows.data(),
                      .label = mask,
                      .classes = classes,
                      .count = count,
                      .exponentials = unused.data(),
                      .stride = 0,
                      .top = to + padded,
                      .inverse = to + 2 * padded,
                      .own = nullptr});
      }
    });
    labels.check();
  }

  const T* label_row(int64_t image, int64_t y) const {
    return maps_.template const_data_ptr<T>() + (image * height + y) * 3 * padded;
  }

  // Probabilities of a row, `padded` numbers; 1, what no minimum takes, where nothing is seen.
  void probabilities(int64_t image, int64_t c, int64_t y, T* to) const {
    const T* x = source_.read({image, y, 0, width}, c, to);
    const T *label = label_row(image, y), *top = label + padded, *inverse = top + padded;
    for (int64_t j = 0; j < padded; j += Vec::size()) {
      const Vec p =
          exponential<T>(Vec::loadu(x + j) - Vec::loadu(top + j)) * Vec::loadu(inverse + j);
      Vec::blendv(Vec(T(1)), p, seen(label + j)).store(to + j);
    }
  }

  Vec seen(const T* label) const { return Vec::loadu(label) >= Vec(least_); }

  const at::Tensor target;
  const int64_t ignore_index, images, classes, height, width, padded;
  const bool void_edges;

 private:
  const T least_;  // label that is seen
  const Dense<S> source_;
  const at::Tensor maps_;
};

// Numbers of one class's map with a rim.
template <typename T>
class Plane {
 public:
  Plane(int64_t height, int64_t padded, T rim)
      : stride_(padded + 2 * LANES), values_((height + 2) * stride_, rim) {}

  // y from -1 to H; row(y)[x] for x from -1 to the padded width.
  T* row(int64_t y) { return values_.data() + (y + 1) * stride_ + LANES; }
  const T* row(int64_t y) const { return values_.data() + (y + 1) * stride_ + LANES; }
  void fill(T value) { std::fill(values_.begin(), values_.end(), value); }

 private:
  static constexpr int64_t LANES = Vectorized<T>::size();
  int64_t stride_;
  std::vector<T> values_;
};

// Adds what is left of a minimum's gradient where `values` equals the minimum e; returns the rest.
template <typename T>
Vectorized<T> give(T* to, const T* values, Vectorized<T> e, Vectorized<T> left) {
  const Vectorized<T> here = Vectorized<T>::loadu(values) == e;
  (Vectorized<T>::loadu(to) + (left & here)).store(to);
  return Vectorized<T>::blendv(left, Vectorized<T>(T(0)), here);
}

// The gradient in the logits, into `out`, from that in the probabilities:
// dlogit_c = p_c (dp_c - sum_k p_k dp_k), 0 where nothing is seen.
template <typename S>
void softmax_gradient(const Scene<S>& scene, const at::Tensor& logits,
                      const Dense<Working<S>>& of_p, at::Tensor& out) {
  using T = Working<S>;
  using Vec = Vectorized<T>;
  const Grid grid(scene.images, scene.classes, scene.height, scene.width);
  const Dense<S> source(logits), result(out);
  at::parallel_for(0, grid.blocks(), 1, [&](int64_t begin, int64_t end) {
    std::vector<T> p(grid.classes * grid.width), dp(grid.classes * grid.width), mean(grid.width);
    for (int64_t k = begin; k < end; ++k) {
      const Block block = grid.block(k);
      const int64_t count = whole_vectors<T>(block.count);
      const T* label = scene.label_row(block.image, block.row) + block.column;
      const T *top = label + scene.padded, *inverse = top + scene.padded;
      std::fill(mean.begin(), mean.end(), T(0));
      for (int64_t c = 0; c < grid.classes; ++c) {
        T *to = &p[c * grid.width], *product = &dp[c * grid.width];
        const T *x = source.read(block, c, to), *g = of_p.read(block, c, product);
        for (int64_t j = 0; j < count; j += Vec::size()) {
          const Vec seen = scene.seen(label + j);
          const Vec e = exponential<T>(Vec::loadu(x + j) - Vec::loadu(top + j));
          const Vec q = (e * Vec::loadu(inverse + j)) & seen;
          const Vec each = (q * Vec::loadu(g + j)) & seen;
          q.store(to + j);
          each.store(product + j);
          (Vec::loadu(&mean[j]) + each).store(&mean[j]);
        }
      }
      for (int64_t c = 0; c < grid.classes; ++c) {
        T *q = &p[c * grid.width], *product = &dp[c * grid.width];
        result.write(block, c, product, [&](T* to) {
          for (int64_t j = 0; j < count; j += Vec::size()) {
            (Vec::loadu(product + j) - Vec::loadu(q + j) * Vec::loadu(&mean[j])).store(to + j);
          }
        });
      }
    }
  });
}

// Runs `work(worker, image, class)` for every class of every image.
template <typename Form, typename Work>
void for_each_plane(const Form& form, const Work& work) {
  const int64_t classes = form.scene.classes;
  at::parallel_for(0, form.scene.images * classes, 1, [&](int64_t begin, int64_t end) {
    typename Form::Worker worker(form);
    for (int64_t k = begin; k < end; ++k) work(worker, k / classes, k % classes);
  });
}

// The operations of classes that are counted one by one. A Form has what all planes share; its
// Worker looks at one class of one image, adds its sums (4, C), and differentiates them.
template <template <typename> class Form, typename... Rules>
at::Tensor plane_sums(const at::Tensor& logits, const at::Tensor& target, at::TensorList tables,
                      int64_t ignore_index, bool void_edges, Rules... rules) {
  at::Tensor sums;
  DISPATCH(logits.scalar_type(), "plane_sums", [&] {
    using T = Working<scalar_t>;
    const Scene<scalar_t> scene(logits, target, ignore_index, void_edges);
    const Form<scalar_t> form(scene, tables, rules...);
    at::Tensor partial =
        at::zeros({scene.images, 4, scene.classes}, c10::CppTypeToScalarType<T>::value);
    T* to = partial.data_ptr<T>();
    for_each_plane(form, [&](auto& worker, int64_t image, int64_t c) {
      worker.look(image, c);
      worker.add(to + image * 4 * scene.classes, c);
    });
    sums = partial.sum(0);
  });
  return sums;
}

template <template <typename> class Form, typename... Rules>
at::Tensor plane_sums_backward(const at::Tensor& gradient, const at::Tensor& logits,
                               const at::Tensor& target, at::TensorList tables,
                               int64_t ignore_index, bool void_edges, Rules... rules) {
  check_gradient(gradient, logits);
  at::Tensor out = at::empty_like(logits);
  const at::Tensor d = gradient.to(at::kDouble).contiguous();
  DISPATCH(logits.scalar_type(), "plane_sums_backward", [&] {
    using T = Working<scalar_t>;
    const Scene<scalar_t> scene(logits, target, ignore_index, void_edges);
    const Form<scalar_t> form(scene, tables, rules...);
    // The gradient in the probabilities, in the room of the result if it is wide enough.
    const at::Tensor of_p = std::is_same_v<scalar_t, T> ? out : at::empty_like(out, at::kFloat);
    const Dense<T> place(of_p);
    for_each_plane(form, [&](auto& worker, int64_t image, int64_t c) {
      const auto put = [&](int64_t y, const T* row) {
        place.store({image, y, 0, scene.width}, c, row);
      };
      if (d.select(1, c).any().template item<bool>()) {
        worker.look(image, c);
        worker.differentiate(d.const_data_ptr<double>(), c, put);
      } else {  // such as a class that is absent
        const std::vector<T> zeros(scene.width, T(0));
        for (int64_t y = 0; y < scene.height; ++y) put(y, zeros.data());
      }
    });
    softmax_gradient(scene, logits, place, out);
  });
  return out;
}

}  // namespace CPU_CAPABILITY
}  // namespace autoseg
