"""The environments as Gymnasium's registry knows them; what ``import rl`` does."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from rl.envs import LossScheduleEnv, LossSearchEnv

KWARGS = {
    "autoseg/LossSearch-v0": {"proxy_kwargs": {"noise": 0.1}, "metric": "mAcc", "horizon": 2},
    "autoseg/LossSchedule-v0": {"proxy_kwargs": {"noise": 0.1}, "metric": "mAcc", "steps": 2},
}
CLASSES = {"autoseg/LossSearch-v0": LossSearchEnv, "autoseg/LossSchedule-v0": LossScheduleEnv}


def test_importing_rl_is_cheap() -> None:
    source = "import sys, rl; print({'torch', 'matplotlib', 'rl.envs'} & set(sys.modules))"
    command = [sys.executable, "-W", "error", "-c", source]
    assert subprocess.check_output(command, text=True).strip() == "set()"


@pytest.mark.parametrize("name", KWARGS)
def test_a_spec_survives_json(name: str) -> None:
    env = gymnasium.make(f"rl:{name}", **KWARGS[name])
    assert type(env.unwrapped) is CLASSES[name]
    assert env.spec is not None
    twin = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    action = np.full(6, 0.3)
    for each in (env, twin):
        each.reset(seed=3)
    np.testing.assert_equal(env.step(action), twin.step(action))


@pytest.mark.parametrize("name", ["loss_search", "loss_search_vector", "loss_schedule"])
def test_the_examples_of_the_docstrings(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"rl.envs.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
