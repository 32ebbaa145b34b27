"""Counts part by part, each computed again in the backward pass instead of being kept.

N: images; C: classes; "...": pixels, of two or three sides. A part is some 1/32 of the logits
(of small ones more: 2^16 numbers, on a GPU, where each operation is a launch, 2^22), but at least a
row of pixels, or one class of one image. The readable reference holds 45 to 100 times as many
numbers for the backward pass as it looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from operator import add
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from autoseg_core.counts import Counts

MOST = 64
Count = Callable[..., Counts]


def recomputed(count: Count, *arguments: Any) -> Counts:
    """``count(*arguments)``, of which nothing else is kept."""
    result: Counts = checkpoint(count, *arguments, use_reentrant=False, preserve_rng_state=False)
    return result


def by_rows(count: Count, logits: Tensor, *maps: Tensor) -> Counts:
    """The sum of ``count(logits, *maps)`` over rows of pixels, for what looks at no neighbours.

    logits: (N, C, ...). maps: of the same pixels.
    """
    rows = -(-logits.shape[-2] // _number(logits))
    parts = zip(*(x.split(rows, dim=-2) for x in (logits, *maps)), strict=True)
    return reduce(add, [recomputed(count, *part) for part in parts])


def by_classes(count: Count, probability: Tensor, target: Tensor, *maps: Tensor) -> Counts:
    """``count(probability, target, *maps)`` of a few classes of an image at a time.

    probability: (N, C, H, W). target: (N, H, W) int64. ``count`` must see in labels below 0 and
    from its own C on none but neighbours: those of a part's first class become 0.
    """
    images, classes = probability.shape[:2]
    step = -(-images * classes // _number(probability))

    def of_few(first: int, p: Tensor, labels: Tensor, *maps: Tensor) -> Counts:
        return count(p, labels - first, *maps)

    def of_image(image: Tensor, labels: Tensor, *maps: Tensor) -> Counts:
        few = enumerate(image.split(step, dim=1))
        parts = [recomputed(partial(of_few, k * step), p, labels, *maps) for k, p in few]
        fields = zip(*(part.tensors() for part in parts), strict=True)
        return type(parts[0])(*map(torch.cat, fields))

    split = zip(*(x.split(1) for x in (probability, target, *maps)), strict=True)
    return reduce(add, [of_image(*image) for image in split])


def _number(values: Tensor) -> int:
    least = 2**16 if values.device.type == "cpu" else 2**22
    return max(1, min(MOST, values.numel() // least))
