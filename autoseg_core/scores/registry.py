"""Metrics by name. A metric is written once, as a function of counts, and registered:

    def jaccard_squared(counts):                      # (C,) counts -> (C,) in [0, 1]
        return safe_divide(counts.intersection, counts.union) ** 2
    register_metric(Metric("mIoU2", jaccard_squared))

From then on its name works everywhere: in exact scores, surrogate losses, search spaces, loss files
and configs; a loss needs a score with a gradient. Other processes must import the module that
registers it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from keyword import iskeyword
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from autoseg_core.counts import BoundaryCounts, RegionCounts
from autoseg_core.scores.grammar import as_known
from autoseg_core.scores.metric import Metric

Maker = Callable[..., Metric]

METRICS: dict[str, Metric] = {}
"""Every registered metric by name."""

FAMILIES: dict[str, Maker] = {}
"""Metrics with parameters, such as "Fbeta(beta=2)": factories by family name."""

MADE: dict[str, Metric] = {}
"""Metrics of families by their names as given. Not functools.cache: torch.compile would trace
through it into the grammar, which it cannot trace."""


def register_metric(metric: Metric) -> Metric:
    """Add a metric to ``METRICS`` and return it; the same metric may be added again.

    Raises ``ValueError`` for a name that is taken or is not a word, for a column that other metrics
    compute differently, and for functions that leave [0, 1]; ``TypeError`` for anything but a
    ``Metric``.
    """
    if not isinstance(metric, Metric):
        raise TypeError(
            f"Expected a Metric, got {metric!r}: register_metric(Metric('Name', function))."
        )
    if not _same(METRICS.get(metric.name), metric):
        check_word(metric.name)
    if metric.per_class is not None:
        for other in METRICS.values():
            fills_alike = _same(_fills(other), _fills(metric))
            if other.column == metric.column and not fills_alike:
                raise ValueError(
                    f"Metric {metric.name!r}: the column {metric.column!r} belongs to "
                    f"{other.name}, which computes it differently; name another column."
                )
    _try(metric)
    METRICS[metric.name] = metric
    return metric


def register_family(name: str, make: Maker) -> Maker:
    """Add a family and return its factory; the same one may be added again.

    make: keyword arguments, numbers and lists of them -> ``Metric``, named by ``canonical_name``;
    raises ``ValueError`` for arguments out of range. Its signature defines the parameters.
    """
    if not _same(FAMILIES.get(name), make):
        check_word(name)
        MADE.clear()
        FAMILIES[name] = make
    return make


# For one class: no pixel, a perfect prediction, one with errors of both kinds.
_TRIED = {
    RegionCounts: ((0, 0, 0, 0), (4, 4, 4, 12), (4, 3, 6, 12)),
    BoundaryCounts: ((0, 0, 0, 0), (4, 4, 4, 4), (4, 3, 6, 2)),
}


def _try(metric: Metric) -> None:
    """ValueError unless the functions stay in [0, 1] for a few counts."""
    number = 1 + max(metric.classes) if metric.classes else 3
    kind = BoundaryCounts if metric.region == "boundary" else RegionCounts
    for fields in _TRIED[kind]:
        counts = kind(*(torch.full((number,), float(field)) for field in fields))
        for name, shape, call in (
            ("per_class", (number,), metric.per_class),
            ("score", (), lambda counts: metric.score(counts, counts.target > 0)),
        ):
            if call is None:
                continue
            try:
                value = call(counts)
            except (IndexError, RuntimeError) as error:
                raise ValueError(
                    f"Metric {metric.name!r}: {name} fails with {number} classes ({error}); a "
                    "metric of a fixed number of classes names them: classes=tuple(range(C))."
                ) from error
            if not isinstance(value, Tensor) or value.shape != shape or not _in_unit(value):
                raise ValueError(
                    f"Metric {metric.name!r}: {name} must return shape {shape} in [0, 1] "
                    f"for {counts}, returned {value!r}; divide with "
                    "autoseg_core.numerics.safe_divide."
                )


def _in_unit(value: Tensor) -> bool:
    return bool(((value >= 0) & (value <= 1 + 1e-6)).all())  # NaN is neither


def _same(one: Any, other: Any) -> bool:
    """Whether two definitions do the same: rerunning a notebook cell makes new functions."""
    if isinstance(one, Metric) and isinstance(other, Metric):
        return _same([*vars(one).values()], [*vars(other).values()])
    if isinstance(one, partial) and isinstance(other, partial):
        parts = ((f.func, f.args, f.keywords) for f in (one, other))
        return _same(*parts)
    if isinstance(one, FunctionType) and isinstance(other, FunctionType):
        read = [
            [f.__defaults__, *(cell.cell_contents for cell in f.__closure__ or ())]
            for f in (one, other)
        ]
        return one.__code__ == other.__code__ and _same(*read)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return bool(one == other)


def check_word(name: str) -> None:
    """ValueError unless ``name`` is a word that no metric or family has yet, ignoring case."""
    if not (name.isascii() and name.isidentifier()) or iskeyword(name):
        raise ValueError(
            f"A metric's name must be a word of letters, digits and underscores, got {name!r}: "
            "sums and products of metrics contain it."
        )
    known = as_known(name, (*METRICS, *FAMILIES))
    if known in METRICS or known in FAMILIES:
        table = "METRICS" if known in METRICS else "FAMILIES"
        raise ValueError(
            f"The name {name!r} is taken by another metric: choose another, or remove that one by "
            f"autoseg_core.scores.{table}.pop({known!r})."
        )


def _fills(metric: Metric) -> tuple[object, ...]:
    """What determines the values in a metric's column."""
    return metric.per_class, metric.region
