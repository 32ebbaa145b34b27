"""LossSearch-v0: each step proposes one theta, and its proxy score is the reward.

Shapes: D search coordinates, S scores, G curves of the metric, K control points of a curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rl.envs.base import UNKNOWN, LossEnv, Observation, Step, Theta, asked_space
from rl.executors import Candidate
from rl.figures import Course
from rl.proxies import make_task
from rl.proxy import ProxyTask, check_result, score_names_of


class LossSearchEnv(LossEnv):
    """
    ## Description

    Search for a segmentation loss, as in [Auto Seg-Loss](https://arxiv.org/abs/2010.07930). The
    loss is a metric's differentiable surrogate, whose surfaces have D free coordinates theta. Each
    step proposes one theta; a proxy task (a short training of a small network, or a substitute for
    it) scores it by the exact metric on held-out images.

    The problem is a bandit with a continuous action: no step changes the rewards of later ones. An
    episode of one step (`horizon=1`) is therefore the natural form; longer ones let an agent
    observe the scores of earlier candidates.

    ## Action Space

    `Box(0, 1, (D,), float32)`: theta itself, named by `env.unwrapped.space.names`; D is 12 for
    mIoU. With `normalize_action=True` it is `Box(-1, 1, (D,), float32)`, and
    theta = (action + 1) / 2. An action of another shape or beyond the bounds raises
    `gymnasium.error.InvalidAction`.

    ## Observation Space

    A flat `Box` of float32. `env.unwrapped.observation_fields` maps the field's name to its slice,
    and `env.unwrapped.score_names` names the S scores in order.

    | Num           | Field         | Observation                                    | Min | Max |
    |---------------|---------------|------------------------------------------------|-----|-----|
    | 0 .. D-1      | `last_action` | last theta; the identity surfaces before it    | 0   | 1   |
    | D .. D+S-1    | `last_scores` | its scores, clipped to [0, 1]; -1: not measured | -1  | 1   |
    | D+S           | `best`        | best reward of the episode; -1 before the first | -1  | 1   |
    | D+S+1         | `budget_used` | used share of the episode's candidates         | 0   | 1   |

    `last_action` is theta in [0, 1] also with `normalize_action=True`.

    ## Rewards

    The score of the proposed theta: the metric on the proxy's held-out images, in [0, 1]. A theta
    whose training diverges earns 0, and `info` says so.

    ## Starting State

    Nothing has been proposed: `last_action` is the identity surfaces' theta, scores and best are
    -1. Reset draws the episode's evaluation seed from `np_random`; all candidates of an episode
    are evaluated under it and so differ by theta only.

    ## Episode End

    Termination: `horizon` candidates were scored. There is no truncation.

    ## Information

    `reset` gives `seed`; `step` gives

    - `scores`: dict of every score that was measured, by name.
    - `control_points`: the G curves of theta, (K, 2) float64 each, ends included.
    - `theta`: (D,) float64, as evaluated.
    - `status`, `reason`: "ok" and "", or "failed" and why.
    - `candidate_id`: "e00003c00" is the first candidate of the fourth episode since the last
      seeded reset.
    - `seed`: the evaluation seed of the episode.

    Nothing in it differs between equally seeded runs.

    ## Arguments

    ```python
    >>> import gymnasium as gym
    >>> env = gym.make("rl:autoseg/LossSearch-v0", proxy="quadratic", metric="mAcc")
    >>> env.action_space
    Box(0.0, 1.0, (6,), float32)
    >>> observation, info = env.reset(seed=0)
    >>> fields = env.unwrapped.observation_fields
    >>> observation[fields["last_action"]]
    array([0.25      , 0.25      , 0.33333334, 0.33333334, 0.5       ,
           0.5       ], dtype=float32)
    >>> _, reward, terminated, _, info = env.step([0.5] * 6)
    >>> round(reward, 3), terminated, info["candidate_id"]
    (0.958, True, 'e00000c00')

    ```

    | Parameter          | Type            | Default       | Description                          |
    |--------------------|-----------------|---------------|--------------------------------------|
    | `proxy`            | **str / object** | `"quadratic"` | name in `rl.proxies.PROXIES`, `"module:factory"`, or a `rl.proxy.ProxyTask` |
    | `proxy_kwargs`     | **dict**        | `None`        | keywords of the proxy's factory      |
    | `metric`           | **str**         | `None`        | metric or objective searched         |
    | `surface`          | **str**         | `None`        | family of curves                     |
    | `pieces`           | **int**         | `None`        | pieces of a curve                    |
    | `horizon`          | **int**         | `1`           | candidates of an episode             |
    | `normalize_action` | **bool**        | `False`       | `Box(-1, 1)` for libraries that insist on it |
    | `render_mode`      | **str**         | `None`        | `"rgb_array"`: surfaces (identity, last, best) and the rewards since the last seeded reset |

    Without metric, surface and pieces the space is the proxy's own. With one of them, the others
    default to mIoU, bezier and the metric's number of pieces. `reset` takes no options.

    ## Vectorized environment

    `gymnasium.make_vec("rl:autoseg/LossSearch-v0", num_envs=8, ...)` gives
    `rl.envs.loss_search_vector.LossSearchVectorEnv`: n candidates a step, evaluated in parallel.
    """  # noqa: E501  (a table's row is one line)

    def __init__(
        self,
        proxy: str | ProxyTask = "quadratic",
        proxy_kwargs: Mapping[str, Any] | None = None,
        metric: str | None = None,
        surface: str | None = None,
        pieces: int | None = None,
        horizon: int = 1,
        normalize_action: bool = False,
        render_mode: str | None = None,
    ) -> None:
        self.task, space = make_task(proxy, proxy_kwargs, asked_space(metric, surface, pieces))
        names = score_names_of(self.task)
        fields = {
            "last_action": (space.dim, 0.0, 1.0),
            "last_scores": (len(names), UNKNOWN, 1.0),
            "best": (1, UNKNOWN, 1.0),
            "budget_used": (1, 0.0, 1.0),
        }
        super().__init__(space, names, fields, normalize_action, render_mode, horizon)
        self._episodes = 0
        self._shown: list[tuple[Theta, float]] = []  # since the last seeded reset, for `render`

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; a seed also resets the count of episodes and the drawn history."""
        super().reset(seed=seed)
        if seed is not None:
            self._episodes, self._shown = 0, []
        episode = self.begin(self._episodes)
        self._episodes += 1
        return self._observation(), {"seed": episode.seed}

    def step(self, action: ArrayLike) -> Step:
        """Score the theta of an action. An exception of the task leaves the episode as it was."""
        candidate, episode = self.propose(action), self.episode
        theta = candidate.theta.copy()
        result = check_result(self.task, self.task.evaluate(theta, candidate.seed))
        episode.theta, episode.step = candidate.theta.tolist(), episode.step + 1
        episode.take(result)
        if self.render_mode is not None:  # kept only for drawing
            self._shown.append((candidate.theta, episode.values[-1]))
        info = {**self.info(), "candidate_id": candidate.id}
        return self._observation(), episode.values[-1], self.is_over(), False, info

    def propose(self, action: ArrayLike) -> Candidate:
        """The evaluation that a step with this action would make; has no side effects.

        Raises gymnasium.error.InvalidAction, or ResetNeeded without a running episode.
        """
        episode = self.episode_to_step()
        name = f"e{episode.number:05d}c{episode.step:02d}"
        return Candidate(name, self.theta_of(action), episode.seed)

    def _picture(self) -> tuple[Mapping[str, Theta], Course, str]:
        rewards = [reward for _, reward in self._shown]
        count = list(range(1, len(rewards) + 1))
        best = np.maximum.accumulate(rewards).tolist() if rewards else []
        thetas = {"identity": self.space.identity()}
        if rewards:
            thetas["last"] = self._shown[-1][0]
            thetas["best"] = self._shown[int(np.argmax(rewards))][0]
        return thetas, {"reward": (count, rewards), "best": (count, best)}, "candidate"

    def _observation(self) -> Observation:
        episode = self.episode
        return self.pack(
            last_action=episode.theta,
            last_scores=self.score_vector(episode.scores),
            best=max(*episode.values, 0.0) if episode.values else UNKNOWN,
            budget_used=self.progress,
        )
