"""Unsearched surrogates in one call."""

from __future__ import annotations

import re
from typing import Any

from autoseg_core.objective import Objective
from autoseg_core.space import SearchSpace
from autoseg_core.spec import LossSpec
from autoseg_core.surrogates.loss import AutoSegLoss


def soft_loss(objective: str | Objective, *, tolerance: int = 5, **options: Any) -> AutoSegLoss:
    """The surrogate of a metric or objective before any search: all its curves are the identity.

    So ``soft_loss("mIoU")`` is the soft Jaccard loss, ``soft_loss("Dice")`` the soft Dice loss, and
    ``soft_loss("0.7*mIoU+0.3*BF1")`` a mean of two losses. Searches start here.

    Args:
        objective: as ``Objective.parse`` takes it. Constraints are no part of a loss.
        tolerance: pixels, of BIoU and BF1.
        options: of ``AutoSegLoss``, ``ignore_index`` among them.

    Raises ``ValueError`` for an unknown metric or option value.
    """
    space = SearchSpace(objective)
    named = "-".join(["soft", *space.objective.targets])
    name = re.sub(r"[^\w.+-]+", "-", named).strip("-")  # "Fbeta(beta=2)" is no name of a spec
    spec = LossSpec.from_theta(name, space, space.identity(), tolerance=tolerance)
    return AutoSegLoss(spec, **options)
