"""LossTerm: one surrogate of a loss as data; the checks that all parts of a spec share."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from autoseg_core.curve_space import Constraints, check_curve
from autoseg_core.surfaces import get_surface
from autoseg_core.targets import Form, Target

Point = tuple[float, float]
Factor = Annotated[float, Field(ge=1e-15, le=1e6)]
"""Bounds of the weight of a term or the scale of a loss."""


class SpecError(ValueError):
    """A loss file or spec that cannot be used; the message says what to fix."""


class SpecPart(BaseModel):
    """Part of a loss file: immutable, no unknown fields, no conversions, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Part = TypeVar("Part", bound=SpecPart)


class LossTerm(SpecPart):
    """One surrogate: ``weight * (1 - score)``.

    metric, surface: names for ``scores.get_metric`` and in ``surfaces.SURFACES``. surrogate: the
    form of the metric's surrogate (``targets``); the metric "BF1_difference" is BF1 in the form
    "difference". pieces: per curve. control_points: for each curve, its (u, v) points with
    both ends, in [0, 1], u in order from 0 to 1. weight: in [1e-15, 1e6]. absent: a class without
    target pixels in the batch is left out of the mean ("ignore") or scores 0 ("zero", as released).
    tolerance: pixels in [0, 1000], for BIoU and BF1. drop_background: see ``metrics.evaluator``.
    void_edges: whether borders of void areas are edges of the target and predictions inside void
    cause edges too ("paper" in ``metrics.protocols``, as released); it affects metrics of trimap,
    boundaries and bands. truth_table, monotone: the constraints that the curves satisfy
    (``curve_space.Constraints``); they are checked.
    """

    metric: str
    surrogate: Form = "free"
    surface: str = "bezier"
    pieces: Annotated[int, Field(ge=1)]
    control_points: tuple[tuple[Point, ...], ...]
    weight: Factor = 1.0
    absent: Literal["ignore", "zero"] = "ignore"
    tolerance: Annotated[int, Field(ge=0, le=1000)] = 5
    drop_background: bool = False
    void_edges: bool = False
    truth_table: bool = True
    monotone: bool = True

    @model_validator(mode="before")
    @classmethod
    def _known_target(cls, values: Any) -> Any:
        """The canonical name of the metric, and the form that the name implies."""
        name = values.get("metric") if isinstance(values, dict) else None
        if not isinstance(name, str):
            return values
        target = Target.named(name)
        return {"surrogate": target.form, **values, "metric": target.metric}

    @field_validator("surface")
    @classmethod
    def _known_surface(cls, name: str) -> str:
        return get_surface(name).name

    @field_validator("control_points", mode="before")
    @classmethod
    def _tuples(cls, curves: Any) -> Any:
        """Accept lists instead of tuples, from Python and JSON."""
        return _as_tuple(curves)

    @model_validator(mode="after")
    def _check_points(self) -> LossTerm:
        names = self.curves
        if len(self.control_points) != len(names):
            raise ValueError(
                f"{self.metric} has {len(names)} curves ({', '.join(names)}), "
                f"got {len(self.control_points)}."
            )
        count = get_surface(self.surface).inner_points(self.pieces) + 2
        for name, curve in zip(names, self.control_points, strict=True):
            constraints = Constraints(self.truth_table, self.monotone)
            check_curve(f"Curve {name!r}", curve, constraints, count)
        return self

    @property
    def target(self) -> Target:
        """The metric and the form of its surrogate."""
        return Target(self.metric, self.surrogate)

    @property
    def curves(self) -> tuple[str, ...]:
        """Names of the curves, in the order of ``control_points``."""
        return self.target.curves


def made(model: type[Part], **values: Any) -> Part:
    """``model(**values)``; invalid values raise ``SpecError``."""
    try:
        return model(**values)
    except ValidationError as error:
        kind = "term" if model is LossTerm else "spec"
        raise SpecError(f"Not a loss {kind}: " + "; ".join(explain(error))) from None


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(v) for v in value) if isinstance(value, list | tuple) else value


def explain(error: ValidationError) -> list[str]:
    """One line for each problem: where it is, and what is wrong."""
    return [
        f"{'.'.join(map(str, problem['loc'])) or '(file)'}: {problem['msg']}"
        for problem in error.errors(include_url=False)
    ]
