"""Families: metrics with parameters, made from their name, such as ``Fbeta(beta=2)``.

A name is data. It is matched against a small grammar, its values are JSON numbers and lists of
them, and nothing in it is ever executed. Each metric has one canonical spelling, which
``get_metric(...).name`` gives: all parameters, in the family's order, without spaces.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from autoseg_core.scores.catalog import FAMILIES, METRICS, Metric, check_word

Maker = Callable[..., Metric]

# Metrics by their names as given. Not functools.cache: torch.compile would look through it into the
# grammar, which it cannot trace.
_MADE: dict[str, Metric] = {}
_VALUE = r"(?:\[[^\[\]()=]*\]|[^\[\](),=\s]+)"
_PARAMETER = re.compile(rf"\s*(\w+)\s*=\s*({_VALUE})\s*(?:,|$)", re.ASCII)
_CALL = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*", re.ASCII)


def register_family(name: str, make: Maker) -> Maker:
    """Add a family and return its maker.

    make: keyword arguments, numbers and lists of them -> ``Metric``, named by ``spell``; raises
    ``ValueError`` for arguments out of range. Its signature says which there are.
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
        _MADE[name] = _from_family(name)
    return _MADE[name]


def spell(family: str, **values: float | Sequence[float]) -> str:
    """The canonical name, such as ``Tversky(alpha=0.3,beta=0.7)``."""
    return f"{family}({','.join(f'{key}={spell_value(value)}' for key, value in values.items())})"


def _from_family(text: str) -> Metric:
    call = _CALL.fullmatch(text)
    if call is None or call[1] not in FAMILIES or (call[2] is None and _needed(call[1])):
        families = ", ".join(f"{name}{_shown(make)}" for name, make in FAMILIES.items())
        raise ValueError(
            f"Unknown metric {_shortened(text)}; known metrics: {', '.join(METRICS)}; and with "
            f"parameters: {families}. Combinations such as mIoU+BIoU are objectives: "
            "Objective.parse, search_space."
        )
    make = FAMILIES[call[1]]
    values = _parameters(text, call[2] or "")
    unknown = [key for key in values if key not in inspect.signature(make).parameters]
    missing = [key for key in _needed(call[1]) if key not in values]
    if unknown or missing:
        wrong = f"unknown: {', '.join(unknown)}" if unknown else f"missing: {', '.join(missing)}"
        raise ValueError(
            f"Metric {_shortened(text)}: expected the parameters {call[1]}{_shown(make)}; {wrong}."
        )
    try:
        metric = make(**values)
    except ValueError as error:
        raise ValueError(f"Metric {_shortened(text)}: {error}") from None
    return metric if metric.name == text else get_metric(metric.name)  # one row a metric


def _needed(family: str) -> list[str]:
    """The parameters without a default."""
    parameters = inspect.signature(FAMILIES[family]).parameters.values()
    return [p.name for p in parameters if p.default is p.empty]


def _parameters(text: str, inside: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    position = 0
    while position < len(inside.rstrip()):
        match = _PARAMETER.match(inside, position)
        if match is None:
            raise ValueError(
                f"Metric {_shortened(text)}: expected name=value pairs separated by commas, got "
                f"{_shortened(inside[position:].strip())}."
            )
        if match[1] in values:
            raise ValueError(f"Metric {_shortened(text)}: the parameter {match[1]} is given twice.")
        values[match[1]] = _value(text, match[2])
        position = match.end()
    return values


def _value(text: str, literal: str) -> Any:
    try:
        return json.loads(literal)
    except (ValueError, RecursionError):
        raise ValueError(
            f"Metric {_shortened(text)}: expected a number or a list of numbers such as [1,2], got "
            f"{_shortened(literal)}."
        ) from None


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:200] + "…")


def _shown(make: Maker) -> str:
    """The parameters that a family takes, with their defaults: ``(alpha, beta)``."""
    parameters = inspect.signature(make).parameters.values()
    given = (p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters)
    return f"({', '.join(given)})"


def spell_value(value: float | Sequence[float]) -> str:
    """A number, or a list of them, with every digit it needs: ``2``, ``0.3``, ``[1,2.5]``."""
    if isinstance(value, Sequence):
        return f"[{','.join(map(spell_value, value))}]"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
