// Two label maps, strip by strip: edges, trimaps, and exact counts, integers to the last.
//
// N: images; H, W: pixels; C: classes. An image is cut into strips of rows that fit a core's cache;
// a strip carries the rows above and below that its pixels can see. All maps of a strip are flat
// arrays of one layout, with a rim, so that neighbours are a step in flat memory. L is the type of
// their labels, one byte where that will do: C is a void neighbour, C + 1 no neighbour at all.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/cpu/vec/vec.h>

#include <bit>
#include <cstring>
#include <limits>
#include <numeric>
#include <type_traits>
#include <vector>

#include "labels.h"
#include "window.h"

namespace autoseg {
inline namespace CPU_CAPABILITY {
namespace label_maps {
constexpr int64_t STRIP = 96;  // rows
constexpr int64_t REST = 64;   // numbers past the last one that a vector may reach
static_assert(std::endian::native == std::endian::little, "runs are read from bytes in order");
constexpr int64_t SHORT = 4;   // pixels: where runs are shorter on average, each is counted alone

enum Row {
  TARGET,
  INTERSECTION,
  UNION,  // of the whole image
  NEAR_TARGET,
  NEAR_INTERSECTION,
  NEAR_UNION,  // of the trimap
  EDGES,
  MATCHED_EDGES,
  GUESSED_EDGES,
  MATCHED_GUESSED_EDGES,  // of boundaries
  ROWS
};

// What a pixel is for its label. RIGHT: the guess is right; of guesses, the target is a class.
enum Flag { RIGHT = 1, NEAR = 2, EDGE = 4, MATCHED = 8, FLAGS = 16 };

struct Options {
  int64_t classes, void_label, tolerance;
  bool void_edges, drop_background, trimap, boundary;
};

// Calls `work` with a label type that holds C + 2: a number of the smallest one.
template <typename Work>
void with_label_type(int64_t classes, const Work& work) {
  if (classes <= UINT8_MAX - 2) return work(uint8_t());
  TORCH_CHECK_VALUE(classes <= INT16_MAX - 2, "Expected at most 32765 classes, got ", classes, ".");
  work(int16_t());
}

template <typename L>
bool all_set(const at::vec::Vectorized<L>& mask) {
#if defined(CPU_CAPABILITY_AVX512)
  return _mm512_movepi8_mask(mask) == ~__mmask64(0);
#elif defined(CPU_CAPABILITY_AVX2)
  return _mm256_movemask_epi8(mask) == -1;
#else
  L values[at::vec::Vectorized<L>::size()], all = -1;
  mask.store(values);
  for (const L value : values) all &= value;
  return all == static_cast<L>(-1);
#endif
}

template <typename L>
class Strip {
 public:
  Strip(int64_t height, int64_t width, const Options& options)
      : H(height),
        W(width),
        VOID(options.classes),
        UNSEEN(VOID + 1),
        UNKNOWN(VOID + 2),
        options_(options),
        reach_(std::min(options.tolerance, std::max(height, width))),
        halo_(reach_ + 1),
        S(width + 2 * halo_),
        size_((std::min(STRIP, height) + 2 * halo_) * S + REST),
        truth_(size_),
        truth_edges_(size_),
        near_(size_) {}

  // Reads rows [first, first + count) of the target and their halo.
  template <typename From>
  void read(const From* truth, int64_t first, int64_t count) {
    count_ = count;
    read_rows(truth, first, options_.void_label, VOID, truth_);
    if (options_.void_edges) return;
    const L nothing = VOID, unseen = UNSEEN;
    L* __restrict__ t = truth_.data();
    for (int64_t j = 0, size = size_; j < size; ++j) t[j] = t[j] == nothing ? unseen : t[j];
  }

  // Reads the guesses of the same rows; false for labels outside the classes in either of the two.
  template <typename From>
  bool read_guess(const From* guess, int64_t first) {
    guess_.resize(size_);
    read_rows(guess, first, -1, UNKNOWN, guess_);
    const L unseen = UNSEEN, unknown = UNKNOWN;
    const L* __restrict__ t = truth_.data();
    L* __restrict__ g = guess_.data();
    L wrong = 0;
    for (int64_t j = 0, size = size_; j < size; ++j) {
      const L own = t[j] == unseen ? unseen : g[j];
      wrong |= (t[j] == unknown) | (own == unknown);
      g[j] = own;
    }
    return !wrong;
  }

  // Writes `count` rows of W: the labels that were read, void but for the trimap; false for labels
  // outside the classes.
  bool trimap(L* __restrict__ to) {
    mark_edges(truth_, VOID, truth_edges_);
    mark_near();
    const L nothing = VOID, unknown = UNKNOWN;
    L wrong = 0;
    for (int64_t y = 0; y < count_; ++y, to += W) {
      const int64_t width = W, j = (halo_ + y) * S + halo_;
      const L* __restrict__ label = &truth_[j];
      const uint8_t* __restrict__ near = &near_[dilated(j)];
      for (int64_t x = 0; x < width; ++x) {
        wrong |= label[x] == unknown;
        to[x] = (label[x] < nothing) & (near[x] != 0) ? label[x] : nothing;
      }
    }
    return !wrong;
  }

  // Writes `count` rows of W: the class of edges, C elsewhere.
  void edges(L* to) {
    mark_edges(truth_, VOID, truth_edges_);
    for (int64_t y = 0; y < count_; ++y)
      std::copy_n(&truth_edges_[(halo_ + y) * S + halo_], W, to + y * W);
  }

  // Adds the counts (ROWS, C) of the rows that were read.
  void count(int64_t* sums) {
    guess_edges_.resize(size_);
    if (options_.trimap || options_.boundary) mark_edges(truth_, VOID, truth_edges_);
    if (options_.trimap) mark_near();
    if (options_.boundary) {
      mark_edges(guess_, UNSEEN, guess_edges_);
      match(truth_edges_, VOID, guess_edges_, truth_matched_);
      match(guess_edges_, UNSEEN, truth_edges_, guess_matched_);
    }
    count_codes();
    add_up(sums);
  }

 private:
  using V = at::vec::Vectorized<L>;
  using Code = std::conditional_t<sizeof(L) == 1, uint16_t, uint32_t>;  // FLAGS * label + flags

  int64_t used() const { return (count_ + 2 * halo_) * S; }

  // Labels of the strip, an ignored one as `nothing`, others outside the classes as UNKNOWN.
  template <typename From>
  void read_rows(const From* from, int64_t first, int64_t ignored, L nothing,
                 std::vector<L>& labels) const {
    std::fill(labels.begin(), labels.end(), UNSEEN);
    const int64_t top = std::max<int64_t>(0, first - halo_);
    for (int64_t y = top; y < std::min(H, first + count_ + halo_); ++y) {
      L* to = &labels[(y - first + halo_) * S + halo_];
      // Bytes are compared faster, if they will do.
      copy(from + y * W, to) ? sort_out(to, ignored, nothing, to)
                             : sort_out(from + y * W, ignored, nothing, to);
    }
  }

  // Copies a row; false where a number is changed by it.
  template <typename From>
  bool copy(const From* __restrict__ from, L* __restrict__ to) const {
    const int64_t width = W;
    constexpr int64_t most = std::numeric_limits<From>::max(), fits = std::numeric_limits<L>::max();
    const auto outside = static_cast<From>(~std::min(most, fits));
    From odd = 0;
    for (int64_t x = 0; x < width; ++x) {
      odd |= from[x] & outside;
      to[x] = static_cast<L>(from[x]);
    }
    return odd == 0;
  }

  template <typename From>
  void sort_out(const From* from, int64_t ignored, L nothing, L* to) const {
    using U = std::make_unsigned_t<From>;
    // Read without its sign, a negative number is a large one.
    const int64_t width = W, most = std::numeric_limits<From>::max();
    const U limit = std::min(options_.classes - 1, most);
    const From ignore = static_cast<From>(ignored);
    const bool ignores = static_cast<int64_t>(ignore) == ignored;
    const L unknown = UNKNOWN;
    for (int64_t x = 0; x < width; ++x) {
      const U label = static_cast<U>(from[x]);
      const L known = label <= limit ? static_cast<L>(label) : unknown;
      to[x] = ignores & (from[x] == ignore) ? nothing : known;
    }
  }

  // Edges: pixels of a class with one of their eight neighbours of another kind; `none` elsewhere.
  void mark_edges(const std::vector<L>& labels, L none, std::vector<L>& edges) const {
    std::fill(edges.begin(), edges.end(), none);
    const int64_t stride = S, last = used() - S - 1;
    const L unseen = UNSEEN, classes = VOID;
    const L* __restrict__ at = labels.data();
    L* __restrict__ to = edges.data();
    for (int64_t j = stride + 1; j < last; ++j) {
      const L own = at[j];
      const auto differs = [&](int64_t step) {
        return (at[j + step] != own) & (at[j + step] != unseen);
      };
      const bool edge = differs(-stride - 1) | differs(-stride) | differs(-stride + 1) |
                        differs(-1) | differs(1) | differs(stride - 1) | differs(stride) |
                        differs(stride + 1);
      to[j] = edge & (own < classes) ? own : none;
    }
  }

  void mark_near() {
    const L none = VOID, background = options_.drop_background ? 0 : VOID;
    const L* edges = truth_edges_.data();
    uint8_t* __restrict__ near = near_.data();
    for (int64_t j = 0, size = size_; j < size; ++j) {
      near[j] = (edges[j] != none) & (edges[j] != background);
    }
    const auto either = [](uint8_t a, uint8_t b) { return static_cast<uint8_t>(a | b); };
    const int64_t rows = count_ + 2 * reach_;  // the outermost rows of the halo are not needed
    window(near_.data() + S, rows * S - 2 * reach_, reach_, 1, either);
    window(near_.data() + S, count_, reach_, S, either);
  }

  // Where the dilated map has what belongs to pixel j of the layout.
  int64_t dilated(int64_t j) const { return j - reach_ * S - reach_; }

  // Marks edges within reach of an edge of the other map's same class, and pixels that are no edge.
  // A vector of pixels is compared with all its neighbours, near rows first, until all of it match.
  void match(const std::vector<L>& edges, L none, const std::vector<L>& others,
             std::vector<L>& matched) const {
    matched.resize(size_);
    for (int64_t j = halo_ * S; j < (halo_ + count_) * S; j += V::size()) {
      const V own = V::loadu(&edges[j]);
      V found = own == V(none);
      for (int64_t k = 0; k <= 2 * reach_ && !all_set(found); ++k) {
        const L* row = &others[j + (k % 2 ? k / 2 + 1 : -k / 2) * S];
        found = found | (own == V::loadu(row));
        for (int64_t x = 1; x <= reach_; ++x) {
          found = found | (own == V::loadu(row + x)) | (own == V::loadu(row - x));
        }
      }
      found.store(&matched[j]);
    }
  }

  // Counts codes, a run of equal ones at a time: label maps are made of areas.
  void count_codes() {
    truth_counts_.assign((options_.classes + 3) * FLAGS, 0);
    guess_counts_.assign((options_.classes + 3) * FLAGS, 0);
    truth_codes_.resize(W + 1);
    guess_codes_.resize(W + 1);
    change_.assign(W + 8, 0);
    change_[W] = 1;
    const int64_t width = W;
    int64_t* __restrict__ truths = truth_counts_.data();
    int64_t* __restrict__ guesses = guess_counts_.data();
    for (int64_t y = 0; y < count_; ++y) {
      write_codes((halo_ + y) * S + halo_);
      const Code* __restrict__ t = truth_codes_.data();
      const Code* __restrict__ g = guess_codes_.data();
      uint8_t* __restrict__ change = change_.data();
      for (int64_t x = 1; x < width; ++x) change[x] = (t[x] != t[x - 1]) | (g[x] != g[x - 1]);
      if (std::accumulate(change, change + width, 0) * SHORT > width) {
        for (int64_t x = 0; x < width; ++x) {
          ++truths[t[x]];
          ++guesses[g[x]];
        }
        continue;
      }
      for (int64_t start = 0, x = 0; x <= width; x += 8) {
        uint64_t eight;
        std::memcpy(&eight, &change[x], 8);
        for (; eight != 0; eight &= eight - 1) {  // a byte of it is 1 where a run ends
          const int64_t end = x + std::countr_zero(eight) / 8;
          truths[t[start]] += end - start;
          guesses[g[start]] += end - start;
          start = end;
        }
      }
    }
  }

  // Codes of the row of pixels from j on.
  void write_codes(int64_t j) {
    const L classes = VOID;
    const L *t = &truth_[j], *g = &guess_[j];
    Code* __restrict__ truth = truth_codes_.data();
    Code* __restrict__ guess = guess_codes_.data();
    for (int64_t x = 0; x < W; ++x) {
      truth[x] = t[x] * FLAGS + (t[x] == g[x] ? RIGHT : 0);
      guess[x] = g[x] * FLAGS + (t[x] < classes ? RIGHT : 0);
    }
    if (options_.trimap) {
      const uint8_t* near = &near_[dilated(j)];
      for (int64_t x = 0; x < W; ++x) {
        truth[x] |= near[x] ? NEAR : 0;
        guess[x] |= near[x] ? NEAR : 0;
      }
    }
    if (options_.boundary) {
      add_edges(&truth_edges_[j], VOID, &truth_matched_[j], truth);
      add_edges(&guess_edges_[j], UNSEEN, &guess_matched_[j], guess);
    }
  }

  void add_edges(const L* edges, L none, const L* matched, Code* __restrict__ codes) const {
    for (int64_t x = 0; x < W; ++x) {
      const Code flags = EDGE | (matched[x] & MATCHED);
      codes[x] |= edges[x] == none ? 0 : flags;
    }
  }

  void add_up(int64_t* sums) const {
    const int64_t C = options_.classes;
    const auto with = [](const std::vector<int64_t>& counts, int64_t c, int flags) {
      int64_t sum = 0;
      for (int f = 0; f < FLAGS; ++f) sum += (f & flags) == flags ? counts[c * FLAGS + f] : 0;
      return sum;
    };
    for (int64_t c = 0; c < C; ++c) {
      for (const int near : {0, int(NEAR)}) {
        int64_t* to = sums + (near ? NEAR_TARGET : TARGET) * C + c;
        const int64_t target = with(truth_counts_, c, near);
        const int64_t both = with(truth_counts_, c, near | RIGHT);
        to[0] += target;
        to[C] += both;
        to[2 * C] += target + with(guess_counts_, c, near | RIGHT) - both;
      }
      sums[EDGES * C + c] += with(truth_counts_, c, EDGE);
      sums[MATCHED_EDGES * C + c] += with(truth_counts_, c, MATCHED);
      sums[GUESSED_EDGES * C + c] += with(guess_counts_, c, EDGE);
      sums[MATCHED_GUESSED_EDGES * C + c] += with(guess_counts_, c, MATCHED);
    }
  }

  const int64_t H, W;
  const L VOID, UNSEEN, UNKNOWN;
  const Options options_;
  const int64_t reach_, halo_, S, size_;
  int64_t count_ = 0;
  std::vector<L> truth_, guess_, truth_edges_, guess_edges_, truth_matched_, guess_matched_;
  std::vector<uint8_t> near_, change_;
  std::vector<Code> truth_codes_, guess_codes_;
  std::vector<int64_t> truth_counts_, guess_counts_;
};

// Cuts (N, H, W) into strips.
struct Strips {
  int64_t height, width, per_image, number;

  Strips(int64_t n, int64_t h, int64_t w)
      : height(h),
        width(w),
        per_image(std::max<int64_t>(1, (h + STRIP - 1) / STRIP)),
        number(n * per_image) {}

  // Runs `work(strip, its number, image, first row, rows)`; small images on one thread, which costs
  // less than to wait for another.
  template <typename L, typename Work>
  void for_each(const Options& options, const Work& work) const {
    const int64_t grain = std::max<int64_t>(1, (1 << 20) / std::max<int64_t>(1, STRIP * width));
    at::parallel_for(0, number, grain, [&](int64_t begin, int64_t end) {
      Strip<L> strip(height, width, options);
      for (int64_t k = begin; k < end; ++k) {
        const int64_t part = k % per_image, row = part * height / per_image;
        work(strip, k, k / per_image, row, (part + 1) * height / per_image - row);
      }
    });
  }
};

// A map of L of the target's shape (N, H, W), written by `write(strip, to its first row)`.
template <typename Write>
at::Tensor map_of(const at::Tensor& target, const Options& options, const Write& write) {
  const at::Tensor t = target.contiguous();
  const Strips strips(t.size(0), t.size(1), t.size(2));
  at::Tensor map;
  with_label_type(options.classes, [&](auto type) {
    using L = decltype(type);
    map = at::empty(t.sizes(), c10::CppTypeToScalarType<L>::value);
    strips.for_each<L>(options,
                       [&](Strip<L>& strip, int64_t, int64_t image, int64_t row, int64_t rows) {
                         const int64_t start = image * strips.height * strips.width;
                         AT_DISPATCH_INTEGRAL_TYPES(t.scalar_type(), "target", [&] {
                           strip.read(t.const_data_ptr<scalar_t>() + start, row, rows);
                         });
                         write(strip, map.data_ptr<L>() + start + row * strips.width);
                       });
  });
  return map;
}

// The class of each edge of the target (N, H, W), C elsewhere, in the smallest type.
inline at::Tensor edges(const at::Tensor& target, int64_t classes, int64_t ignore_index,
                        bool void_edges) {
  const Options options{classes, ignore_index, 0, void_edges, false, false, true};
  return map_of(target, options, [](auto& strip, auto* to) { strip.edges(to); });
}

}  // namespace label_maps
}  // namespace CPU_CAPABILITY
}  // namespace autoseg
