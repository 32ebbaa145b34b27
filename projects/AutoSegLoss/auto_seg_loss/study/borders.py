"""How long and how jagged predicted borders are.

Both from the boundary counts of BF1 over a data set: edge pixels of the prediction and of the truth
(inner, one pixel wide, void left out), and those of either within r of the other's, in the maximum
norm, class by class; r: TEST.TOLERANCE. The mean over the classes that have a value; NaN when none
has.

border_length  edge pixels of the prediction / edge pixels of the truth. 1: as long as the true
               border; more when it is jagged, and also when there are false islands.
jaggedness     edge pixels of the prediction within r of a true edge / edge pixels of the truth
               within r of a predicted one: how much border is drawn for each pixel of border that
               is found. A shifted copy of a straight border has 1; a zigzag, or a hatching, that
               stays inside the band has more, and BF1 at that tolerance does not mind. False
               islands away from the truth do not count.

The borders of a class that the truth lacks have neither, nor has jaggedness one of which nothing is
found.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoseg_core.counts import BoundaryCounts


def border_length(counts: BoundaryCounts) -> float:
    """A ratio >= 0."""
    return _mean_ratio(counts.prediction, counts.target)


def jaggedness(counts: BoundaryCounts) -> float:
    """A ratio > 0."""
    return _mean_ratio(counts.matched_prediction, counts.matched_target)


def _mean_ratio(over: Tensor, under: Tensor) -> float:
    return float(torch.where(under > 0, over.double() / under, torch.nan).nanmean())


BORDERS = {"border_length": border_length, "jaggedness": jaggedness}
"""Name -> measure."""
