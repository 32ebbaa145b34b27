"""The native vectorized form of LossSearch-v0: n candidates per step, evaluated together.

Shapes: N environments, D search coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
from gymnasium.error import InvalidAction
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import ArrayLike, NDArray

from autoseg_core import SearchSpace
from rl.envs.base import Observation, asked_space
from rl.envs.loss_search import LossSearchEnv
from rl.executors import Executor, make_executor
from rl.proxies import make_task
from rl.proxy import ProxyResult, ProxyTask, check_result, score_names_of

VectorStep = tuple[
    Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
]


class LossSearchVectorEnv(SyncVectorEnv):
    """
    ## Description

    N environments `autoseg/LossSearch-v0` that step together: a step's N candidates are evaluated
    by an executor, so that they may run in parallel. Everything it returns is what
    `gymnasium.vector.SyncVectorEnv` of N such environments returns in its same-step mode, dtypes,
    masks and seeds (seed, seed + 1, ...) included; the executor changes the time only.

    `metadata["autoreset_mode"]` is `AutoresetMode.SAME_STEP`: an episode that ends is followed by
    the next one's first observation in the same step, and its own last observation and info are in
    `infos["final_obs"]` and `infos["final_info"]`. With gymnasium's default, the next-step mode,
    every second step of one-step episodes would evaluate nothing.

    A refused action leaves all N environments unchanged. So does a lost evaluation, since it has no
    reward: after the retries of `rl.executors`, `step` raises `rl.proxy.LostError` and may be
    called again. (N environments stepped one by one let the original exception
    through.)

    ## Action Space, Observation Space, Rewards, Starting State, Episode End, Information

    `LossSearchEnv`'s, batched along a first axis of length N.

    ## Arguments

    ```python
    >>> import gymnasium as gym
    >>> envs = gym.make_vec("rl:autoseg/LossSearch-v0", num_envs=8, proxy="quadratic")
    >>> envs
    LossSearchVectorEnv(autoseg/LossSearch-v0, num_envs=8)
    >>> _ = envs.reset(seed=0)
    >>> _, rewards, terminations, _, infos = envs.step(envs.action_space.sample())
    >>> rewards.shape, terminations.all().item(), infos["final_info"]["candidate_id"][0]
    ((8,), True, 'e00000c00')
    >>> envs.close()

    ```

    | Parameter         | Type             | Default    | Description                                |
    |-------------------|------------------|------------|--------------------------------------------|
    | `num_envs`        | **int**          | `1`        | environments, i.e. candidates per step     |
    | `executor`        | **str / object** | `"serial"` | name in `rl.executors`, or your own executor for this problem, which is not closed at the end |
    | `executor_kwargs` | **dict**         | `None`     | keywords of a named executor               |

    The others are `LossSearchEnv`'s. A named proxy is built once in this process (for its space),
    and once more in each worker process of the executor, if any.
    """  # noqa: E501  (a table's row is one line)

    def __init__(
        self,
        num_envs: int = 1,
        executor: str | Executor = "serial",
        executor_kwargs: Mapping[str, Any] | None = None,
        *,
        proxy: str | ProxyTask = "quadratic",
        proxy_kwargs: Mapping[str, Any] | None = None,
        metric: str | None = None,
        surface: str | None = None,
        pieces: int | None = None,
        **options: Any,
    ) -> None:
        # First, for `close`, which the library also calls when the rest fails.
        self._owned: Executor | None = None
        if num_envs < 1:
            raise ValueError(f"expected num_envs >= 1, a candidate per step; got {num_envs}")
        asked = asked_space(metric, surface, pieces)
        task, space = make_task(proxy, proxy_kwargs, asked)
        self._answers = _Answers(space, score_names_of(task))
        make_env = partial(LossSearchEnv, self._answers, **options)
        # The library does autoreset, batching and masks; this class only does the evaluations.
        super().__init__([make_env] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        self._searches = cast("list[LossSearchEnv]", self.envs)
        self._steps = 0
        if isinstance(executor, str):
            here = executor == "serial"
            make = (lambda: task) if here else partial(task_of, proxy, proxy_kwargs, asked)
            executor = self._owned = make_executor(executor, make, **(executor_kwargs or {}))
        elif executor_kwargs:
            raise ValueError(f"executor_kwargs {[*executor_kwargs]} are for a named executor")
        self._executor = executor

    def step(self, actions: ArrayLike) -> VectorStep:
        """Evaluate the N candidates of actions (N, D), then step every environment with its own.

        Raises gymnasium.error.InvalidAction, ResetNeeded before the first reset, rl.proxy.LostError
        for an evaluation that was lost.
        """
        batch = list(np.asarray(actions))
        if len(batch) != self.num_envs:
            raise InvalidAction(f"expected {self.num_envs} actions, one per row; got {len(batch)}")
        # Each environment names its own candidates; an executor needs unique names.
        candidates = [
            replace(env.propose(action), id=f"s{self._steps:06d}n{index:03d}")
            for index, (env, action) in enumerate(zip(self._searches, batch, strict=True))
        ]
        self._steps += 1
        results = self._executor.run(candidates)
        self._answers.results = [check_result(self._executor, result) for result in results]
        return super().step(batch)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments, and the executor if it was created here."""
        super().close_extras(**kwargs)
        if self._owned is not None:
            self._owned.close()


def task_of(
    proxy: str | ProxyTask, proxy_kwargs: Mapping[str, Any] | None, space: SearchSpace | None
) -> ProxyTask:
    """Only the task, made in the worker, since a network and its data should not be pickled."""
    task: ProxyTask = make_task(proxy, proxy_kwargs, space)[0]
    return task


class _Answers:
    """The task of the environments, which step in order: returns the executor's results."""

    def __init__(self, space: SearchSpace, score_names: tuple[str, ...]) -> None:
        self.space, self.score_names = space, score_names
        self.results: list[ProxyResult] = []

    def evaluate(self, theta: NDArray[np.float64], seed: int, budget: float = 1.0) -> ProxyResult:
        return self.results.pop(0)
