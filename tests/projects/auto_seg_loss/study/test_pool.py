"""pool.py: calls on a Ray cluster. Processes: test_trials.py."""

from __future__ import annotations

import os

import pytest
import torch

from auto_seg_loss.study.pool import map_jobs
from auto_seg_loss.study.record import Trial
from auto_seg_loss.study.trials import run_trial
from rl.executors import ExecutorError

TEST = "shapes_sem_seg_test"


@pytest.fixture
def ray():
    module = pytest.importorskip("ray")
    from rl.executors.ray_cluster import connect

    connect(None)
    yield module
    module.shutdown()


def test_calls_on_ray(ray, make_cfg, shapes):
    """A training scores the same; a dead worker costs its call; too many workers are refused."""

    def call(cfg, trial):
        return run_trial(cfg, trial, [TEST]) if trial else os._exit(1)

    node = "SEARCH.EXECUTOR."
    small = (node + "NAME", "ray", node + "CPUS", 0.01, node + "MAX_RETRIES", 0)
    cfg, trial = make_cfg(*small, node + "WORKERS", 1), Trial("dice", 0.05, 3, 1)
    found = dict(map_jobs(call, [(cfg, trial), (cfg, None)]))
    assert found[0] == run_trial(cfg, trial, [TEST]), torch.get_num_threads()
    assert "worker died" in found[1]["failed"]
    with pytest.raises(ExecutorError, match="do not fit"):
        list(map_jobs(call, [(make_cfg(*small, node + "WORKERS", 10**6), trial)]))
