"""Soft region counts in Triton: the device code. Only ``triton.py`` imports this module.

N: images; C: classes; R, Q: rows and columns of pixels; h, w: of logits yet to be upsampled.
BLOCK_C: the power of two from C on; BLOCK_P: pixels of a tile. A program strides over the
rectangles of one image, each a part of a row, or, of logits yet to be upsampled, the pixels that
lie between the same four logits. It holds all classes of a tile's pixels, so one read of the logits
is enough for probabilities, curves and sums. Arithmetic is float32 whatever the logits are. The
curves' coefficients and formulas are those of ``tables``.

Both are given a ``triton_launch.Problem``. SIGMOID: its target is (N, C, R, Q). PIECES: of a curve.
"""

# Triton is untyped, and a kernel is not called with the signature that it is written with.
# mypy: disable-error-code="import-untyped, import-not-found, no-untyped-def, no-untyped-call"
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import torch
import triton
import triton.language as tl

from autoseg_core.native import tables
from autoseg_core.native.triton_pixels import read_tile, rectangle, weights
from autoseg_core.numerics import eps

FLOOR = tl.constexpr(eps(torch.float32))
U0, SCALE = tl.constexpr(tables.U0), tl.constexpr(tables.SCALE)
A, A_REST = tl.constexpr(tables.A), tl.constexpr(tables.A_REST)
V0, B, C = tl.constexpr(tables.V0), tl.constexpr(tables.B), tl.constexpr(tables.C)
V2, COLUMNS = tl.constexpr(tables.V2), tl.constexpr(tables.COLUMNS)


@triton.jit
def _picked(table, x, COLUMN: tl.constexpr, PIECES: tl.constexpr):
    """The coefficient of the piece that each x falls into."""
    picked = tl.load(table + COLUMN)
    for k in tl.static_range(1, PIECES):
        row = table + k * COLUMNS
        picked = tl.where(x >= tl.load(row + U0), tl.load(row + COLUMN), picked)
    return picked


@triton.jit
def _value_and_slope(table, x, PIECES: tl.constexpr):
    """Height and derivative of the curve; exact ends, without slope. ``tables``."""
    scale = _picked(table, x, SCALE, PIECES)
    # No clamp of s: u0 <= x makes it non-negative, and an ulp above 1 does no harm.
    s = (x - _picked(table, x, U0, PIECES)) * scale
    a, rest = _picked(table, x, A, PIECES), _picked(table, x, A_REST, PIECES)
    y = a * a * (1 - s) + rest * rest * s
    floored = tl.sqrt(tl.maximum(y, FLOOR))
    root = a + 0.5 * (floored + y / floored)
    t = s / root
    b, c = _picked(table, x, B, PIECES), _picked(table, x, C, PIECES)
    value = _picked(table, x, V0, PIECES) + t * (b + t * c)
    slope = (b + 2 * t * c) * scale * (1 - t * (rest - a) / (2 * floored)) / root
    first, last = tl.load(table + V0), tl.load(table + (PIECES - 1) * COLUMNS + V2)
    ended = tl.where(x <= 0, first, tl.where(x >= 1, last, value))
    return ended, tl.where((x <= 0) | (x >= 1), 0.0, slope)


@triton.jit
def _found(problem, p, own, SIGMOID: tl.constexpr, PIECES: tl.constexpr):
    """Height and slope of g_and; where classes exclude each other, at each pixel's own alone."""
    if not SIGMOID:
        p = tl.sum(tl.where(own, p, 0.0), axis=0)[None, :]
    return _value_and_slope(problem.tables[0], p, PIECES)


@triton.jit
def _claimed(problem, p, PIECES: tl.constexpr):
    """Height and slope of g_or, the identity without a table."""
    if problem.tables[1] is None:
        return p, 1.0
    else:
        return _value_and_slope(problem.tables[1], p, PIECES)


