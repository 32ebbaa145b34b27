"""What find_loss.py compared, and what that says of the searched loss."""

from __future__ import annotations

from dataclasses import dataclass

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from auto_seg_loss.study.comparison import Comparison
from auto_seg_loss.study.statistics import judged

ENOUGH = 20
"""Images in a part that scores losses: with fewer, differences may be due to the images."""
NARROW = 2.0
"""Points: an interval of a difference that reaches no farther than this to either side is narrow
enough to call two losses equally good."""
BESIDE = ("mIoU",)
"""Shown with every objective: a network may be good for the objective alone."""


@dataclass(frozen=True)
class Found:
    """What was compared.

    metric: the objective. tried: all losses, scored on the hold-out. losses: those of them that
    were scored on the test part, cross entropy first. spec: path of the searched loss.
    """

    metric: str
    tried: tuple[str, ...]
    losses: tuple[str, ...]
    spec: str

    @property
    def beside(self) -> tuple[str, ...]:
        """Further metrics that tables show."""
        return tuple(name for name in BESIDE if name != self.metric)


def verdict(comparison: Comparison, found: Found) -> str:
    """One sentence: whether to take the searched loss.

    It must be better than every baseline on the test, by Holm's method over all of them. Otherwise
    the sentence names, of those that it is not better than, the one with the best mean.
    """
    made = (comparison.scores(loss, found.metric).values() for loss in found.losses)
    if len({score for scores in made for score in scores}) == 1:
        return "No verdict: all losses have the same score; use more --minutes."
    baselines = [loss for loss in found.losses if loss != found.spec]
    claims = judged(
        {loss: comparison.difference(found.spec, loss, found.metric) for loss in baselines}
    )
    unbeaten = [loss for loss in baselines if claims[loss].verdict != "better"]
    rival = max(unbeaten or baselines, key=lambda loss: comparison.mean(loss, found.metric))
    gain, points = claims[rival], f"points of {found.metric}"
    worse = [loss for loss in baselines if claims[loss].verdict == "worse"]
    if not unbeaten:
        return f"Use the searched loss: {gain.numbers} {points} over {rival}, the best baseline."
    if worse:
        more = "" if rival in worse else f", and is worse than {', '.join(worse)}"
        return f"Keep {rival}: the searched loss has {gain.numbers} {points} over it{more}."
    if gain.high - gain.low <= 2 * NARROW:
        return (
            f"Keep {rival}, which is as good: the searched loss has {gain.numbers} {points} over "
            "it, within the noise."
        )
    return (
        f"Undecided between the searched loss and {rival}: {gain.numbers} {points}; more --minutes "
        "or images would tell."
    )


def few_images(cfg: CfgNode) -> str:
    """A paragraph if losses are scored on fewer than ENOUGH images; else ""."""
    names = {"hold-out": cfg.SEARCH.HOLDOUT.DATASETS[0], "test": cfg.DATASETS.TEST[0]}
    sizes = {part: len(DatasetCatalog.get(name)) for part, name in names.items()}
    few = " and ".join(f"{n} ({part})" for part, n in sizes.items() if n < ENOUGH)
    if not few:
        return ""
    return (
        f"\n\nLosses are scored on {few} images: with fewer than {ENOUGH} in a part, other images "
        "may rank the losses differently."
    )


def at_an_end(comparison: Comparison, found: Found) -> str:
    """A paragraph that names the losses whose best rate is at an end of the grid; else "".

    A loss with equal scores at all rates has no best one.
    """
    ends, named = {min(comparison.rates), max(comparison.rates)}, []
    for loss in found.tried:
        scores = [comparison.at_rate(loss, rate, found.metric) for rate in comparison.rates]
        flat = len({score for some in scores for score in some}) == 1
        if comparison.rate(loss, found.metric) in ends and not flat:
            named.append(loss)
    if not named:
        return ""
    return (
        f"\n\nThe best rate of {', '.join(named)} is at an end of the grid: a rate beyond it may "
        "be better still."
    )


def not_learned(comparison: Comparison, found: Found) -> str:
    """A paragraph that counts the trainings with a score of 0 on the test; else ""."""
    named = []
    for loss in found.losses:
        scores = [*comparison.scores(loss, found.metric).values()]
        if 0.0 in scores:
            named.append(f"{loss} in {scores.count(0.0)} of {len(scores)} seeds")
    if not named:
        return ""
    return (
        f"\n\nTrainings that score 0, which have not learned: {', '.join(named)}. With more "
        "--minutes trainings are longer."
    )
