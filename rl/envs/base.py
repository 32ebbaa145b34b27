"""What the environments share: their problem, actions, flat observations of named fields, frames.

Shapes: D search coordinates, S scores, L numbers of an observation, H x W pixels of a frame.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction
from gymnasium.spaces import Box
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from autoseg_core import SearchSpace, search_space
from rl.figures import draw_curves, figure_to_image

Observation = NDArray[np.float32]
Theta = NDArray[np.float64]
Frame = NDArray[np.uint8]
Step = tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]
Course = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""label -> (x, y), a line of a frame's last panel; y is a score in [0, 1]."""

UNKNOWN = -1.0
"""Stands for a score or loss that was not measured, or not yet."""


@dataclass(frozen=True)
class Field:
    """A run of ``size`` numbers of an observation, each in [low, high]."""

    name: str
    size: int
    low: float
    high: float


class LossEnv(gymnasium.Env[Observation, Any]):
    """An environment whose action is theta, and whose observation is a row of fields.

    Args:
        space: of theta.
        score_names: the scores of the task, in the order in which they are observed.
        fields: of the observation, in order.
        normalize_action: Box(-1, 1) instead of Box(0, 1); theta = (action + 1) / 2.
        render_mode: None or "rgb_array".
        length: steps of an episode, >= 1.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012  (gymnasium's form)
    action_space: Box[Any]

    def __init__(
        self,
        space: SearchSpace,
        score_names: tuple[str, ...],
        fields: Sequence[Field],
        normalize_action: bool,
        render_mode: str | None,
        length: int,
    ) -> None:
        if length < 1:
            raise ValueError(f"expected an episode of one step or more, got {length!r}")
        self.space, self.score_names, self.render_mode = space, score_names, render_mode
        low = -1.0 if normalize_action else 0.0
        self.action_space = Box(low, 1.0, (space.dim,), np.float32)
        self._low, self._high = (
            np.concatenate([np.full(one.size, getattr(one, end), np.float32) for one in fields])
            for end in ("low", "high")
        )
        self.observation_space = Box(self._low, self._high, dtype=np.float32)
        ends = np.cumsum([one.size for one in fields]).tolist()
        self.observation_fields = {
            one.name: slice(end - one.size, end) for one, end in zip(fields, ends, strict=True)
        }

    def theta_of(self, action: ArrayLike) -> Theta:
        """The theta (D,) float64 in [0, 1] that an action stands for, a copy that keeps its digits.

        Raises gymnasium.error.InvalidAction.
        """
        values, shape = np.array(action, dtype=np.float64), self.action_space.shape
        low, high = float(self.action_space.low[0]), 1.0
        if values.shape != shape or not np.all((values >= low) & (values <= high)):  # NaN is not
            raise InvalidAction(
                f"an action must have shape {shape} and lie in [{low:g}, {high:g}], got shape "
                f"{values.shape} and {values.tolist()}; clip what an agent's distribution samples "
                "beyond"
            )
        theta: Theta = (values - low) / (high - low)
        return theta

    def pack(self, **values: ArrayLike) -> Observation:
        """A value for each field -> observation (L,) float32, clipped to the fields' bounds."""
        observation: Observation = np.empty_like(self._low)
        for name, where in self.observation_fields.items():
            observation[where] = np.asarray(values[name], dtype=np.float32)
        return observation.clip(self._low, self._high)

    def score_vector(self, scores: Mapping[str, float]) -> NDArray[np.float64]:
        """Scores (S,) in the order of `score_names`: in [0, 1], UNKNOWN where not measured."""
        known = {name: min(max(score, 0.0), 1.0) for name, score in measured(scores).items()}
        return np.array([known.get(name, UNKNOWN) for name in self.score_names])

    @abstractmethod
    def _picture(self) -> tuple[Mapping[str, Theta], Course, str]:
        """What a frame shows: label -> theta; the course of the scores; what its x axis is."""

    def render(self) -> Frame | None:
        """(H, W, 3) uint8, always of one size; None, and a warning, without a render_mode."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                'render() draws nothing in an environment made without render_mode="rgb_array"'
            )
            return None
        return draw_frame(self.space, *self._picture())


def measured(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores that were measurable, as Python floats."""
    return {name: float(score) for name, score in scores.items() if math.isfinite(score)}


def asked_space(
    metric: str | None = None, surface: str | None = None, pieces: int | None = None
) -> SearchSpace | None:
    """The space asked for by name, with mIoU and bezier for what is left out; None: the proxy's."""
    if metric is None and surface is None and pieces is None:
        return None
    return search_space(metric or "mIoU", surface or "bezier", pieces)


def draw_frame(
    space: SearchSpace, thetas: Mapping[str, Theta], course: Course, xlabel: str
) -> Frame:
    """(H, W, 3) uint8 RGB; H and W depend on the space's number of curves only.

    Args:
        space: whose curves are drawn, one panel each.
        thetas: label -> theta (D,), one line per panel.
        course: lines of the last panel.
        xlabel: what its x is.
    """
    curves = draw_curves(space, list(thetas.values()), list(thetas))
    figure = Figure(figsize=(3.2, 3.4), layout="constrained")  # as a panel of draw_curves
    panel = figure.subplots()
    for label, (x, y) in course.items():
        panel.plot(x, y, marker="o", markersize=2, linewidth=1, label=label)
    panel.set(xlabel=xlabel, ylabel="score", ylim=(-0.02, 1.02))
    panel.legend(loc="lower right", fontsize="small")
    return np.concatenate([figure_to_image(one) for one in (curves, figure)], axis=1)
