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


def test_importing_rl_is_cheap() -> None:
    source = "import sys, rl; print({'torch', 'matplotlib', 'rl.envs'} & set(sys.modules))"
    command = [sys.executable, "-W", "error", "-c", source]
    assert subprocess.check_output(command, text=True).strip() == "set()"


@pytest.mark.parametrize(
    ("name", "kind", "length"),
    [("LossSearch", LossSearchEnv, "horizon"), ("LossSchedule", LossScheduleEnv, "steps")],
)
def test_a_spec_survives_json(name: str, kind: type, length: str) -> None:
    options = {"proxy_kwargs": {"noise": 0.1}, "metric": "mAcc", length: 2}
    env = gymnasium.make(f"rl:autoseg/{name}-v0", **options)
    assert type(env.unwrapped) is kind
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
