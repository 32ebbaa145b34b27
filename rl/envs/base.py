"""The base of the environments: problem, actions, flat observations of named fields, frames.

Shapes: D search coordinates, S scores, L numbers of an observation, H x W pixels of a frame.
"""

from __future__ import annotations

import math
import operator
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.spaces import Box
from numpy.typing import ArrayLike, NDArray

from autoseg_core import SearchSpace, search_space
from rl.arrays import checked_array
from rl.figures import Course, Image, draw_frame
from rl.proxy import ProxyResult

Observation = NDArray[np.float32]
Theta = NDArray[np.float64]
Step = tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]
UNKNOWN = -1.0  # marks a score or loss that was not measured, or not yet


@dataclass
class Episode:
    """The state of an episode, in plain values; ``values`` holds the score after each step."""

    seed: int
    theta: list[float]
    number: int = 0
    step: int = 0
    loss: float = math.nan
    scores: dict[str, float] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    status: str = "ok"
    reason: str = ""

    def take(self, result: ProxyResult, loss: float = math.nan) -> None:
        """Record the result of a step, or of the start."""
        self.scores, self.loss = measured(result.scores), float(loss)
        self.values.append(float(result.reward))
        self.status, self.reason = result.status, result.reason


class LossEnv(gymnasium.Env[Observation, Any]):
    """An environment whose action is theta, and whose observation is a row of fields.

    Args:
        space: of theta.
        score_names: the scores of the task, in the order in which they are observed.
        fields: of the observation, in order: name -> how many numbers, their low and high.
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
        fields: Mapping[str, tuple[int, float, float]],
        normalize_action: bool,
        render_mode: str | None,
        length: int,
    ) -> None:
        if operator.index(length) < 1:
            raise ValueError(f"expected an episode length >= 1, got {length!r}")
        self.space, self.score_names, self.render_mode = space, score_names, render_mode
        self.length = length
        self._episode: Episode | None = None
        low = -1.0 if normalize_action else 0.0
        self.action_space = Box(low, 1.0, (space.dim,), np.float32)
        sizes, lows, highs = zip(*fields.values(), strict=True)
        self._low, self._high = np.repeat(np.array([lows, highs], np.float32), sizes, axis=1)
        self.observation_space = Box(self._low, self._high, dtype=np.float32)
        self.observation_fields = {
            name: slice(end - size, end)
            for name, size, end in zip(fields, sizes, np.cumsum(sizes).tolist(), strict=True)
        }

    def begin(self, number: int = 0) -> Episode:
        """A new episode at the identity, with a seed drawn from `np_random`."""
        drawn = int(self.np_random.integers(2**31))
        self._episode = Episode(drawn, self.space.identity().tolist(), number)
        return self._episode

    @property
    def episode(self) -> Episode:
        """The current episode; ResetNeeded before the first reset."""
        if self._episode is None:
            raise ResetNeeded("no episode has started; call reset() first")
        return self._episode

    @property
    def progress(self) -> float:
        """Share of the episode's steps that are done, in [0, 1]."""
        return self.episode.step / self.length

    def is_over(self) -> bool:
        """Whether the episode has had all its steps."""
        return self.episode.step >= self.length

    def episode_to_step(self) -> Episode:
        """The current episode; ResetNeeded when it is over."""
        if self.is_over():
            raise ResetNeeded("the episode is over; call reset() before step()")
        return self.episode

    def info(self) -> dict[str, Any]:
        """The info of every step."""
        episode = self.episode
        return {
            "scores": dict(episode.scores),
            "control_points": self.space.control_points(episode.theta),
            "theta": np.array(episode.theta),
            "status": episode.status,
            "reason": episode.reason,
            "seed": episode.seed,
        }

    def theta_of(self, action: ArrayLike) -> Theta:
        """The theta (D,) float64 in [0, 1] of an action, a copy at full precision.

        Raises gymnasium.error.InvalidAction.
        """
        low, what = float(self.action_space.low[0]), "the action (clip samples outside the bounds)"
        values = checked_array(what, action, (self.space.dim,), low, 1.0, InvalidAction)
        theta: Theta = (values - low) / (1.0 - low)
        return theta

    def pack(self, **values: ArrayLike) -> Observation:
        """A value for each field -> observation (L,) float32, clipped to the fields' bounds."""
        parts = [np.ravel(values[name]) for name in self.observation_fields]
        return np.concatenate(parts).astype(np.float32).clip(self._low, self._high)

    def score_vector(self, scores: Mapping[str, float]) -> NDArray[np.float64]:
        """Scores (S,) in the order of `score_names`: in [0, 1], UNKNOWN where not measured."""
        known = {name: min(max(score, 0.0), 1.0) for name, score in measured(scores).items()}
        return np.array([known.get(name, UNKNOWN) for name in self.score_names])

    @abstractmethod
    def _picture(self) -> tuple[Mapping[str, Theta], Course, str]:
        """The content of a frame: label -> theta; the course of the scores; its x label."""

    def render(self) -> Image | None:
        """(H, W, 3) uint8, always of the same size; None, and a warning, without a render_mode."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                'render() draws nothing in an environment made without render_mode="rgb_array"'
            )
            return None
        return draw_frame(self.space, *self._picture())


def measured(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores that could be measured, as Python floats."""
    return {name: float(score) for name, score in scores.items() if math.isfinite(score)}


def asked_space(
    metric: str | None = None, surface: str | None = None, pieces: int | None = None
) -> SearchSpace | None:
    """The space requested by name, by default of mIoU and bezier; None: the proxy's."""
    if metric is None and surface is None and pieces is None:
        return None
    return search_space(metric or "mIoU", surface or "bezier", pieces)
