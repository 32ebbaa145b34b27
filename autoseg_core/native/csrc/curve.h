// A curve on [0, 1] as a table of quadratic Bezier pieces: the C++ form of surfaces/bezier.py.
#pragma once

#include <ATen/ATen.h>
#include <ATen/cpu/vec/vec.h>

#include <limits>
#include <optional>
#include <vector>

namespace autoseg {
inline namespace CPU_CAPABILITY {

using at::vec::Vectorized;

// Columns of a row of the table (P, 8); see native/tables.py.
enum Column { U0, SCALE, A, REST, V0, B, C, V2, COLUMNS };

template <typename T>
class Curve {
 public:
  using Vec = Vectorized<T>;

  // table: (P, 8) of any float dtype, on the CPU.
  explicit Curve(const at::Tensor& table) : pieces_(table.size(0)) {
    TORCH_CHECK(table.dim() == 2 && pieces_ > 0 && table.size(1) == COLUMNS,
                "expected a table of shape (P, 8), got ", table.sizes());
    const at::Tensor rows = table.to(c10::CppTypeToScalarType<T>::value).contiguous();
    rows_.assign(rows.const_data_ptr<T>(), rows.const_data_ptr<T>() + rows.numel());
  }

  C10_ALWAYS_INLINE Vec value(Vec x) const { return value_and_slope<false>(x).value; }

  // The derivative of value; 0 at and beyond both ends.
  C10_ALWAYS_INLINE Vec slope(Vec x) const { return value_and_slope<true>(x).slope; }

  struct Point {
    Vec value, slope;
  };

  // Inlined, so that evaluations of several curves, or of one at several places, overlap.
  template <bool SLOPE = true>
  C10_ALWAYS_INLINE Point value_and_slope(Vec x) const {
    const Piece piece = pick(x);
    const Vec one(T(1));
    const Vec s = at::vec::clamp((x - piece.u0) * piece.scale, Vec(T(0)), one);
    const Vec y = at::vec::fmadd(s, piece.rest * piece.rest, (one - s) * (piece.a * piece.a));
    // With q = sqrt(floored) multiplied through the fractions of tables.py: one division for both.
    const Vec floored = at::vec::clamp_min(y, Vec(std::numeric_limits<T>::epsilon()));
    const Vec q = floored.sqrt(), half(T(0.5));
    const Vec inverse = one / at::vec::fmadd(piece.a, q, (floored + y) * half);
    const Vec t = s * q * inverse;
    const Vec end = x >= one;
    const Vec inside = at::vec::fmadd(t, at::vec::fmadd(t, piece.c, piece.b), piece.v0);
    const Vec value = Vec::blendv(inside, Vec(rows_[(pieces_ - 1) * COLUMNS + V2]), end);
    if constexpr (!SLOPE) return {value, value};
    const Vec turn = (q - t * (piece.rest - piece.a) * half) * inverse;
    const Vec rise = at::vec::fmadd(t + t, piece.c, piece.b) * piece.scale;
    return {value, Vec::blendv(rise * turn, Vec(T(0)), end | (x <= Vec(T(0))))};
  }

 private:
  struct Piece {
    Vec u0, scale, a, rest, v0, b, c;
  };

  C10_ALWAYS_INLINE Piece row(int64_t k) const {
    const T* r = rows_.data() + k * COLUMNS;
    return {Vec(r[U0]), Vec(r[SCALE]), Vec(r[A]), Vec(r[REST]), Vec(r[V0]), Vec(r[B]), Vec(r[C])};
  }

  // The piece that each x falls into. A joint at 0 counts as just above it: before a jump at 0
  // stands the curve's own start.
  C10_ALWAYS_INLINE Piece pick(Vec x) const {
    Piece p = row(0);
    for (int64_t k = 1; k < pieces_; ++k) {
      const Piece q = row(k);
      const Vec later = x >= at::vec::maximum(q.u0, Vec(std::numeric_limits<T>::min()));
      p = {Vec::blendv(p.u0, q.u0, later), Vec::blendv(p.scale, q.scale, later),
           Vec::blendv(p.a, q.a, later),   Vec::blendv(p.rest, q.rest, later),
           Vec::blendv(p.v0, q.v0, later), Vec::blendv(p.b, q.b, later),
           Vec::blendv(p.c, q.c, later)};
    }
    return p;
  }

  int64_t pieces_;
  std::vector<T> rows_;
};

// The curves g_and and g_or of a term; without the latter the identity.
template <typename T>
struct Curves {
  using Vec = Vectorized<T>;

  explicit Curves(at::TensorList tables) : both(tables[0]) {
    if (tables.size() > 1) either.emplace(tables[1]);
  }
  Vec claimed(Vec p) const { return either ? either->value(p) : p; }
  Vec claimed_slope(Vec p) const { return either ? either->slope(p) : Vec(T(1)); }

  Curve<T> both;
  std::optional<Curve<T>> either;
};

// Rows of the sums of regions; the derivatives in them have the same places.
enum RegionSum { FOUND, CLAIMED, TARGET, PIXELS, REGION_SUMS };

}  // namespace CPU_CAPABILITY
}  // namespace autoseg
