"""A curve as a table of coefficients, the input of every kernel.

G: curves; K: control points of a curve; P: its pieces. A row of a table (P, 8) is one quadratic
Bezier piece from (u0, v0) by (u1, v1) to (u2, v2), in the notation of ``surfaces.bezier``:

    U0, SCALE = 1 / (u2 - u0), A = a, A_REST = 1 - a, V0, B = 2 (v1 - v0), C = v0 - 2 v1 + v2, V2
    s = (x - u0) SCALE,   y = a^2 (1 - s) + (1 - a)^2 s,   q = sqrt(max(y, eps))
    r = (q + y / q) / 2,   t = s / (a + r),   t' = (1 - t (1 - 2a) / (2q)) / (a + r)
    g(x) = v0 + t (B + t C),   g'(x) = SCALE (B + 2 t C) t'
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoseg_core.numerics import eps, tiny
from autoseg_core.surfaces import get_surface

U0, SCALE, A, A_REST, V0, B, C, V2 = range(8)
COLUMNS = 8


def curve_tables(surface: str, points: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Coefficients of the curves' pieces: control points (G, K, 2) -> G tables (P, 8) of ``dtype``.

    Computed in float64 from points rounded to ``dtype``, so that joints lie where the reference in
    that precision has them. All curves at once: on a GPU each operation is a launch.
    """
    rounded = points.detach().to(dtype).double()
    start, middle, end = get_surface(surface).pieces(rounded)
    (width, rise), (before, pull) = (end - start).unbind(-1), (middle - start).unbind(-1)
    # As in surfaces.bezier: a piece of width zero is met only at its own joint.
    a = (before / width).nan_to_num(0.5)
    # Of narrower pieces, which hold no value but a joint's, slopes would overflow, and infinity
    # times the 0 of a mask is NaN.
    scale = width.reciprocal().clamp(max=eps(dtype) / tiny(dtype))
    b = 2 * pull
    columns = [start[..., 0], scale, a, 1 - a, start[..., 1], b, rise - b, end[..., 1]]
    return torch.stack(columns, dim=-1).to(dtype).unbind()
