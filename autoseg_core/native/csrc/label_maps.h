// Two label maps, strip by strip: edges, trimaps, and exact counts, integers to the last.
//
// N: images; H, W: pixels; C: classes. An image is cut into strips of rows that fit a core's cache; a
// strip carries the rows above and below that its pixels can see. All maps of a strip are flat arrays
// of one layout, with a rim, so that a window is a few passes over flat memory.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <atomic>
#include <cstring>
#include <vector>

#include "window.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {
namespace label_maps {
constexpr int64_t STRIP = 96;  // rows
constexpr int16_t VOID = -1, UNSEEN = -2;  // a neighbour of another kind; no neighbour at all
constexpr int16_t IGNORED = -3;

enum Row {
  TARGET, INTERSECTION, UNION,                                 // of the whole image
  NEAR_TARGET, NEAR_INTERSECTION, NEAR_UNION,                  // of the trimap
  EDGES, MATCHED_EDGES, GUESSED_EDGES, MATCHED_GUESSED_EDGES,  // of boundaries
  ROWS
};

struct Options {
  int64_t classes, void_label, tolerance;
  bool void_edges, drop_background, trimap, boundary;
};

// Positions of the set bytes among `count`, a multiple of 8, into `positions`; returns their number.
inline int64_t find(const uint8_t* bytes, int64_t count, int32_t* positions) {
  int64_t found = 0;
  for (int64_t j = 0; j < count; j += 8) {
    uint64_t eight;
    std::memcpy(&eight, bytes + j, 8);
    for (; eight != 0; eight &= eight - 1) positions[found++] = j + __builtin_ctzll(eight) / 8;
  }
  return found;
}

class Strip {
 public:
  Strip(int64_t height, int64_t width, const Options& options)
      : H(height), W(width), options_(options),
        reach_(std::min(options.tolerance, std::max(height, width))), halo_(reach_ + 1),
        S((width + 2 * halo_ + 7) / 8 * 8), rows_(std::min(STRIP, height) + 2 * halo_),
        guess_(size()), truth_(size()), guess_edges_(size()), truth_edges_(size()), near_(size()),
        sets_(size()), slot_(options.classes) {}

  // Reads rows [first, first + count) and their halo; false for labels outside the classes.
  template <typename G, typename L>
  bool read(const G* guess, const L* truth, int64_t first, int64_t count) {
    count_ = count;
    std::fill(guess_.begin(), guess_.end(), UNSEEN);
    std::fill(truth_.begin(), truth_.end(), UNSEEN);
    bool good = true;
    const int64_t top = std::max<int64_t>(0, first - halo_);
    for (int64_t y = top; y < std::min(H, first + count + halo_); ++y) {
      const int64_t to = (y - first + halo_) * S + halo_;
      good &= read_row(guess + y * W, truth + y * W, &guess_[to], &truth_[to]);
    }
    return good;
  }

  // Writes the trimap of the rows that were read, `count` rows of W.
  void trimap(bool* to) {
    mark_edges(truth_, truth_edges_);
    mark_near();
    for (int64_t y = 0; y < count_; ++y) {
      const int64_t at = dilated((halo_ + y) * S + halo_);
      for (int64_t x = 0; x < W; ++x) to[y * W + x] = near_[at + x];
    }
  }

  void count(int64_t* sums) {
    if (options_.trimap || options_.boundary) mark_edges(truth_, truth_edges_);
    if (options_.trimap) mark_near();
    count_regions(sums);
    if (options_.boundary) {
      mark_edges(guess_, guess_edges_);
      count_boundaries(sums);
    }
  }

 private:
  int64_t size() const { return rows_ * S + 64; }
  int64_t used() const { return (count_ + 2 * halo_) * S; }
  int64_t begin() const { return halo_ * S; }
  int64_t end() const { return (halo_ + count_) * S; }

  template <typename G, typename L>
  bool read_row(const G* guess, const L* truth, int16_t* __restrict__ g,
                int16_t* __restrict__ t) const {
    const int64_t width = W;
    const uint16_t classes = options_.classes;
    const int16_t all = options_.void_edges ? -1 : 0, hidden = options_.void_edges ? VOID : UNSEEN;
    bool bad = narrow(truth, options_.void_label, t) | copy(guess, g);
    for (int64_t x = 0; x < width; ++x) {
      const int16_t valid = t[x] != IGNORED ? -1 : 0, seen = valid | all;
      bad |= (valid != 0) & (static_cast<uint16_t>(t[x]) >= classes);
      bad |= (seen != 0) & (static_cast<uint16_t>(g[x]) >= classes);
      t[x] = (valid & t[x]) | (~valid & hidden);
      g[x] = (seen & g[x]) | (~seen & UNSEEN);
    }
    return !bad;
  }

