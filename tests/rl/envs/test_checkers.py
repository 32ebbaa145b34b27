"""Gymnasium's and Stable-Baselines3's checkers on every registered id."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import rl
from autoseg_core import SearchSpace
from rl.proxies import Quadratic

assert rl  # registers the ids
IDS = sorted(name for name in gymnasium.registry if name.startswith("autoseg/"))
SPACE = SearchSpace("mAcc")


NAMED = {"proxy": "quadratic", "proxy_kwargs": {"noise": 0.1}, "metric": "mAcc"}
OBJECT = {"proxy": Quadratic(np.linspace(0.2, 0.8, SPACE.dim), noise=0.1, space=SPACE)}


@pytest.mark.parametrize("arguments", [NAMED, OBJECT], ids=["named", "object"])
@pytest.mark.parametrize("name", IDS)
def test_gymnasium_s_checker_finds_nothing(name: str, arguments: dict[str, Any]) -> None:
    env = gymnasium.make(name, render_mode="rgb_array", **arguments)
    check_env(env.unwrapped)  # also renders; what it warns of is an error here
    env.close()


@pytest.mark.parametrize("name", IDS)
def test_stable_baselines_checker_finds_nothing(name: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    env = gymnasium.make(name, render_mode="rgb_array", normalize_action=True, **NAMED)
    checker.check_env(env, skip_render_check=False)
