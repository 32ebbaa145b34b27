"""Counts of the terms -> their scores -> the loss: the cheap part after counting.

N: images; T: terms of a spec. Scores are scalars in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add, mul

import torch
from torch import Tensor

from autoseg_core.counts import Counts
from autoseg_core.numerics import safe_divide
from autoseg_core.scores import AbsentRule, get_metric, present_classes
from autoseg_core.spec import LossSpec, LossTerm

_ABSENT: dict[str, AbsentRule] = {"ignore": "target", "zero": "none"}


def term_scores(spec: LossSpec, counts: Sequence[Counts]) -> tuple[list[Tensor], list[Tensor]]:
    """T scores, 1 if a term has no class to score; and T bools, whether it has one.

    Raises ``ValueError`` for a score without a gradient.
    """
    pairs = [_score(term, found) for term, found in zip(spec.terms, counts, strict=True)]
    scores, seen = zip(*pairs, strict=True)
    return list(scores), list(seen)


def mean_scores(images: Sequence[tuple[list[Tensor], list[Tensor]]]) -> Sequence[Tensor]:
    """T means of the ``term_scores`` of N >= 1 images, over images with a class to score."""
    scores, seen = (
        torch.stack([torch.stack(parts) for parts in p]) for p in zip(*images, strict=True)
    )
    mean = safe_divide((scores * seen).sum(0), seen.sum(0).to(scores.dtype))
    return torch.where(seen.any(0), mean, 1.0).unbind()


def combined_loss(spec: LossSpec, scores: Sequence[Tensor]) -> Tensor:
    """The loss, given T scores.

    ``spec.scale`` times the sum of ``weight * (1 - score)``, or times 1 - the product of scores.
    """
    if spec.combine == "product":  # the backward of torch.prod searches for zeros on the host
        return spec.scale * (1 - reduce(mul, scores))
    parts = (t.weight * (1 - s) for t, s in zip(spec.terms, scores, strict=True))
    return spec.scale * reduce(add, parts)


def _score(term: LossTerm, counts: Counts) -> tuple[Tensor, Tensor]:
    metric = get_metric(term.metric)
    present = present_classes(metric, counts, _ABSENT[term.absent], term.drop_background)
    seen = present_classes(metric, counts, "target", term.drop_background).any()
    score = metric.score(counts, present)
    if not score.requires_grad and any(count.requires_grad for count in counts.tensors()):
        raise ValueError(
            f"The score of {term.metric} has no gradient, so nothing can be trained with it: it "
            "must be computed from the counts without comparisons, rounding or detach()."
        )
    return torch.where(seen, score, torch.ones_like(score)), seen
