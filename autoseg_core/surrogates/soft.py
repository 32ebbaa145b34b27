"""Unsearched surrogates in one call."""

from __future__ import annotations

import re
from typing import Any

from autoseg_core.objective import Objective
from autoseg_core.scores import METRICS, get_metric
from autoseg_core.space import SearchSpace
from autoseg_core.spec import LossSpec
from autoseg_core.surrogates.loss import AutoSegLoss


def soft_spec(objective: str | Objective, **settings: Any) -> LossSpec:
    """The spec of ``soft_loss``; ``settings`` are fields of every ``LossTerm``."""
    space = SearchSpace(objective)
    named = "-".join(["soft", *space.objective.targets])
    name = re.sub(r"[^\w.+-]+", "-", named).strip("-")  # "Fbeta(beta=2)" is not a valid spec name
    return LossSpec.from_theta(name, space, space.identity(), **settings)


def soft_loss(
    objective: str | Objective, *, tolerance: int | None = None, **options: Any
) -> AutoSegLoss:
    """The unsearched surrogate of a metric or objective: all its curves are the identity.

    So ``soft_loss("mIoU")`` is the soft Jaccard loss, ``soft_loss("Dice")`` the soft Dice loss, and
    ``soft_loss("0.7*mIoU+0.3*BF1")`` a mean of two losses. Searches start here.

    Args:
        objective: as ``Objective.parse`` takes it, without constraints.
        tolerance: pixels, for trimap and boundary metrics such as BIoU and BF1. None = 5.
        options: of ``AutoSegLoss``, such as ``ignore_index``.

    Raises ``ValueError`` for an unknown metric or option value, for a tolerance that no metric of
    the objective has, and for constraints, which are not part of a loss.
    """
    parsed = Objective.parse(str(objective))
    if parsed.constraints:
        raise ValueError(
            f"A loss has no constraints: remove what follows the bar in {str(parsed)!r}."
        )
    settings = {} if tolerance is None else {"tolerance": tolerance}
    if settings and not any(get_metric(name).has_tolerance for name in parsed.metrics):
        known = ", ".join(metric.name for metric in METRICS.values() if metric.has_tolerance)
        raise ValueError(f"{parsed} has no tolerance; leave it out. Metrics with one: {known}.")
    return AutoSegLoss(soft_spec(objective, **settings), **options)
