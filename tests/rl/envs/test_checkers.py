"""Gymnasium's and Stable-Baselines3's checkers on every registered id, with every proxy."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import rl
from autoseg_core import SearchSpace
from rl.proxies import PROXIES, Quadratic

assert rl  # registers the ids
IDS = sorted(name for name in gymnasium.registry if name.startswith("autoseg/"))
SPACE = SearchSpace("mAcc")


def _named(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"proxy": name, "proxy_kwargs": kwargs, "metric": "mAcc"}


ARGUMENTS = {
    "quadratic": _named("quadratic", noise=0.1),
    "rastrigin": _named("rastrigin"),
    "two_peaks": _named("two_peaks"),
    "shapes": _named("shapes", iterations=8),
    "object": {"proxy": Quadratic(np.linspace(0.2, 0.8, SPACE.dim), noise=0.1, space=SPACE)},
}


def test_every_id_and_every_proxy_is_checked() -> None:
    assert IDS == ["autoseg/LossSchedule-v0", "autoseg/LossSearch-v0"]
    assert set(ARGUMENTS) == {*PROXIES, "object"}


@pytest.mark.parametrize("proxy", ARGUMENTS)
@pytest.mark.parametrize("name", IDS)
def test_gymnasium_s_checker_finds_nothing(name: str, proxy: str) -> None:
    env = gymnasium.make(name, render_mode="rgb_array", **ARGUMENTS[proxy])
    check_env(env.unwrapped)  # also renders; what it warns of is an error here
    env.close()


@pytest.mark.parametrize("proxy", ARGUMENTS)
@pytest.mark.parametrize("name", IDS)
def test_stable_baselines_checker_finds_nothing(name: str, proxy: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    arguments = ARGUMENTS[proxy]
    env = gymnasium.make(name, render_mode="rgb_array", normalize_action=True, **arguments)
    checker.check_env(env, skip_render_check=False)
