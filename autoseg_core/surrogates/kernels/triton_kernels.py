"""Soft region counts in Triton: what runs on the device. Only ``triton.py`` imports this module.

N: images; C: classes; P: pixels of an image; G: pieces of a curve. BLOCK_C: the power of two from C
on; BLOCK_P: pixels of a tile. A program strides over tiles of (BLOCK_C, BLOCK_P) within an image;
it holds all classes of its pixels, so one read of the logits is enough for softmax, curves and
sums. Arithmetic is float32 whatever the logits are. A curve is a (G, 8) table, see ``triton.py``.
"""

# Triton has no types of its own; a kernel is not called as the function that it is written as.
# mypy: disable-error-code="import-untyped, import-not-found, no-untyped-def, no-untyped-call"
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import torch
import triton
import triton.language as tl

from autoseg_core.numerics import eps

COLUMNS = tl.constexpr(8)
FLOOR = tl.constexpr(eps(torch.float32))


@triton.jit
def _piece(table, x, PIECES: tl.constexpr):
    """Coefficients (start, 1 / width, a, b, v0, v1, v2) of the piece that each x falls into."""
    start, scale = tl.load(table), tl.load(table + 1)
    a, b = tl.load(table + 2), tl.load(table + 3)
    v0, v1, v2 = tl.load(table + 4), tl.load(table + 5), tl.load(table + 6)
    for k in tl.static_range(1, PIECES):
        row = table + k * COLUMNS
        later = x >= tl.load(row)
        start, scale = tl.where(later, tl.load(row), start), tl.where(later, tl.load(row + 1), scale)
        a, b = tl.where(later, tl.load(row + 2), a), tl.where(later, tl.load(row + 3), b)
        v0, v1 = tl.where(later, tl.load(row + 4), v0), tl.where(later, tl.load(row + 5), v1)
        v2 = tl.where(later, tl.load(row + 6), v2)
    return start, scale, a, b, v0, v1, v2


@triton.jit
def _value(table, x, PIECES: tl.constexpr):
    """Height of the curve; ``bezier.value``."""
    start, scale, a, b, v0, v1, v2 = _piece(table, x, PIECES)
    # No clamp of s: start <= x makes it non-negative, and an ulp above 1 does no harm.
    s = (x - start) * scale
    y = a * a * (1 - s) + b * b * s
    t = s / (a + tl.sqrt(tl.maximum(y, FLOOR)))
    inside = v0 + t * (v1 + t * v2)
    first, last = tl.load(table + 4), tl.load(table + (PIECES - 1) * COLUMNS + 7)
    return tl.where(x <= 0, first, tl.where(x >= 1, last, inside))


@triton.jit
def _slope(table, x, PIECES: tl.constexpr):
    """Derivative of ``_value`` as autograd takes it, which is not quite ``bezier.slope``.

    0 at and beyond both ends. With t = s / (a + r) and r = sqrt(y): dt/ds is 1 / (2 r), but
    1 / (a + r) where the floor of y binds and r does not move; at y = floor it still moves.
    """
    start, scale, a, b, _, v1, v2 = _piece(table, x, PIECES)
    s = (x - start) * scale
    y = a * a * (1 - s) + b * b * s
    inverse_root = tl.rsqrt(tl.maximum(y, FLOOR))
    held = 1 / (a + tl.maximum(y, FLOOR) * inverse_root)
    turn = tl.where(y < FLOOR, held, 0.5 * inverse_root)
    inside = (v1 + 2 * (s * held) * v2) * scale * turn
    return tl.where((x <= 0) | (x >= 1), 0.0, inside)


