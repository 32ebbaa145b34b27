"""The native vector form gives what separate environments give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray
from small_searches import Breaking

from autoseg_core import SearchSpace
from rl.envs import LossSearchVectorEnv
from rl.executors import Candidate, SerialExecutor
from rl.proxies import Quadratic
from rl.proxy import LostError, ProxyResult

ID = "rl:autoseg/LossSearch-v0"
N, DIM = 3, 6


def _some_fail(theta: NDArray[np.float64]) -> bool:
    return bool(theta[0] > 0.7)


def _task() -> Quadratic:
    space = SearchSpace("mAcc")
    return Quadratic(np.full(DIM, 0.5), noise=0.05, fails=_some_fail, space=space)


def _native(**options: Any) -> LossSearchVectorEnv:
    env = gymnasium.make_vec(ID, num_envs=N, **{"proxy": _task(), **options})
    assert isinstance(env, LossSearchVectorEnv)
    return env


def _separate(**options: Any) -> VectorEnv:
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    options = {"proxy": _task(), **options}
    options |= {"vectorization_mode": "sync", "vector_kwargs": same_step}
    env = gymnasium.make_vec(ID, num_envs=N, **options)
    assert type(env) is SyncVectorEnv
    return env


def _actions(count: int) -> Iterator[NDArray[np.float32]]:
    generator = np.random.default_rng(11)
    yield from generator.random((count, N, DIM), dtype=np.float32)


def _same(one: Any, other: Any) -> None:
    """Equal to the last bit, types and dtypes included."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), [other[key] for key in one]
    if isinstance(one, list | tuple) or (isinstance(one, np.ndarray) and one.dtype == object):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            _same(a, b)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other, strict=True)
    else:
        assert one == other


@pytest.mark.parametrize("horizon", [1, 3])
def test_exactly_what_separate_environments_give(horizon: int) -> None:
    native, separate = _native(horizon=horizon), _separate(horizon=horizon)
    for name in ("single_action_space", "action_space", "observation_space"):
        assert getattr(native, name) == getattr(separate, name)
    _same(native.reset(seed=4), separate.reset(seed=4))
    failures = 0
    for actions in _actions(8):
        came = native.step(actions)
        _same(came, separate.step(actions))
        infos = came[4].get("final_info", came[4])
        failures += sum(infos["status"] == "failed")
    assert 0 < failures < 8 * N  # both kinds of result were compared
    _same(native.reset(), separate.reset())
    _same(native.reset(seed=[9, 8, 7]), separate.reset(seed=[9, 8, 7]))
    native.close()
    separate.close()


class _Noting(SerialExecutor):
    """Notes all that it is asked."""

    asked, closed = (), False

    def run(self, candidates: Sequence[Candidate]) -> Iterator[ProxyResult]:
        self.asked += tuple(candidate.id for candidate in candidates)
        return super().run(candidates)

    def close(self) -> None:
        self.closed = True


def test_an_executor_of_one_s_own() -> None:
    executor = _Noting(_task())
    env, separate = _native(executor=executor), _separate()
    env.reset(seed=4), separate.reset(seed=4)
    for actions in _actions(3):
        _same(env.step(actions), separate.step(actions))
    env.reset(seed=4)
    env.step(actions)
    assert len(set(executor.asked)) == 4 * N  # no id twice, also after a seeded reset
    env.close()
    assert not executor.closed
    with pytest.raises(ValueError, match="max_retries"):
        _native(executor=executor, executor_kwargs={"max_retries": 1})


def test_a_named_proxy_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import rl.proxies.quadratic as module

    built = []
    make = module.from_space
    monkeypatch.setattr(module, "from_space", lambda **kw: built.append(kw) or make(**kw))
    env = _native(proxy="quadratic", metric="mAcc")
    env.reset(seed=0)
    env.step(next(_actions(1)))
    assert len(built) == 1


def test_a_refused_action_changes_nothing() -> None:
    env, separate = _native(horizon=3), _separate(horizon=3)
    env.reset(seed=4), separate.reset(seed=4)
    bad = np.full((N, DIM), 0.5)
    bad[-1, 0] = np.nan
    with pytest.raises(InvalidAction, match=r"in \[0, 1\], got nan at \[0\]"):
        env.step(bad)
    with pytest.raises(InvalidAction, match="expected 3 actions, one per row; got 2"):
        env.step(bad[:2])
    actions = next(_actions(1))
    _same(env.step(actions), separate.step(actions))


@pytest.mark.parametrize(
    ("errors", "kind"),
    [([MemoryError("no memory")] * 2, LostError), ([OSError("7.png is no image")], OSError)],
)
def test_an_evaluation_without_a_reward_gives_none_and_changes_nothing(
    errors: list[Exception], kind: type[Exception]
) -> None:
    task = Breaking(np.full(DIM, 0.5), space=SearchSpace("mAcc"))
    retries = {"executor_kwargs": {"max_retries": 1}}
    env, separate = _native(proxy=task, horizon=3, **retries), _separate(proxy=task, horizon=3)
    env.reset(seed=4), separate.reset(seed=4)
    actions = next(_actions(1))
    task.errors = tuple(errors)
    with pytest.raises(kind, match=str(errors[0])):
        env.step(actions)
    _same(env.step(actions), separate.step(actions))


def test_no_environments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected num_envs >= 1, .* got 0"):
        gymnasium.make_vec(ID, num_envs=0)