@triton.jit
def sums_kernel(
    problem,
    partial,
    SIGMOID: tl.constexpr,
    PIECES: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """Sums over the program's rectangles, one row (5, C) of ``partial``.

    g_and(own), g_or(others), own pixels, pixels that count, bad labels. The caller adds the rows in
    a fixed order; no atomics.
    """
    program = tl.program_id(0)
    image = (program // problem.programs).to(tl.int64)
    found = tl.zeros((BLOCK_C,), tl.float32)
    claimed, truth = found, found
    pixels, wrong = found, found
    for index in range(program % problem.programs, problem.rectangles, problem.programs):
        for start in range(0, rectangle(problem, index, BLOCK_P)[3], BLOCK_P):
            p, own, other, _, _, _, bad = read_tile(
                problem, image, index, start, SIGMOID, BLOCK_C, BLOCK_P
            )
            height = _found(problem, p, own, SIGMOID, PIECES)[0]
            found += tl.sum(tl.where(own, height, 0.0), axis=1)
            claimed += tl.sum(tl.where(other, _claimed(problem, p, PIECES)[0], 0.0), axis=1)
            truth += tl.sum(own.to(tl.float32), axis=1)
            pixels += tl.sum((own | other).to(tl.float32), axis=1)
            wrong += tl.sum(bad.to(tl.float32))
    c, classes = tl.arange(0, BLOCK_C), problem.shape[0]
    row, known = partial + program.to(tl.int64) * 5 * classes + c, c < classes
    tl.store(row, found, mask=known)
    tl.store(row + classes, claimed, mask=known)
    tl.store(row + 2 * classes, truth, mask=known)
    tl.store(row + 3 * classes, pixels, mask=known)
    tl.store(row + 4 * classes, wrong, mask=known)


@triton.jit
def _gradient(problem, upstream, tile, SIGMOID: tl.constexpr, PIECES: tl.constexpr):
    """Gradient in the logits of a tile. upstream: that of g_and's and of g_or's sums, by class."""
    p, own, other = tile
    found = upstream[0] * _found(problem, p, own, SIGMOID, PIECES)[1]
    dp = tl.where(own, found, upstream[1] * _claimed(problem, p, PIECES)[1])
    mean = p * dp if SIGMOID else tl.sum(p * dp, axis=0)[None, :]
    return tl.where(own | other, p * (dp - mean), 0.0)


@triton.jit
def gradient_kernel(
    problem,
    upstream,
    out,
    SIGMOID: tl.constexpr,
    PIECES: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """Gradient in the logits, from that of the sums (2, C); probabilities are recomputed.

    dp_c = dI_c g_and'(p_c) for a class's own pixels and dU'_c g_or'(p_c) for the others;
    dlogit_c = p_c (dp_c - sum_k p_k dp_k), or p_c (1 - p_c) dp_c, exactly 0 at masked pixels.
    Of logits yet to be upsampled: what a rectangle's four logits get from it, (2, 2, N, h, w, C).
    """
    program = tl.program_id(0)
    image = (program // problem.programs).to(tl.int64)
    c = tl.arange(0, BLOCK_C)[:, None]
    known = c < problem.shape[0]
    of_found = tl.load(upstream + c, mask=known, other=0.0)
    of_claimed = tl.load(upstream + problem.shape[0] + c, mask=known, other=0.0)
    to = out.pointer + image * out.strides[0] + c.to(tl.int64) * out.strides[1]
    for index in range(program % problem.programs, problem.rectangles, problem.programs):
        upper_left = tl.zeros((BLOCK_C, 1), tl.float32)
        upper_right, lower_left, lower_right = upper_left, upper_left, upper_left
        for start in range(0, rectangle(problem, index, BLOCK_P)[3], BLOCK_P):
            p, own, other, row, column, inside, _ = read_tile(
                problem, image, index, start, SIGMOID, BLOCK_C, BLOCK_P
            )
            into = _gradient(problem, (of_found, of_claimed), (p, own, other), SIGMOID, PIECES)
            if problem.places is None:
                place = to + row * out.strides[2] + column * out.strides[3]
                tl.store(place, into.to(out.pointer.dtype.element_ty), mask=known & inside)
            else:
                down, over = weights(problem, row, column, inside)
                upper, lower = (1 - down) * into, down * into
                upper_left += tl.sum((1 - over) * upper, axis=1)[:, None]
                upper_right += tl.sum(over * upper, axis=1)[:, None]
                lower_left += tl.sum((1 - over) * lower, axis=1)[:, None]
                lower_right += tl.sum(over * lower, axis=1)[:, None]
        if problem.places is not None:
            # Offsets may exceed 2^31, as may a multiple of a stride: add one stride at a time.
            place = to + tl.cast(index, tl.int64) * out.strides[2]
            tl.store(place, upper_left, mask=known)
            place += out.strides[3]
            tl.store(place, upper_right, mask=known)
            place += out.strides[3]
            tl.store(place, lower_left, mask=known)
            place += out.strides[3]
            tl.store(place, lower_right, mask=known)
