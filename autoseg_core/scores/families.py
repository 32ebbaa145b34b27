"""Families: metrics with parameters, made from their name, such as ``Fbeta(beta=2)``.

Each metric has one canonical spelling, which ``get_metric(...).name`` gives: all parameters, in the
family's order, without spaces.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from autoseg_core.scores.catalog import FAMILIES, METRICS, Metric, check_word
from autoseg_core.scores.grammar import parse, read_call, shortened

Maker = Callable[..., Metric]

# Metrics by their names as given. Not functools.cache: torch.compile would look through it into the
# grammar, which it cannot trace.
_MADE: dict[str, Metric] = {}


def register_family(name: str, make: Maker) -> Maker:
    """Add a family and return its maker.

    make: keyword arguments, numbers and lists of them -> ``Metric``, named by ``canonical_name``;
    raises ``ValueError`` for arguments out of range. Its signature says which there are.
    """
    check_word(name)
    FAMILIES[name] = make
    return make


def get_metric(name: str) -> Metric:
    """The metric of a name: a row of ``METRICS``, or a family with its parameters.

    Raises ``ValueError`` that lists the known ones, or says what is wrong with the parameters.
    """
    if name in METRICS:
        return METRICS[name]
    if name not in _MADE:
        try:
            _MADE[name] = _from_text(name)
        except ValueError as error:
            raise ValueError(f"Unknown metric {shortened(name)}: {error}") from None
    return _MADE[name]


def _from_text(text: str) -> Metric:
    word, values = read_call(parse(text))
    if word in METRICS and values is None:
        return METRICS[word]
    if word not in FAMILIES:
        families = ", ".join(f"{name}{inspect.signature(FAMILIES[name])}" for name in FAMILIES)
        raise ValueError(
            f"known metrics: {', '.join(METRICS)}; and with parameters: {families}. Combinations "
            "such as mIoU+BIoU are objectives: Objective.parse, search_space."
        )
    make = FAMILIES[word]
    try:
        bound = inspect.signature(make).bind(**(values or {}))
    except TypeError as error:
        raise ValueError(f"expected {word}{inspect.signature(make)}; {error}.") from None
    metric = make(**bound.arguments)
    return _MADE.setdefault(metric.name, metric)  # one row for all spellings
