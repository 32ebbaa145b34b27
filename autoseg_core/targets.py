"""Targets: a metric, and the form of the surrogate that replaces it in a loss.

A surrogate has a curve for each count that its metric reads: "and" for the intersection, "or" for
the union. The edges of boundary metrics come in two forms (``surfaces.operations``): "free", four
curves, as released; "difference", one curve, which finds no edges where a map is flat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from autoseg_core.scores import get_metric
from autoseg_core.scores.grammar import as_known
from autoseg_core.surfaces.operations import XOR, XOR_DIFFERENCE

Form = Literal["free", "difference"]

_CURVES = {"intersection": "and", "union": "or"}
_EDGES = {"free": XOR, "difference": XOR_DIFFERENCE}
_NAMED = {"BF1_difference": ("BF1", "difference")}


@dataclass(frozen=True)
class Target:
    """A metric's canonical name and a form; ``ValueError`` if the metric lacks that form."""

    metric: str
    form: Form = "free"

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise ValueError(f"Unknown form {self.form!r}; known forms: free, difference.")
        if self.form != "free" and get_metric(self.metric).region != "boundary":
            raise ValueError(f"{self.metric} has only the form 'free', got {self.form!r}.")

    @classmethod
    def named(cls, name: str) -> Target:
        """The target for a metric's name or ``BF1_difference``, ignoring case."""
        known = as_known(name, _NAMED)
        if known in _NAMED:
            return cls(*_NAMED[known])  # type: ignore[arg-type]
        return cls(get_metric(name).name)

    def __str__(self) -> str:
        """The name that ``named`` takes, else the metric's with the form in parentheses."""
        names = {pair: name for name, pair in _NAMED.items()}
        plain = self.metric if self.form == "free" else f"{self.metric} ({self.form})"
        return names.get((self.metric, self.form), plain)

    @property
    def curves(self) -> tuple[str, ...]:
        """Names of the curves, in the order of the parameter vector."""
        metric = get_metric(self.metric)
        if metric.region == "boundary":
            return _EDGES[self.form]
        return tuple(_CURVES[count] for count in metric.reads)

    @property
    def inner_points(self) -> int:
        """Default free control points of a curve: as released; enough for an S with one curve."""
        return 1 if self.curves == XOR else 3
