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
    """Coefficients (start, scale, a, v0, v1, v2) of the piece that each x falls into."""
    start, scale, a = tl.load(table), tl.load(table + 1), tl.load(table + 2)
    v0, v1, v2 = tl.load(table + 3), tl.load(table + 4), tl.load(table + 5)
    for k in tl.static_range(1, PIECES):
        row = table + k * COLUMNS
        later = x >= tl.load(row)
        start = tl.where(later, tl.load(row), start)
        scale = tl.where(later, tl.load(row + 1), scale)
        a = tl.where(later, tl.load(row + 2), a)
        v0 = tl.where(later, tl.load(row + 3), v0)
        v1 = tl.where(later, tl.load(row + 4), v1)
        v2 = tl.where(later, tl.load(row + 5), v2)
    return start, scale, a, v0, v1, v2


@triton.jit
def _under_root(a, s):
    """y of ``surfaces.bezier``, before its floor."""
    return a * a * (1 - s) + (1 - a) * (1 - a) * s


@triton.jit
def _value(table, x, PIECES: tl.constexpr):
    """Height of the curve; ``bezier.value``."""
    start, scale, a, v0, v1, v2 = _piece(table, x, PIECES)
    # No clamp of s: start <= x makes it non-negative, and an ulp above 1 does no harm.
    s = (x - start) * scale
    t = s / (a + tl.sqrt(tl.maximum(_under_root(a, s), FLOOR)))
    inside = v0 + t * (v1 + t * v2)
    first, last = tl.load(table + 3), tl.load(table + PIECES * COLUMNS - 1)
    return tl.where(x <= 0, first, tl.where(x >= 1, last, inside))


@triton.jit
def _slope(table, x, PIECES: tl.constexpr):
    """Derivative of ``_value`` as autograd takes it, which is not quite ``bezier.slope``.

    0 at and beyond both ends. With t = s / (a + r) and r = sqrt(y): dt/ds is 1 / (2 r), but
    1 / (a + r) where the floor of y binds and r does not move; at y = floor it still moves.
    """
    start, scale, a, _, v1, v2 = _piece(table, x, PIECES)
    s = (x - start) * scale
    y = _under_root(a, s)
    kept = tl.maximum(y, FLOOR)
    inverse_root = tl.rsqrt(kept)
    held = 1 / (a + kept * inverse_root)
    turn = tl.where(y < FLOOR, held, 0.5 * inverse_root)
    inside = (v1 + 2 * (s * held) * v2) * scale * turn
    return tl.where((x <= 0) | (x >= 1), 0.0, inside)


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
        p = _softmax(rows + pixel[None, :] * logits_p, valid, inside)
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
    """Gradient in the logits, from that of each image's sums (N, 2, C); softmax computed anew.

    dp_c = dI_c g_and'(p_c) for the pixel's own class and dU'_c g_or'(p_c) for the others;
    dlogit_c = p_c (dp_c - sum_k p_k dp_k), exactly 0 at masked pixels.
    """
    program = tl.program_id(0)
    image = (program // programs).to(tl.int64)
    c = tl.arange(0, BLOCK_C)
    known = c < classes
    rows = logits + image * logits_n + c.to(tl.int64)[:, None] * logits_c
    rows_out = gradient + image * gradient_n + c.to(tl.int64)[:, None] * gradient_c
    row = upstream + image * 2 * classes + c
    for_found = tl.load(row, mask=known, other=0.0)[:, None]
    for_claimed = tl.load(row + classes, mask=known, other=0.0)[:, None]
    for tile in range(program % programs, tl.cdiv(pixels, BLOCK_P), programs):
        pixel = (tile * BLOCK_P + tl.arange(0, BLOCK_P)).to(tl.int64)
        place = labels + image * labels_n + pixel * labels_p
        label = tl.load(place, mask=pixel < pixels, other=-1)
        valid = label >= 0
        inside = known[:, None] & (pixel < pixels)[None, :]
        p = _softmax(rows + pixel[None, :] * logits_p, valid, inside)
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
