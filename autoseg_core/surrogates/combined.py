"""The loss of several terms, from their surrogate scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add, mul

from torch import Tensor

from autoseg_core.spec import LossSpec


def combined_loss(spec: LossSpec, scores: Sequence[Tensor]) -> Tensor:
    """``spec.combine`` of the terms' scores, scalars in [0, 1]: what is to be minimised.

    A sum is that of ``weight * (1 - score)``, a product 1 - the product of the scores.
    """
    if spec.combine == "product":
        return 1 - reduce(mul, scores)  # the backward of torch.prod looks for zeros on the host
    return reduce(add, (t.weight * (1 - s) for t, s in zip(spec.terms, scores, strict=True)))
