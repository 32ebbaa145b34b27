// Exact counts of two label maps: the C++ form of metrics/.
#include "label_maps.h"

#include <ATen/Dispatch.h>
#include <torch/library.h>

#include <atomic>

namespace autoseg {
inline namespace CPU_CAPABILITY {
namespace label_maps {

at::Tensor label_counts(const at::Tensor& guess, const at::Tensor& truth, int64_t classes,
                        int64_t ignore_index, int64_t tolerance, bool void_edges,
                        bool drop_background, bool trimap, bool boundary) {
  const Options options{classes,         ignore_index, tolerance, void_edges,
                        drop_background, trimap,       boundary};
  TORCH_CHECK(guess.dim() == 3 && guess.sizes() == truth.sizes(), "label maps differ in shape");
  const at::Tensor g = guess.contiguous(), t = truth.contiguous();
  const Strips strips(g.size(0), g.size(1), g.size(2));
  at::Tensor sums = at::zeros({strips.number, ROWS, classes}, at::kLong);
  std::atomic<bool> good{true};
  with_label_type(classes, [&](auto type) {
    using L = decltype(type);
    strips.for_each<L>(options,
                       [&](Strip<L>& strip, int64_t k, int64_t image, int64_t row, int64_t rows) {
                         const int64_t start = image * strips.height * strips.width;
                         bool known = false;
                         AT_DISPATCH_INTEGRAL_TYPES(t.scalar_type(), "truth", [&] {
                           strip.read(t.const_data_ptr<scalar_t>() + start, row, rows);
                         });
                         AT_DISPATCH_INTEGRAL_TYPES(g.scalar_type(), "guess", [&] {
                           known = strip.read_guess(g.const_data_ptr<scalar_t>() + start, row);
                         });
                         if (known)
                           strip.count(sums.data_ptr<int64_t>() + k * ROWS * classes);
                         else
                           good = false;
                       });
  });
  TORCH_CHECK_VALUE(good, "a label lies outside the classes 0..", classes - 1, ".");
  return sums.sum(0);
}

// The target (N, H, W) in the smallest type, C further than `tolerance` from its edges and at void.
at::Tensor trimap(const at::Tensor& target, int64_t classes, int64_t ignore_index,
                  int64_t tolerance, bool drop_background, bool void_edges) {
  const Options options{classes, ignore_index, tolerance, void_edges, drop_background, true, false};
  std::atomic<bool> good{true};
  const at::Tensor map = map_of(target, options, [&](auto& strip, auto* to) {
    if (!strip.trimap(to)) good = false;
  });
  if (!good) refuse_labels(target, classes, ignore_index);
  return map;
}

}  // namespace label_maps
}  // namespace CPU_CAPABILITY
}  // namespace autoseg

TORCH_LIBRARY_IMPL(autoseg, CPU, m) {
  m.impl("label_counts", autoseg::label_maps::label_counts);
  m.impl("trimap", autoseg::label_maps::trimap);
}