  template <typename L>
  bool copy(const L* from, int16_t* __restrict__ to) const {
    const int64_t width = W;
    bool odd = false;
    for (int64_t x = 0; x < width; ++x) {
      to[x] = static_cast<int16_t>(from[x]);
      odd |= from[x] != static_cast<L>(to[x]);
    }
    return odd;
  }

  // 16-bit copies, IGNORED for one label; true where a number does not fit.
  template <typename L>
  bool narrow(const L* from, int64_t ignored, int16_t* __restrict__ to) const {
    const int64_t width = W;
    const L ignore = static_cast<L>(ignored);
    if (static_cast<int64_t>(ignore) != ignored) return copy(from, to);
    bool odd = false;
    for (int64_t x = 0; x < width; ++x) {
      const int16_t label = static_cast<int16_t>(from[x]);
      odd |= (from[x] != static_cast<L>(label)) & (from[x] != ignore);
      to[x] = from[x] == ignore ? IGNORED : label;
    }
    return odd;
  }

  // Edges: pixels of a class with one of their eight neighbours of another kind.
  void mark_edges(const std::vector<int16_t>& labels, std::vector<uint8_t>& edges) const {
    std::fill(edges.begin(), edges.end(), 0);
    const int64_t stride = S, last = used() - S - 1;
    const int16_t* __restrict__ at = labels.data();
    uint8_t* __restrict__ to = edges.data();
    for (int64_t j = stride + 1; j < last; ++j) {
      const int16_t own = at[j];
      const auto differs = [&](int64_t step) {
        return (at[j + step] != own) & (at[j + step] != UNSEEN);
      };
      const bool edge = differs(-stride - 1) | differs(-stride) | differs(-stride + 1) |
                        differs(-1) | differs(1) | differs(stride - 1) | differs(stride) |
                        differs(stride + 1);
      to[j] = edge & (own >= 0);
    }
  }

  template <typename V>
  void dilate(std::vector<V>& maps) const {
    const auto either = [](V a, V b) { return static_cast<V>(a | b); };
    const int64_t rows = count_ + 2 * reach_;  // the outermost rows of the halo are not needed
    window(maps.data() + S, rows * S - 2 * reach_, reach_, 1, either);
    window(maps.data() + S, count_, reach_, S, either);
  }

  // Where a dilated map has what belongs to pixel j of the layout.
  int64_t dilated(int64_t j) const { return j - reach_ * S - reach_; }

  void mark_near() {
    near_ = truth_edges_;
    if (options_.drop_background) {
      for (int64_t j = 0; j < used(); ++j) near_[j] &= truth_[j] != 0;
    }
    dilate(near_);
  }

  // Counts run by run of equal pixels: label maps are made of areas.
  void count_regions(int64_t* sums) {
    const int64_t C = options_.classes, kinds = C + 1;
    std::vector<int64_t> truth(2 * kinds), guess(2 * kinds), both(2 * kinds);
    std::vector<uint8_t> change(W + 16, 1);
    const std::vector<uint8_t> nowhere(options_.trimap ? 0 : W, 0);
    for (int64_t y = 0; y < count_; ++y) {
      const int64_t at = (halo_ + y) * S + halo_;
      const int16_t* __restrict__ g = &guess_[at];
      const int16_t* __restrict__ t = &truth_[at];
      const uint8_t* __restrict__ near = options_.trimap ? &near_[dilated(at)] : nowhere.data();
      uint8_t* __restrict__ changed = change.data();
      for (int64_t x = 1; x < W; ++x) {
        changed[x] = (t[x] != t[x - 1]) | (g[x] != g[x - 1]) | (near[x] != near[x - 1]);
      }
      for (int64_t start = 0, x = 1; start < W; ++x) {
        for (uint64_t eight; std::memcpy(&eight, &change[x], 8), eight == 0;) x += 8;
        if (!change[x]) continue;
        const int64_t close = near[start] ? kinds : 0, c = t[start] < 0 ? C : t[start];
        const int64_t k = c == C ? C : g[start], length = std::min(x, W) - start;
        truth[close + c] += length;
        guess[close + k] += length;
        both[close + (c == k ? c : C)] += length;
        start = x;
      }
    }
    for (int64_t c = 0; c < C; ++c) {
      for (const int64_t close : {0, 1}) {
        const int64_t at = kinds + c, far = close ? 0 : 1;
        const int64_t own = truth[at] + far * truth[c], hit = both[at] + far * both[c];
        sums[(3 * close + TARGET) * C + c] += own;
        sums[(3 * close + INTERSECTION) * C + c] += hit;
        sums[(3 * close + UNION) * C + c] += own + guess[at] + far * guess[c] - hit;
      }
    }
  }

