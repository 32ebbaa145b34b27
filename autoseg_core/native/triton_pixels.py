"""The pixels that the Triton kernels read: tiles of logits, upsampled on the fly, and labels.

Only ``triton_kernels`` imports this module; its letters hold here too, except within a tile.
"""

# Triton is untyped, and a kernel is not called with the signature that it is written with.
# mypy: disable-error-code="import-untyped, import-not-found, no-untyped-def, no-untyped-call"
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def rectangle(problem, index, BLOCK_P: tl.constexpr):
    """Top, left, width and number of pixels of the rectangle with this index."""
    if problem.places is None:
        across = tl.cdiv(problem.shape[2], BLOCK_P)
        return index // across, index % across * BLOCK_P, BLOCK_P, BLOCK_P
    else:
        columns = problem.shape[4]
        row, column = problem.places[0] + index // columns, problem.places[2] + index % columns
        top, left = tl.load(row), tl.load(column)
        width = tl.load(column + 1) - left
        return top, left, width, (tl.load(row + 1) - top) * width


@triton.jit
def weights(problem, row, column, inside):
    """How near each pixel is to the logits below and to those on the right, in [0, 1]."""
    down = tl.load(problem.places[1] + row, mask=inside, other=0.0)
    return down, tl.load(problem.places[3] + column, mask=inside, other=0.0)


@triton.jit
def _upsampled(problem, logits, index, down, over, known):
    """Logits of pixels between the four logits of a rectangle. logits: pointers, of each class."""
    # 64 bits: offsets may exceed 2^31.
    i = tl.cast(index // problem.shape[4], tl.int64)
    j = tl.cast(index % problem.shape[4], tl.int64)
    below = tl.minimum(i + 1, problem.shape[3] - 1)
    right = tl.minimum(j + 1, problem.shape[4] - 1) * problem.logits.strides[3]
    left = j * problem.logits.strides[3]
    upper = logits + i * problem.logits.strides[2]
    lower = logits + below * problem.logits.strides[2]
    x = (1 - down) * tl.load(upper + left, mask=known, other=0.0).to(tl.float32)
    x += down * tl.load(lower + left, mask=known, other=0.0).to(tl.float32)
    y = (1 - down) * tl.load(upper + right, mask=known, other=0.0).to(tl.float32)
    y += down * tl.load(lower + right, mask=known, other=0.0).to(tl.float32)
    return tl.where(known, (1 - over) * x + over * y, float("-inf"))


@triton.jit
def read_tile(
    problem,
    image,
    index,
    start,
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
    known = c < problem.shape[0]
    top, left, width, count = rectangle(problem, index, BLOCK_P)
    k = start + tl.arange(0, BLOCK_P)[None, :]
    strides = problem.logits.strides
    logits = problem.logits.pointer + image * strides[0] + c * strides[1]
    if problem.places is None:
        row, column = top.to(tl.int64), (left + k).to(tl.int64)
        inside = column < problem.shape[2]
        place = logits + row * strides[2] + column * strides[3]
        x = tl.load(place, mask=known & inside, other=float("-inf")).to(tl.float32)
    else:
        row, column = (top + k // width).to(tl.int64), (left + k % width).to(tl.int64)
        inside = k < count
        down, over = weights(problem, row, column, inside)
        x = _upsampled(problem, logits, index, down, over, known)
    strides = problem.target.strides
    place = image * strides[0] + row * strides[2] + column * strides[3]
    if SIGMOID:
        inside = known & inside
        place += c * strides[1]
        p = tl.div_rn(1.0, 1 + tl.exp(-x))
    else:
        power = tl.exp(x - tl.max(x, axis=0)[None, :])
        # Rounded to nearest: a sum of 1 must give the probability 1, the exact end of the curve.
        p = power * tl.div_rn(1.0, tl.sum(power, axis=0))[None, :]
    label = tl.load(problem.target.pointer + place, mask=inside, other=0)
    valid = inside & (label.to(tl.int64) != problem.ignore)
    kinds = 2 if SIGMOID else problem.shape[0]
    bad = valid & ((label < 0) | (label.to(tl.int64) >= kinds))
    own = label == 1 if SIGMOID else label == c
    return p, valid & own, valid & known & ~own, row, column, inside, bad
