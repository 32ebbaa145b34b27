"""Soft region counts in Triton: what runs on the device. Only ``triton.py`` imports this module.

N: images; C: classes; P: pixels of an image. BLOCK_C: the power of two from C on; BLOCK_P: pixels
of a tile. A program strides over the tiles (BLOCK_C, BLOCK_P) of one image; it holds all classes of
its pixels, so one read of the logits is enough for softmax, curves and sums. Arithmetic is float32
whatever the logits are. The curves' coefficients and formulas are those of ``tables``.
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
def _parameter(table, x, PIECES: tl.constexpr):
    """s, a, q and a + r; ``tables``."""
    # No clamp of s: u0 <= x makes it non-negative, and an ulp above 1 does no harm.
    s = (x - _picked(table, x, U0, PIECES)) * _picked(table, x, SCALE, PIECES)
    a, rest = _picked(table, x, A, PIECES), _picked(table, x, A_REST, PIECES)
    y = a * a * (1 - s) + rest * rest * s
    floored = tl.sqrt(tl.maximum(y, FLOOR))
    return s, a, floored, a + 0.5 * (floored + y / floored)


@triton.jit
def _value(table, x, PIECES: tl.constexpr):
    """Height of the curve; ``tables.value``."""
    s, _, _, root = _parameter(table, x, PIECES)
    t = s / root
    rise = _picked(table, x, B, PIECES) + t * _picked(table, x, C, PIECES)
    inside = _picked(table, x, V0, PIECES) + t * rise
    first, last = tl.load(table + V0), tl.load(table + (PIECES - 1) * COLUMNS + V2)
    return tl.where(x <= 0, first, tl.where(x >= 1, last, inside))


@triton.jit
def _slope(table, x, PIECES: tl.constexpr):
    """Derivative of ``_value``, 0 at and beyond both ends; ``tables.slope``."""
    s, a, floored, root = _parameter(table, x, PIECES)
    t = s / root
    speed = (1 - t * (_picked(table, x, A_REST, PIECES) - a) / (2 * floored)) / root
    b, c = _picked(table, x, B, PIECES), _picked(table, x, C, PIECES)
    inside = (b + 2 * t * c) * _picked(table, x, SCALE, PIECES) * speed
    return tl.where((x <= 0) | (x >= 1), 0.0, inside)


@triton.jit
def _softmax(logits, inside):
    """Probabilities of a tile of pointers; anything, also NaN, at masked pixels."""
    # Masked where pixels are summed, not here by the label: a mask that differs from pixel to pixel
    # would keep the load from taking vectors.
    x = tl.load(logits, mask=inside, other=float("-inf")).to(tl.float32)
    power = tl.exp(x - tl.max(x, axis=0)[None, :])
    # Rounded to nearest: a sum of 1 must give the probability 1, where the curve ends exactly.
    return power * tl.div_rn(1.0, tl.sum(power, axis=0))[None, :]


@triton.jit
def sums_kernel(
    logits,
    labels,
    and_table,
    or_table,
    partial,
    classes,
    pixels,
    programs,
    logits_n,
    logits_c,
    logits_p,
    labels_n,
    labels_p,
    AND_PIECES: tl.constexpr,
    OR_PIECES: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """Sums over the program's tiles, one row (2, C) of ``partial``: g_and(own), g_or(others).

    OR_PIECES 0: the identity curve. The caller adds the rows in a fixed order; no atomics.
    """
    program = tl.program_id(0)
    image = (program // programs).to(tl.int64)  # offsets may exceed 2^31
    c = tl.arange(0, BLOCK_C)
    known = c < classes
    rows = logits + image * logits_n + c.to(tl.int64)[:, None] * logits_c
    found = tl.zeros((BLOCK_C,), tl.float32)
    claimed = tl.zeros((BLOCK_C,), tl.float32)
    for tile in range(program % programs, tl.cdiv(pixels, BLOCK_P), programs):
        pixel = (tile * BLOCK_P + tl.arange(0, BLOCK_P)).to(tl.int64)
        place = labels + image * labels_n + pixel * labels_p
        label = tl.load(place, mask=pixel < pixels, other=-1)
        valid = label >= 0
        inside = known[:, None] & (pixel < pixels)[None, :]
        p = _softmax(rows + pixel[None, :] * logits_p, inside)
        own = c[:, None] == label[None, :]
        height = _value(and_table, tl.sum(tl.where(own, p, 0.0), axis=0), AND_PIECES)
        found += tl.sum(tl.where(own, height[None, :], 0.0), axis=1)
        if OR_PIECES > 0:
            p = _value(or_table, p, OR_PIECES)
        claimed += tl.sum(tl.where(valid[None, :] & ~own, p, 0.0), axis=1)
    row = partial + program.to(tl.int64) * 2 * classes + c
    tl.store(row, found, mask=known)
    tl.store(row + classes, claimed, mask=known)


@triton.jit
def gradient_kernel(
    logits,
    labels,
    and_table,
    or_table,
    upstream,
    gradient,
    classes,
    pixels,
    programs,
    logits_n,
    logits_c,
    logits_p,
    labels_n,
    labels_p,
    gradient_n,
    gradient_c,
    gradient_p,
    AND_PIECES: tl.constexpr,
    OR_PIECES: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """Gradient in the logits, from that of the sums (2, C); the softmax is computed anew.

    dp_c = dI_c g_and'(p_c) for the pixel's own class and dU'_c g_or'(p_c) for the others;
    dlogit_c = p_c (dp_c - sum_k p_k dp_k), exactly 0 at masked pixels.
    """
    program = tl.program_id(0)
    image = (program // programs).to(tl.int64)
    c = tl.arange(0, BLOCK_C)
    known = c < classes
    rows = logits + image * logits_n + c.to(tl.int64)[:, None] * logits_c
    rows_out = gradient + image * gradient_n + c.to(tl.int64)[:, None] * gradient_c
    row = upstream + c
    for_found = tl.load(row, mask=known, other=0.0)[:, None]
    for_claimed = tl.load(row + classes, mask=known, other=0.0)[:, None]
    for tile in range(program % programs, tl.cdiv(pixels, BLOCK_P), programs):
        pixel = (tile * BLOCK_P + tl.arange(0, BLOCK_P)).to(tl.int64)
        place = labels + image * labels_n + pixel * labels_p
        label = tl.load(place, mask=pixel < pixels, other=-1)
        valid = label >= 0
        inside = known[:, None] & (pixel < pixels)[None, :]
        p = _softmax(rows + pixel[None, :] * logits_p, inside)
        own = c[:, None] == label[None, :]
        slope = _slope(and_table, tl.sum(tl.where(own, p, 0.0), axis=0), AND_PIECES)
        others = for_claimed
        if OR_PIECES > 0:
            others = for_claimed * _slope(or_table, p, OR_PIECES)
        dp = tl.where(own, for_found * slope[None, :], others)
        into = p * (dp - tl.sum(p * dp, axis=0)[None, :])
        into = tl.where(valid[None, :], into, 0.0)
        target = rows_out + pixel[None, :] * gradient_p
        tl.store(target, into.to(gradient.dtype.element_ty), mask=inside)