  // Only classes with an edge in both maps can match: each gets a bit of a word.
  void count_boundaries(int64_t* sums) {
    const int64_t C = options_.classes;
    guessed_.resize(size());
    true_.resize(size());
    guessed_.resize(find(guess_edges_.data(), used(), guessed_.data()));
    true_.resize(find(truth_edges_.data(), used(), true_.data()));
    std::vector<uint8_t> kinds(C, 0);
    for (const int32_t j : guessed_) kinds[guess_[j]] |= 1;
    for (const int32_t j : true_) kinds[truth_[j]] |= 2;
    int64_t shared = 0;
    for (int64_t c = 0; c < C; ++c) slot_[c] = kinds[c] == 3 ? shared++ : -1;
    total(true_, truth_, sums + EDGES * C);
    total(guessed_, guess_, sums + GUESSED_EDGES * C);
    for (int64_t first = 0; first < shared; first += 32) {
      match(guessed_, guess_, true_, truth_, first, sums + MATCHED_GUESSED_EDGES * C);
      match(true_, truth_, guessed_, guess_, first, sums + MATCHED_EDGES * C);
    }
  }

  void total(const std::vector<int32_t>& edges, const std::vector<int16_t>& labels,
             int64_t* sums) const {
    for (const int32_t j : edges) sums[labels[j]] += (j >= begin()) & (j < end());
  }

  // Counts edges within reach of an edge of the other map's same class, for 32 slots.
  void match(const std::vector<int32_t>& edges, const std::vector<int16_t>& labels,
             const std::vector<int32_t>& others, const std::vector<int16_t>& other_labels,
             int64_t first, int64_t* sums) {
    std::fill(sets_.begin(), sets_.end(), 0);
    for (const int32_t j : others) {
      const int64_t bit = slot_[other_labels[j]] - first;
      sets_[j] = bit >= 0 && bit < 32 ? uint32_t(1) << bit : 0;
    }
    dilate(sets_);
    for (const int32_t j : edges) {
      const int64_t bit = slot_[labels[j]] - first;
      if (j < begin() || j >= end() || bit < 0 || bit >= 32) continue;
      sums[labels[j]] += sets_[dilated(j)] >> bit & 1;
    }
  }

  const int64_t H, W;
  const Options options_;
  const int64_t reach_, halo_, S, rows_;
  int64_t count_ = 0;
  std::vector<int16_t> guess_, truth_;
  std::vector<uint8_t> guess_edges_, truth_edges_, near_;
  std::vector<uint32_t> sets_;
  std::vector<int32_t> slot_, guessed_, true_;
};

// Cuts (N, H, W) into strips.
struct Strips {
  int64_t images, height, width, per_image, number;

  Strips(int64_t n, int64_t h, int64_t w)
      : images(n), height(h), width(w), per_image(std::max<int64_t>(1, (h + STRIP - 1) / STRIP)),
        number(n * per_image) {}

  // Runs `work(strip, its number, image, first row, rows)`; small images on one thread, which costs
  // less than to wait for another.
  template <typename Work>
  void for_each(const Options& options, const Work& work) const {
    const int64_t grain = std::max<int64_t>(1, (1 << 20) / std::max<int64_t>(1, STRIP * width));
    at::parallel_for(0, number, grain, [&](int64_t begin, int64_t end) {
      Strip strip(height, width, options);
      for (int64_t k = begin; k < end; ++k) {
        const int64_t part = k % per_image, row = part * height / per_image;
        work(strip, k, k / per_image, row, (part + 1) * height / per_image - row);
      }
    });
  }
};

// Pixels within `tolerance` of an edge of the target (N, H, W): bool of that shape.
inline at::Tensor trimap(const at::Tensor& target, int64_t classes, int64_t ignore_index,
                         int64_t tolerance, bool drop_background, bool void_edges) {
  const Options options{classes, ignore_index, tolerance, void_edges, drop_background, true, false};
  const at::Tensor t = target.contiguous();
  const Strips strips(t.size(0), t.size(1), t.size(2));
  at::Tensor near = at::empty(t.sizes(), at::kBool);
  strips.for_each(options, [&](Strip& strip, int64_t, int64_t image, int64_t row, int64_t rows) {
    const int64_t start = image * strips.height * strips.width;
    AT_DISPATCH_INTEGRAL_TYPES(t.scalar_type(), "target", [&] {
      const scalar_t* from = t.const_data_ptr<scalar_t>() + start;
      strip.read(from, from, row, rows);
    });
    strip.trimap(near.data_ptr<bool>() + start + row * strips.width);
  });
  return near;
}

}  // namespace label_maps
}  // namespace CPU_CAPABILITY
}  // namespace autoseg
