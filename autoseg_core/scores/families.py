"""Families: metrics with parameters, made from their name, such as ``Fbeta(beta=2)``.

Each metric has one canonical name, ``get_metric(...).name``: all parameters, in the family's order,
without spaces.
"""

from __future__ import annotations

import inspect
from difflib import get_close_matches

from autoseg_core.scores.grammar import as_known, parse, read_call, shortened
from autoseg_core.scores.metric import Metric
from autoseg_core.scores.registry import FAMILIES, MADE, METRICS


def get_metric(name: str) -> Metric:
    """The metric of a name in any case: a row of ``METRICS``, or a family with its parameters.

    Raises ``ValueError``, which lists the known ones or says what is wrong with the parameters.
    """
    if name in METRICS:
        return METRICS[name]
    if name not in MADE or MADE[name].name.partition("(")[0] not in FAMILIES:  # taken away
        metric = _from_text(name)
        if metric.name in METRICS:  # not cached: it may be replaced
            return metric
        MADE[name] = metric
    return MADE[name]


def _from_text(text: str) -> Metric:
    try:
        word, values = read_call(parse(text))
    except ValueError as error:
        raise ValueError(f"Unknown metric {shortened(text)}: {error}") from None
    word = as_known(word, (*METRICS, *FAMILIES))
    if word in METRICS and values is None:
        return METRICS[word]
    if word not in FAMILIES:
        raise ValueError(
            f"Unknown metric {shortened(text)}; known metrics: {', '.join(METRICS)}; and with "
            f"parameters: {', '.join(map(_shown, FAMILIES))}. Combinations such as mIoU+BIoU are "
            "objectives: Objective.parse, search_space."
        )
    try:
        given = inspect.signature(FAMILIES[word]).bind(**(values or {}))
        metric = FAMILIES[word](**given.arguments)
    except TypeError as error:
        near = [] if values else get_close_matches(word, METRICS, 1)
        hint = f" Without parameters: {near[0]}." if near else ""
        told = f"Metric {shortened(text)}: expected {_shown(word)}; {error}.{hint}"
        raise ValueError(told) from None
    except ValueError as error:
        raise ValueError(f"Metric {shortened(text)}: {error}") from None
    return MADE.setdefault(metric.name, metric)  # one metric for all spellings


def _shown(family: str) -> str:
    """The family with its parameters and their defaults: ``Tversky(alpha, beta)``."""
    parameters = inspect.signature(FAMILIES[family]).parameters.values()
    bare = [p.replace(annotation=p.empty) for p in parameters]
    return f"{family}({', '.join(map(str, bare))})"
