"""LossSpec: a searched loss as data.

A spec is JSON: reading one executes nothing. It holds one or more terms and their provenance;
numbers round-trip exactly. The file has a format number: a reader refuses files with a newer format
instead of guessing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from autoseg_core.files import replacing
from autoseg_core.objective import Combine
from autoseg_core.space import SearchSpace
from autoseg_core.term import Factor, LossTerm, SpecError, SpecPart, explain, made

__all__ = ["FORMAT", "LossSpec", "LossTerm", "Provenance", "SpecError"]

FORMAT: Literal[1] = 1


class Provenance(SpecPart):
    """Where and how a loss was found, and its scores. All fields are optional.

    reward: score on the hold-out in [0, 1]. reported: scores in percent of trainings with exactly
    this loss, ``{"VOC val, R101-DeepLabV3+": {"mIoU": 80.97}}``.
    """

    dataset: str | None = None
    network: str | None = None
    lr: float | None = None
    batch: int | None = None
    iterations: int | None = None
    seed: int | None = None
    reward: float | None = None
    code_version: str | None = None
    source: str | None = None
    note: str | None = None
    reported: dict[str, dict[str, float]] = Field(default_factory=dict)


class LossSpec(SpecPart):
    """A loss: its terms, and its provenance. See ``load_spec`` to read one by name.

    name: letters, digits and ``_.+-``: it also names files and directories. combine: "sum", of
    ``weight * (1 - score)`` over the terms, or "product", 1 - the product of their scores, where
    all weights must be 1. scale: in [1e-15, 1e6], a factor of that value, so that the loss trains
    at the learning rate of another loss (``scaling.gradient_scale``). Scores and counts do not
    depend on it.
    """

    format: Literal[1] = FORMAT
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.+-]*$")]
    terms: Annotated[tuple[LossTerm, ...], Field(min_length=1)]
    combine: Combine = "sum"
    scale: Factor = 1.0
    provenance: Provenance = Provenance()

    @field_validator("format", mode="before")
    @classmethod
    def _not_newer(cls, number: Any) -> Any:
        if isinstance(number, int) and number > FORMAT:
            raise ValueError(f"this version reads up to {FORMAT}; upgrade autoseg_core to read it")
        return number

    @model_validator(mode="after")
    def _check_weights(self) -> LossSpec:
        weights = [term.weight for term in self.terms]
        if self.combine == "product" and set(weights) != {1.0}:
            raise ValueError(f"a product has no weights: set every weight to 1, got {weights}.")
        return self

    @classmethod
    def of_terms(cls, name: str, *terms: LossTerm, combine: Combine = "sum") -> LossSpec:
        """``terms`` combined under a name; raises ``SpecError`` for an invalid name."""
        return made(cls, name=name, terms=terms, combine=combine)

    @classmethod
    def from_theta(cls, name: str, space: SearchSpace, theta: Any, **settings: Any) -> LossSpec:
        """The loss at search coordinates theta (d,) of ``space``; ``settings`` go to every term.

        One term per target of the space's objective, with its share of the weights: for one-hot
        predictions the loss is 1 - the objective's score without its constraints.
        Raises ``SpecError`` for invalid settings or names, ``ValueError`` for an invalid theta.
        """
        objective, rest = space.objective, iter(space.control_points(theta))
        common = {"surface": space.surface, **vars(space.constraints), **settings}
        terms = [
            made(
                LossTerm,
                metric=target.metric,
                surrogate=target.form,
                pieces=pieces,
                control_points=[next(rest).tolist() for _ in target.curves],
                **{"weight": share, **common},
            )
            for target, pieces, share in zip(
                space.targets, space.pieces, objective.shares, strict=True
            )
        ]
        return cls.of_terms(name, *terms, combine=objective.combine)

    def scaled(self, factor: float) -> LossSpec:
        """The same loss times ``factor``; ``SpecError`` where ``scale`` would leave its bounds."""
        return made(LossSpec, **{**dict(self), "scale": self.scale * factor})

    def to_json(self) -> str:
        """JSON text; ``from_json(spec.to_json()) == spec`` exactly."""
        # Defaults are written as before the option existed, so that old readers understand them.
        usual: dict[str, Any] = {"combine": self.combine == "sum", "scale": self.scale == 1}
        usual["terms"] = {
            i: {"void_edges": not t.void_edges, "surrogate": t.surrogate == "free"}
            for i, t in enumerate(self.terms)
        }
        return self.model_dump_json(indent=1, exclude_none=True, exclude=usual) + "\n"

    def save(self, path: str | Path) -> None:
        """Write ``to_json`` to ``path`` atomically: a reader never sees half a file."""
        with replacing(path) as partial:
            partial.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def from_json(cls, text: str, origin: str = "the text") -> LossSpec:
        """Parse and check JSON text; ``origin`` names it in a ``SpecError``."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            lines = "".join(f"\n  {line}" for line in explain(error))
            raise SpecError(f"{origin} is not a loss spec:{lines}") from None
