"""Objectives to maximise, as text: metrics, their sums, products and constraints.

    mIoU                      one metric
    0.7*mIoU + 0.3*BF1        a weighted mean: weights are divided by their sum
    mIoU * BF1                a product
    BIoU | mIoU >= 0.6        the score of BIoU, subject to mIoU

A score stays in [0, 1]. With constraints (several are separated by commas) it is ranked by Deb's
rules (Deb 2000, "An efficient constraint handling method for genetic algorithms"): a candidate that
meets all constraints scores (1 + value) / 2; others score less than 1/2, half the mean over the
constraints of min(1, score / bound). So every feasible candidate beats every infeasible one, and of
the latter the nearer one wins. A constraint is not part of the loss: for a loss that also pursues
it, write "mIoU + BIoU | mIoU >= 0.6".
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from autoseg_core.scores import PAPER_METRICS
from autoseg_core.scores.grammar import canonical_value, parse, read_number, shortened
from autoseg_core.targets import Target

Combine = Literal["sum", "product"]

LARGEST_WEIGHT = 1e6
"""Largest weight of a sum, and 1 / the smallest: beyond it a target would be all or nothing."""

_FORMS = "metrics, sums 'a + 0.5*b' and products 'a * b' of them, optionally '| c >= 0.6'"


@dataclass(frozen=True)
class Constraint:
    """``metric >= least``, with ``least`` in (0, 1]."""

    metric: str
    least: float

    def __str__(self) -> str:
        return f"{self.metric}>={canonical_value(self.least)}"


@dataclass(frozen=True)
class Objective:
    """A combination of metrics by name; ``parse`` reads one, ``str`` writes its canonical form.

    targets: the combined metrics, canonical names (``Target.named``). weights: of a sum, positive,
    one for each target; 1 in a product. combine: "sum" or "product". constraints: lower bounds on
    scores.
    """

    targets: tuple[str, ...]
    weights: tuple[float, ...]
    combine: Combine = "sum"
    constraints: tuple[Constraint, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Parse an objective; ``ValueError`` says what is wrong with it."""
        try:
            return cls._read(text)
        except ValueError as error:
            raise ValueError(f"Objective {shortened(text)}: {error}") from None

    @classmethod
    def _read(cls, text: str) -> Objective:
        main, bar, rest = text.partition("|")
        constraints = _constraints(rest) if bar else ()
        terms = [_operands(term, ast.Mult) for term in _operands(parse(main), ast.Add)]
        combine: Combine = "sum"
        if len(terms) == 1 and len(terms[0]) > 1 and read_number(terms[0][0]) is None:
            combine = "product"
            pairs = [(1.0, _target(factor)) for factor in terms[0]]
        else:
            pairs = [_weighted(factors) for factors in terms]
        weights, targets = zip(*pairs, strict=True)
        if len(set(targets)) != len(targets):
            raise ValueError("a metric is listed twice; give it a weight instead.")
        return cls(targets, weights, combine, constraints)

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics whose scores it needs: those of the targets, then of the constraints."""
        constraints = (constraint.metric for constraint in self.constraints)
        return tuple(dict.fromkeys((*self._scored, *constraints)))

    @property
    def _scored(self) -> list[str]:
        """The metric of each target."""
        return [Target.named(name).metric for name in self.targets]

    @property
    def reported(self) -> tuple[str, ...]:
        """The metrics scored along with it: the paper's six, and its own."""
        return tuple(dict.fromkeys((*PAPER_METRICS, *self.metrics)))

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights of a sum divided by their sum; those of a product, 1."""
        total = math.fsum(self.weights) if self.combine == "sum" else 1.0
        return tuple(weight / total for weight in self.weights)

    def score(self, scores: Mapping[str, float]) -> float:
        """The score in [0, 1], given those of all ``metrics`` in [0, 1]; NaN if any of them is.

        Raises ``ValueError`` for a missing score.
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
        values = [scores[name] for name in self._scored]
        if self.combine == "product":
            return math.prod(values)
        return math.fsum(share * v for share, v in zip(self.shares, values, strict=True))

    def __str__(self) -> str:
        pairs = zip(self.weights, self.targets, strict=True)
        parts = [
            name if weight == 1 else f"{canonical_value(weight)}*{name}" for weight, name in pairs
        ]
        text = ("*" if self.combine == "product" else "+").join(parts)
        return f"{text} | {', '.join(map(str, self.constraints))}" if self.constraints else text


def _operands(tree: ast.expr, operator: type[ast.operator]) -> list[ast.expr]:
    """The operands of the operator: a, b and c for ``a + b + c`` and ``ast.Add``."""
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, operator):
        return [*_operands(tree.left, operator), *_operands(tree.right, operator)]
    return [tree]


def _target(tree: ast.expr) -> str:
    if not isinstance(tree, ast.Name | ast.Call):
        raise ValueError(f"expected a metric, got {ast.unparse(tree)}; objectives are {_FORMS}.")
    return str(Target.named(ast.unparse(tree)))


def _weighted(factors: list[ast.expr]) -> tuple[float, str]:
    """The weight, 0.3 in ``0.3 * mIoU`` and 1 in ``mIoU``, and the target."""
    *given, target = factors
    weight = read_number(given[0]) if given else 1.0
    if len(given) > 1 or weight is None:
        raise ValueError(f"it mixes sums and products; expected {_FORMS}.")
    if not 1 / LARGEST_WEIGHT <= weight <= LARGEST_WEIGHT:
        raise ValueError(f"a weight must lie in [1e-6, 1e6], got {weight:g}.")
    return weight, _target(target)


def _constraints(text: str) -> tuple[Constraint, ...]:
    """The constraints in ``mIoU >= 0.6, mAcc >= 0.5``, sorted: their order is irrelevant."""
    tree = parse(text)
    parts = tree.elts if isinstance(tree, ast.Tuple) else [tree]
    return tuple(sorted(map(_constraint, parts), key=str))


def _constraint(tree: ast.expr) -> Constraint:
    if isinstance(tree, ast.Compare) and [type(op) for op in tree.ops] == [ast.GtE]:
        least = read_number(tree.comparators[0])
        if least is not None and 0 < least <= 1:
            return Constraint(Target.named(_target(tree.left)).metric, least)
    raise ValueError(
        "expected constraints such as 'mIoU >= 0.6', with a bound in (0, 1], got "
        f"{ast.unparse(tree)}."
    )
