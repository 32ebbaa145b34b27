"""Counts part by part, each recomputed in the backward pass instead of being kept.

N: images; C: classes; "...": pixels, of two or three sides. A part is about 1/32 of the
probabilities, but not less than 2^16 numbers (2^22 on a GPU, where each operation is a launch) or
one class of one image. The readable reference keeps 45 to 100 times as many numbers for the
backward pass as it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import repeat
from operator import add
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from autoseg_core.counts import Counts

MOST = 64
Count = Callable[..., Counts]


def recomputed(count: Count, *arguments: Any) -> Counts:
    """``count(*arguments)``, without keeping intermediate results."""
    result: Counts = checkpoint(count, *arguments, use_reentrant=False, preserve_rng_state=False)
    return result


def by_classes(count: Count, probability: Tensor, *maps: Tensor) -> Counts:
    """``count(probability, *maps)`` of a few classes of an image at a time.

    probability: (N, C, ...). maps: of that shape, or (N, 1, ...).
    """
    images, classes = probability.shape[:2]
    step = -(-images * classes // _number(probability))

    def of_image(*image: Tensor) -> Counts:
        few = (x.split(step, dim=1) if x.shape[1] == classes else repeat(x) for x in image)
        parts = [recomputed(count, *part) for part in zip(*few, strict=False)]
        fields = zip(*(part.tensors() for part in parts), strict=True)
        return type(parts[0])(*map(torch.cat, fields))

    split = zip(*(x.split(1) for x in (probability, *maps)), strict=True)
    return reduce(add, [of_image(*image) for image in split])


def _number(values: Tensor) -> int:
    least = 2**16 if values.device.type == "cpu" else 2**22
    return max(1, min(MOST, values.numel() // least))
