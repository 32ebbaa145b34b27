"""Soft region counts in Triton: what runs on the device. Only ``triton.py`` imports this module.

N: images; C: classes; R, Q: rows and columns of pixels; h, w: of logits yet to be upsampled.
BLOCK_C: the power of two from C on; BLOCK_P: pixels of a tile. A program strides over the
rectangles of one image, each a part of a row, or, of logits yet to be upsampled, the pixels that
lie between the same four logits. It holds all classes of a tile's pixels, so one read of the logits
is enough for probabilities, curves and sums. Arithmetic is float32 whatever the logits are. The
curves' coefficients and formulas are those of ``tables``.

Arguments of both kernels. logits (N, C, R, Q) or (N, C, h, w); target (N, R, Q), or (N, C, R, Q)
under SIGMOID; near: (N, R, Q) bytes, or None; tables: of g_and, and of g_or or None (the identity).
places: None, or of rows, then of columns, ``triton.places``. shape: C, R, Q, h, w.
"""

# Triton has no types of its own; a kernel is not called as the function that it is written as.
# mypy: disable-error-code="import-untyped, import-not-found, no-untyped-def, no-untyped-call"
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import torch
import triton
import triton.language as tl

from autoseg_core.native import tables
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
def _others(table, p, PIECES: tl.constexpr):
    """Height and slope of g_or, the identity without a table."""
    if table is None:
        return p, 1.0
    else:
        return _value_and_slope(table, p, PIECES)


@triton.jit
def _rectangle(index, places, shape, BLOCK_P: tl.constexpr):
    """Top, left, width and number of pixels of the rectangle with this index."""
    if places is None:
        across = tl.cdiv(shape[2], BLOCK_P)
        return index // across, index % across * BLOCK_P, BLOCK_P, BLOCK_P
    else:
        row, column = places[0] + index // shape[4], places[2] + index % shape[4]
        top, left = tl.load(row), tl.load(column)
        width = tl.load(column + 1) - left
        return top, left, width, (tl.load(row + 1) - top) * width


@triton.jit
def _logits(logits, strides, index, places, shape, known, c, row, column, inside):
    """Logits of a tile's pixels, (BLOCK_C, BLOCK_P)."""
    if places is None:
        place = c * strides[1] + row * strides[2] + column * strides[3]
        mask = known & inside
        x = tl.load(logits + place, mask=mask, other=float("-inf")).to(tl.float32)
    else:
        i, j = index // shape[4], index % shape[4]
        below, right = tl.minimum(i + 1, shape[3] - 1), tl.minimum(j + 1, shape[4] - 1)
        upper, lower = logits + c * strides[1] + i * strides[2], logits + c * strides[1]
        lower += below * strides[2]
        down = tl.load(places[1] + row, mask=inside, other=0.0)
        over = tl.load(places[3] + column, mask=inside, other=0.0)
        x = (1 - down) * tl.load(upper + j * strides[3], mask=known, other=0.0).to(tl.float32)
        x += down * tl.load(lower + j * strides[3], mask=known, other=0.0).to(tl.float32)
        y = (1 - down) * tl.load(upper + right * strides[3], mask=known, other=0.0).to(tl.float32)
        y += down * tl.load(lower + right * strides[3], mask=known, other=0.0).to(tl.float32)
        x = tl.where(known, (1 - over) * x + over * y, float("-inf"))
    return x


