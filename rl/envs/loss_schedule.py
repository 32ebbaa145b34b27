"""LossSchedule-v0: one training is the episode, and each step sets theta for the next part of it.

Shapes: D search coordinates, S scores, G curves of the metric, K control points of a curve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rl.envs import base
from rl.envs.base import UNKNOWN, LossEnv, Observation, Step, Theta
from rl.figures import Course
from rl.proxies import make_task, training_of
from rl.proxy import ProxyTask, TrainingTask, check_result, score_names_of
from rl.settings_diff import differences

HIGHEST_LOSS = 2.0
"""Upper clip of an observed loss; a surrogate loss, 1 - score, lies roughly in [0, 1]."""


class LossScheduleEnv(LossEnv):
    """
    ## Description

    A loss that changes while it trains. One training run of the proxy is the episode; each step
    sets the surrogate's coordinates theta for the next part of it, 1/`steps` of the whole, and the
    network is *not* reset in between. So, unlike in `autoseg/LossSearch-v0`, an action changes the
    state for later actions.

    ## Action Space

    Theta itself, as in `autoseg/LossSearch-v0`.

    ## Observation Space

    A flat `Box` of float32 with the fields below, named as in `autoseg/LossSearch-v0`.

    | Num            | Field      | Observation                                            | Min | Max |
    |----------------|------------|--------------------------------------------------------|-----|-----|
    | 0              | `progress` | completed share of the training                        | 0   | 1   |
    | 1 .. S         | `scores`   | current scores, clipped to [0, 1]; -1: not measured    | -1  | 1   |
    | S+1            | `loss`     | mean training loss of the last step, clipped to [0, 2]; -1: none yet, or not measured | -1 | 2 |
    | S+2 .. S+D+1   | `theta`    | last theta; the identity surfaces before the first     | 0   | 1   |

    ## Rewards

    The gain of the validation score: the score after the step less the score before it, counted
    from 0. So the rewards of an episode sum to its final score (up to rounding), and the first
    reward includes the network's score at the start. When a training diverges, its score falls to
    the floor 0, and the reward is minus the score so far.

    ## Starting State

    Reset draws a seed from `np_random` and starts a training with it, from untrained or warm-started
    weights, depending on the proxy, and their scores.

    ## Episode End

    Termination: the training is done, after `steps` steps, or it has diverged. There is no
    truncation.

    ## Information

    `reset` and `step` give

    - `losses`: `{"training": mean loss of the step}`, empty where there is none.
    - `scores`, `control_points`, `theta` (the identity surfaces' after a reset), `status`, `reason`
      and `seed` (the training's) as in `autoseg/LossSearch-v0`.

    ## Arguments

    ```python
    >>> import gymnasium as gym
    >>> env = gym.make("rl:autoseg/LossSchedule-v0", proxy="quadratic", metric="mAcc", steps=4)
    >>> observation, info = env.reset(seed=0)
    >>> rewards = [env.step([0.2, 0.3, 0.4, 0.5, 0.7, 0.8])[1] for _ in range(4)]
    >>> [round(reward, 3) for reward in rewards], round(sum(rewards), 3)
    ([0.25, 0.25, 0.25, 0.25], 0.999)

    ```

    | Parameter          | Type            | Default       | Description                          |
    |--------------------|-----------------|---------------|--------------------------------------|
    | `proxy`            | **str / object** | `"quadratic"` | name in `rl.proxies.PROXIES`, `"module:factory"`, or an object that has `training()` or is a `rl.proxy.TrainingTask`, which then serves this environment only |
    | `steps`            | **int**         | `10`          | steps of an episode                  |
    | `render_mode`      | **str**         | `None`        | `"rgb_array"`: surfaces (identity, current) and the episode's score over its progress |

    `proxy_kwargs`, `metric`, `surface`, `pieces` and `normalize_action` are those of
    `autoseg/LossSearch-v0`.

    ## State

    `state_dict()` holds everything the rest of the run depends on: the state of the training, of the
    episode and of the generator. It can be saved with `torch.save` and read with
    `torch.load(path, weights_only=True)`. A new environment with the same arguments continues
    exactly from it: call `env.reset()` first, as Gymnasium's wrappers require it, then
    `env.unwrapped.load_state_dict(state)`; `observation()` is the agent's observation there.
    """  # noqa: E501  (a table's row is one line)

    def __init__(
        self,
        proxy: str | ProxyTask | TrainingTask = "quadratic",
        proxy_kwargs: Mapping[str, Any] | None = None,
        metric: str | None = None,
        surface: str | None = None,
        pieces: int | None = None,
        steps: int = 10,
        normalize_action: bool = False,
        render_mode: str | None = None,
    ) -> None:
        task, space = make_task(proxy, proxy_kwargs, base.asked_space(metric, surface, pieces))
        self.training = training_of(task)
        names = score_names_of(self.training)
        fields = {
            "progress": (1, 0.0, 1.0),
            "scores": (len(names), UNKNOWN, 1.0),
            "loss": (1, UNKNOWN, HIGHEST_LOSS),
            "theta": (space.dim, 0.0, 1.0),
        }
        super().__init__(space, names, fields, normalize_action, render_mode, steps)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a new training."""
        super().reset(seed=seed)
        episode = self.begin()
        episode.take(check_result(self.training, self.training.start(episode.seed)))
        return self.observation(), self.info()

    def step(self, action: ArrayLike) -> Step:
        """Continue training with the theta of an action, for 1/steps of the whole training."""
        episode, theta = self.episode_to_step(), self.theta_of(action)
        before = episode.values[-1] if episode.step > 0 else 0.0
        done = self.training.advance(theta.copy(), 1.0 / self.length)
        episode.theta, episode.step = theta.tolist(), episode.step + 1
        episode.take(check_result(self.training, done.result), done.loss)
        reward = episode.values[-1] - before
        return self.observation(), reward, self.is_over(), False, self.info()

    def is_over(self) -> bool:
        """Whether the training is done, or has diverged."""
        return super().is_over() or (self.episode.step > 0 and self.episode.status == "failed")

    def observation(self) -> Observation:
        """The current observation; ResetNeeded before the first reset."""
        episode = self.episode
        return self.pack(
            progress=self.progress,
            scores=self.score_vector(episode.scores),
            loss=max(episode.loss, 0.0) if math.isfinite(episode.loss) else UNKNOWN,
            theta=episode.theta,
        )

    def info(self) -> dict[str, Any]:
        """The base class's info, and the loss of the last step."""
        return {**super().info(), "losses": base.measured({"training": self.episode.loss})}

    def state_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists, dicts and tensors; ResetNeeded before the first reset."""
        return {
            "settings": self._settings(),
            "training": self.training.state_dict(),
            "episode": asdict(self.episode),
            "np_random": self.np_random.bit_generator.state,
            "np_random_seed": self.np_random_seed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from the `state` of another environment; ValueError for other settings."""
        if unlike := differences(state["settings"], self._settings()):
            raise ValueError(
                "the state is from another environment; make this one with the same arguments. "
                f"State -> this one: {'; '.join(unlike)}"
            )
        self.training.load_state_dict(state["training"])
        self._episode = base.Episode(**deepcopy(state["episode"]))
        self.np_random = np.random.Generator(np.random.PCG64())
        self.np_random.bit_generator.state = state["np_random"]
        self._np_random_seed = state["np_random_seed"]

    def _settings(self) -> dict[str, Any]:
        names = list(self.score_names)
        return {"space": self.space.to_dict(), "steps": self.length, "score_names": names}

    def _picture(self) -> tuple[Mapping[str, Theta], Course, str]:
        thetas = {"identity": self.space.identity()}
        values: list[float] = []
        if self._episode is not None:
            values = self._episode.values
            thetas["current"] = np.array(self._episode.theta)
        progress = [step / self.length for step in range(len(values))]
        return thetas, {"score": (progress, values)}, "progress"
