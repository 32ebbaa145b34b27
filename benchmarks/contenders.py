"""The losses that are measured: every metric's surrogate in every backend, and the rivals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from autoseg_core import SIX, AutoSegLoss, LossSpec, LossTerm, SearchSpace, get_metric
from autoseg_core.surrogates.counting import BACKENDS, Backend
from benchmarks.rivals import VOID, Loss, cross_entropy, one_hot_miou, smp_losses

RIVAL = "cross entropy"
MEASURED = (*SIX, "BF1_difference")
"""Metrics: those of the paper, and the lighter surrogate of BF1."""


@dataclass(frozen=True)
class Contender:
    """A loss with its name; of ours also the backend, and the region that its metric looks at."""

    metric: str
    loss: Loss
    backend: str = ""
    region: str = ""

    @property
    def name(self) -> str:
        """As a row is called."""
        return f"{self.metric}, {self.backend}" if self.backend else self.metric


def contenders(backends: Sequence[str]) -> list[Contender]:
    """Cross entropy first, then our losses, then the rivals.

    The one-hot form of the formulas goes with the backend "reference": both are slow and large.
    """
    points = [list(curve) for curve in sample_term("mIoU").control_points]
    written_out = [Contender("mIoU as one-hot maps", one_hot_miou(points), "reference")]
    return [
        Contender(RIVAL, cross_entropy),
        *(ours for metric in MEASURED for ours in surrogates(metric, backends)),
        *(written_out if "reference" in backends else ()),
        *(Contender(name, loss) for name, loss in smp_losses().items()),
    ]


def surrogates(metric: str, backends: Sequence[str]) -> Iterator[Contender]:
    """The loss of one metric, by every backend that computes it in a way of its own."""
    looks_at = get_metric(metric).region
    region = looks_at if isinstance(looks_at, str) else "band"
    if region == "boundary":
        # These counts have a reference and one fast form, which every other name stands for.
        backends = [name for name in backends if name == "reference"] + ["auto"]
    spec = LossSpec(name=metric, terms=(sample_term(metric),))
    for backend in get_args(Backend):
        if backend in backends:
            yield Contender(metric, AutoSegLoss(spec, VOID, backend=backend), backend, region)


def sample_term(metric: str) -> LossTerm:
    """A term with curves somewhere between the identity and the walls of its search space."""
    space = SearchSpace(metric)
    return LossTerm.from_theta(space, np.random.default_rng(0).uniform(0.2, 0.8, space.dim))


def usable_backends(device: str) -> list[str]:
    """Backends that do something of their own on the device."""
    unfit = {"auto", "triton" if device == "cpu" else "native"}
    return [name for name in BACKENDS if name not in unfit]