@triton.jit
def _pixels(
    logits,
    logits_strides,
    target,
    target_strides,
    near,
    index,
    start,
    places,
    shape,
    image,
    ignore,
    SIGMOID: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """A tile: probabilities, own pixels, those of others, (BLOCK_C, BLOCK_P); places; bad labels.

    Probabilities may be anything, also NaN, where a pixel is neither a class's own nor another's.
    Masked there and not before: a mask that differs from pixel to pixel would keep the load of the
    logits from taking vectors.
    """
    c = tl.arange(0, BLOCK_C)[:, None].to(tl.int64)  # offsets may exceed 2^31
    known = c < shape[0]
    top, left, width, count = _rectangle(index, places, shape, BLOCK_P)
    k = start + tl.arange(0, BLOCK_P)[None, :]
    if places is None:
        row, column = top.to(tl.int64), (left + k).to(tl.int64)
        inside = column < shape[2]
    else:
        row, column = (top + k // width).to(tl.int64), (left + k % width).to(tl.int64)
        inside = k < count
    x = _logits(
        logits + image * logits_strides[0],
        *(logits_strides, index, places, shape, known, c, row, column, inside),
    )
    place = image * target_strides[0] + row * target_strides[2] + column * target_strides[3]
    if SIGMOID:
        inside = known & inside
        place += c * target_strides[1]
        p = tl.div_rn(1.0, 1 + tl.exp(-x))
    else:
        power = tl.exp(x - tl.max(x, axis=0)[None, :])
        # Rounded to nearest: a sum of 1 must give the probability 1, where the curve ends exactly.
        p = power * tl.div_rn(1.0, tl.sum(power, axis=0))[None, :]
    label = tl.load(target + place, mask=inside, other=0)
    valid = inside & (label.to(tl.int64) != ignore)
    kinds = 2 if SIGMOID else shape[0]
    bad = valid & ((label < 0) | (label.to(tl.int64) >= kinds))
    if near is not None:
        place = (image * shape[1] + row) * shape[2] + column
        valid = valid & (tl.load(near + place, mask=inside, other=0) != 0)
    own = label == 1 if SIGMOID else label == c
    return p, valid & own, valid & known & ~own, row, column, inside, bad


@triton.jit
def sums_kernel(
    logits,
    logits_strides,
    target,
    target_strides,
    near,
    places,
    shape,
    ignore,
    and_table,
    or_table,
    partial,
    rectangles,
    programs,
    SIGMOID: tl.constexpr,
    AND_PIECES: tl.constexpr,
    OR_PIECES: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """Sums over the program's rectangles, one row (5, C) of ``partial``.

    g_and(own), g_or(others), own pixels, pixels that count, bad labels. The caller adds the rows in
    a fixed order; no atomics.
    """
    program = tl.program_id(0)
    image = (program // programs).to(tl.int64)
    found = tl.zeros((BLOCK_C,), tl.float32)
    claimed, truth = found, found
    pixels, wrong = found, found
    for index in range(program % programs, rectangles, programs):
        count = _rectangle(index, places, shape, BLOCK_P)[3]
        for start in range(0, count, BLOCK_P):
            p, own, other, _, _, _, bad = _pixels(
                *(logits, logits_strides, target, target_strides, near),
                *(index, start, places, shape, image, ignore, SIGMOID, BLOCK_C, BLOCK_P),
            )
            if SIGMOID:
                height = _value_and_slope(and_table, p, AND_PIECES)[0]
            else:  # a pixel's own class alone
                mine = tl.sum(tl.where(own, p, 0.0), axis=0)[None, :]
                height = _value_and_slope(and_table, mine, AND_PIECES)[0]
            found += tl.sum(tl.where(own, height, 0.0), axis=1)
            claimed += tl.sum(tl.where(other, _others(or_table, p, OR_PIECES)[0], 0.0), axis=1)
            truth += tl.sum(own.to(tl.float32), axis=1)
            pixels += tl.sum((own | other).to(tl.float32), axis=1)
            wrong += tl.sum(bad.to(tl.float32))
    c = tl.arange(0, BLOCK_C)
    row, known = partial + program.to(tl.int64) * 5 * shape[0] + c, c < shape[0]
    tl.store(row, found, mask=known)
    tl.store(row + shape[0], claimed, mask=known)
    tl.store(row + 2 * shape[0], truth, mask=known)
    tl.store(row + 3 * shape[0], pixels, mask=known)
    tl.store(row + 4 * shape[0], wrong, mask=known)


@triton.jit
def gradient_kernel(
    logits,
    logits_strides,
    target,
    target_strides,
    near,
    places,
    shape,
    ignore,
    and_table,
    or_table,
    upstream,
    gradient,
    gradient_strides,
    rectangles,
    programs,
    SIGMOID: tl.constexpr,
    AND_PIECES: tl.constexpr,
    OR_PIECES: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """Gradient in the logits, from that of the sums (2, C); probabilities are computed anew.

    dp_c = dI_c g_and'(p_c) for a class's own pixels and dU'_c g_or'(p_c) for the others;
    dlogit_c = p_c (dp_c - sum_k p_k dp_k), or p_c (1 - p_c) dp_c, exactly 0 at masked pixels.
    Of logits yet to be upsampled: what a rectangle's four logits get from it, (2, 2, N, h, w, C).
    """
    program = tl.program_id(0)
    image = (program // programs).to(tl.int64)
    c = tl.arange(0, BLOCK_C)[:, None]
    known = c < shape[0]
    for_found = tl.load(upstream + c, mask=known, other=0.0)
    for_claimed = tl.load(upstream + shape[0] + c, mask=known, other=0.0)
    out = gradient + image * gradient_strides[0] + c.to(tl.int64) * gradient_strides[1]
    for index in range(program % programs, rectangles, programs):
        count = _rectangle(index, places, shape, BLOCK_P)[3]
        upper_left = tl.zeros((BLOCK_C, 1), tl.float32)
        upper_right, lower_left, lower_right = upper_left, upper_left, upper_left
        for start in range(0, count, BLOCK_P):
            p, own, other, row, column, inside, _ = _pixels(
                *(logits, logits_strides, target, target_strides, near),
                *(index, start, places, shape, image, ignore, SIGMOID, BLOCK_C, BLOCK_P),
            )
            if SIGMOID:
                slope = _value_and_slope(and_table, p, AND_PIECES)[1]
            else:
                mine = tl.sum(tl.where(own, p, 0.0), axis=0)[None, :]
                slope = _value_and_slope(and_table, mine, AND_PIECES)[1]
            others = for_claimed * _others(or_table, p, OR_PIECES)[1]
            dp = tl.where(own, for_found * slope, others)
            mean = p * dp if SIGMOID else tl.sum(p * dp, axis=0)[None, :]
            into = p * (dp - mean)
            into = tl.where(own | other, into, 0.0)
            if places is None:
                place = out + row * gradient_strides[2] + column * gradient_strides[3]
                tl.store(place, into.to(gradient.dtype.element_ty), mask=known & inside)
            else:
                down = tl.load(places[1] + row, mask=inside, other=0.0)
                over = tl.load(places[3] + column, mask=inside, other=0.0)
                upper, lower = (1 - down) * into, down * into
                upper_left += tl.sum((1 - over) * upper, axis=1)[:, None]
                upper_right += tl.sum(over * upper, axis=1)[:, None]
                lower_left += tl.sum((1 - over) * lower, axis=1)[:, None]
                lower_right += tl.sum(over * lower, axis=1)[:, None]
        if places is not None:
            place = out + index * gradient_strides[2]
            corner = gradient_strides[3]
            tl.store(place, upper_left, mask=known)
            tl.store(place + corner, upper_right, mask=known)
            tl.store(place + 2 * corner, lower_left, mask=known)
            tl.store(place + 3 * corner, lower_right, mask=known)
