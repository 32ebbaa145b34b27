"""Objectives: what to maximise, as text: metrics, their sums, products and constraints.

    mIoU                      one metric
    0.7*mIoU + 0.3*BF1        a weighted mean: weights are divided by their sum
    mIoU * BF1                a product
    BIoU | mIoU >= 0.6        the score of BIoU, subject to mIoU

A score stays in [0, 1]. With constraints (several are separated by commas) it is ranked by Deb's
rules (Deb 2000, "An efficient constraint handling method for genetic algorithms"): what meets them
all scores (1 + value) / 2; what does not scores less than 1/2, half the mean over the constraints
of min(1, score / bound). So every candidate that meets them beats every one that does not, and
among the latter the nearer one wins. A constraint is no part of the loss: a loss that should serve
it too is that of "mIoU + BIoU | mIoU >= 0.6".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from autoseg_core.scores import PAPER_METRICS, get_metric
from autoseg_core.scores.families import spell_value

Combine = Literal["sum", "product"]

LARGEST_WEIGHT = 1e6
"""Of a sum, and 1 over the smallest: beyond it a target would be all or nothing."""

_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_FORMS = "metrics, sums 'a + 0.5*b' and products 'a * b' of them, then '| c >= 0.6' if wanted"


@dataclass(frozen=True)
class Constraint:
    """``metric >= least``, with ``least`` in (0, 1]."""

    metric: str
    least: float

    def __str__(self) -> str:
        return f"{self.metric}>={spell_value(self.least)}"


@dataclass(frozen=True)
class Objective:
    """A combination of metrics by name; ``parse`` reads one, ``str`` writes its canonical form.

    targets: the metrics combined, canonical names. weights: of a sum, positive, one a target; 1 in
    a product. combine: "sum" or "product". constraints: what a candidate must reach.
    """

    targets: tuple[str, ...]
    weights: tuple[float, ...]
    combine: Combine = "sum"
    constraints: tuple[Constraint, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Read an objective; ``ValueError`` says what is wrong with it."""
        main, *rest = _split(text, "|")
        if len(rest) > 1:
            raise ValueError(f"Objective {text!r}: one '|' only; separate constraints by commas.")
        found = [_constraint(text, part) for part in _split(rest[0], ",")] if rest else []
        constraints = tuple(sorted(found, key=str))  # their order makes no difference
        terms = [_split(term, "*") for term in _split(main, "+")]
        if len(terms) == 1 and len(terms[0]) > 1 and not _is_number(terms[0][0]):
            targets = tuple(_metric(text, factor) for factor in terms[0])
            combine: Combine = "product"
            weights = (1.0,) * len(targets)
        else:
            pairs = [_weighted(text, factors) for factors in terms]
            weights, targets = (tuple(column) for column in zip(*pairs, strict=True))
            combine = "sum"
        if len(set(targets)) != len(targets):
            raise ValueError(f"Objective {text!r} names a metric twice; give it a weight instead.")
        return cls(targets, weights, combine, constraints)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric whose score it needs: the targets, then those of the constraints."""
        return tuple(dict.fromkeys((*self.targets, *(c.metric for c in self.constraints))))

    @property
    def reported(self) -> tuple[str, ...]:
        """What is scored along with it: the six metrics of the paper, and its own."""
        return tuple(dict.fromkeys((*PAPER_METRICS, *self.metrics)))

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights of a sum divided by their sum; those of a product, 1."""
        total = math.fsum(self.weights) if self.combine == "sum" else 1.0
        return tuple(weight / total for weight in self.weights)

    def score(self, scores: Mapping[str, float]) -> float:
        """The score in [0, 1] given those of all ``metrics`` in [0, 1]; NaN when one of them is.

        Raises ``ValueError`` for a score that is missing.
        """
        missing = [name for name in self.metrics if name not in scores]
        if missing:
            raise ValueError(
                f"Objective {self} needs the scores of {', '.join(missing)}; got only "
                f"{', '.join(scores)}."
            )
        if any(math.isnan(scores[name]) for name in self.metrics):
            return math.nan
        value = self._value(scores)
        if not self.constraints:
            return value
        if all(scores[c.metric] >= c.least for c in self.constraints):
            return (1 + value) / 2
        near = [min(1.0, scores[c.metric] / c.least) for c in self.constraints]
        return math.fsum(near) / len(near) / 2

    def _value(self, scores: Mapping[str, float]) -> float:
        values = [scores[name] for name in self.targets]
        if self.combine == "product":
            return math.prod(values)
        return math.fsum(share * v for share, v in zip(self.shares, values, strict=True))

    def __str__(self) -> str:
        pairs = zip(self.weights, self.targets, strict=True)
        parts = [name if weight == 1 else f"{spell_value(weight)}*{name}" for weight, name in pairs]
        text = ("*" if self.combine == "product" else "+").join(parts)
        return f"{text} | {', '.join(map(str, self.constraints))}" if self.constraints else text


def _split(text: str, separator: str) -> list[str]:
    """The parts between separators that stand outside all brackets, stripped."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter == separator and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()]


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _metric(text: str, name: str) -> str:
    if not name or _is_number(name):
        raise ValueError(
            f"Objective {text!r}: expected a metric, got {name!r}. An objective is made of "
            f"{_FORMS}; a product has no weights."
        )
    try:
        return get_metric(name).name
    except ValueError as error:
        raise ValueError(f"Objective {text!r}: {error}") from None


def _weighted(text: str, factors: list[str]) -> tuple[float, str]:
    weighted = len(factors) == 2 and _is_number(factors[0])
    if len(factors) > 1 and not weighted:
        raise ValueError(
            f"Objective {text!r} mixes sums and products; expected {_FORMS}, with at most one "
            "weight before each metric of a sum."
        )
    weight = float(factors[0]) if weighted else 1.0
    if not 1 / LARGEST_WEIGHT <= weight <= LARGEST_WEIGHT:
        raise ValueError(f"Objective {text!r}: a weight must lie in [1e-6, 1e6], got {factors[0]}.")
    return weight, _metric(text, factors[-1])


def _constraint(text: str, part: str) -> Constraint:
    name, *bound = part.split(">=")
    if len(bound) != 1 or not _is_number(bound[0].strip()) or not 0 < float(bound[0]) <= 1:
        raise ValueError(
            f"Objective {text!r}: expected constraints such as 'mIoU >= 0.6', with a bound in "
            f"(0, 1], got {part!r}."
        )
    return Constraint(_metric(text, name.strip()), float(bound[0]))