@triton.jit
def _place(block, pixels, BLOCK_P: tl.constexpr):
    """Image and pixels (BLOCK_P,) of a tile, in int64: offsets may exceed 2^31."""
    blocks = tl.cdiv(pixels, BLOCK_P)
    image = (block // blocks).to(tl.int64)
    pixel = ((block % blocks) * BLOCK_P + tl.arange(0, BLOCK_P)).to(tl.int64)
    return image, pixel


@triton.jit
def _label(labels, image, pixel, pixels, stride_n, stride_p):
    """Labels (BLOCK_P,), -1 where there is no pixel."""
    return tl.load(labels + image * stride_n + pixel * stride_p, mask=pixel < pixels, other=-1)


@triton.jit
def _softmax(logits, valid, inside):
    """Probabilities of a tile of pointers; zeros stand in for masked logits, which may be NaN."""
    # The label has no say in the mask of the load: that would keep it from loading vectors.
    x = tl.load(logits, mask=inside, other=float("-inf")).to(tl.float32)
    x = tl.where(valid[None, :], x, 0.0)
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
    tiles,
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
    """One row (2, C) of ``partial`` for each program: I and U' of its tiles.

    OR_PIECES 0: the identity curve. Rows are summed by the caller, in a fixed order; there are no
    atomics.
    """
    c = tl.arange(0, BLOCK_C)
    known = c < classes
    found = tl.zeros((BLOCK_C,), tl.float32)
    claimed = tl.zeros((BLOCK_C,), tl.float32)
    for block in range(tl.program_id(0), tiles, tl.num_programs(0)):
        image, pixel = _place(block, pixels, BLOCK_P)
        label = _label(labels, image, pixel, pixels, labels_n, labels_p)
        valid = label >= 0
        tile = logits + image * logits_n + c.to(tl.int64)[:, None] * logits_c
        inside = known[:, None] & (pixel < pixels)[None, :]
        p = _softmax(tile + pixel[None, :] * logits_p, valid, inside)
        own = c[:, None] == label[None, :]
        height = _value(and_table, tl.sum(tl.where(own, p, 0.0), axis=0), AND_PIECES)
        found += tl.sum(tl.where(own, height[None, :], 0.0), axis=1)
        if OR_PIECES > 0:
            p = _value(or_table, p, OR_PIECES)
        claimed += tl.sum(tl.where(valid[None, :] & ~own, p, 0.0), axis=1)
    row = partial + tl.program_id(0).to(tl.int64) * 2 * classes + c
    tl.store(row, found, mask=known)
    tl.store(row + classes, claimed, mask=known)


@triton.jit
def gradient_kernel(
    logits,
    labels,
    and_table,
    or_table,
    found_gradient,
    claimed_gradient,
    gradient,
    classes,
    pixels,
    tiles,
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
    """Gradient in the logits, from dI and dU' (C,); the softmax is computed anew.

    dp_c = dI_c g_and'(p_c) for the pixel's own class and dU'_c g_or'(p_c) for the others;
    dlogit_c = p_c (dp_c - sum_k p_k dp_k), exactly 0 at masked pixels.
    """
    c = tl.arange(0, BLOCK_C)
    known = c < classes
    for_found = tl.load(found_gradient + c, mask=known, other=0.0)[:, None]
    for_claimed = tl.load(claimed_gradient + c, mask=known, other=0.0)[:, None]
    for block in range(tl.program_id(0), tiles, tl.num_programs(0)):
        image, pixel = _place(block, pixels, BLOCK_P)
        label = _label(labels, image, pixel, pixels, labels_n, labels_p)
        valid = label >= 0
        tile = logits + image * logits_n + c.to(tl.int64)[:, None] * logits_c
        inside = known[:, None] & (pixel < pixels)[None, :]
        p = _softmax(tile + pixel[None, :] * logits_p, valid, inside)
        own = c[:, None] == label[None, :]
        slope = _slope(and_table, tl.sum(tl.where(own, p, 0.0), axis=0), AND_PIECES)
        others = for_claimed
        if OR_PIECES > 0:
            others = for_claimed * _slope(or_table, p, OR_PIECES)
        dp = tl.where(own, for_found * slope[None, :], others)
        into = p * (dp - tl.sum(p * dp, axis=0)[None, :])
        into = tl.where(valid[None, :], into, 0.0)
        tile = gradient + image * gradient_n + c.to(tl.int64)[:, None] * gradient_c
        where = tile + pixel[None, :] * gradient_p
        tl.store(where, into.to(gradient.dtype.element_ty), mask=inside)
