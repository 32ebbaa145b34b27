"""pool.py: calls on a Ray cluster. Processes: test_trials.py; a study: test_study_net.py."""

from __future__ import annotations

import os

import pytest

from auto_seg_loss.study.pool import map_jobs
from rl.executors import ExecutorError

NODE = "SEARCH.EXECUTOR."


@pytest.fixture
def ray():
    module = pytest.importorskip("ray")
    from rl.executors.ray_cluster import connect

    connect(None)
    yield module
    module.shutdown()


def test_a_dead_worker_costs_its_call_and_too_much_is_refused(ray, make_cfg):
    def double(cfg, number):
        if number == 2:
            os._exit(1)
        return 2 * number

    small = (NODE + "NAME", "ray", NODE + "CPUS", 0.01, NODE + "MAX_RETRIES", 0)
    cfg = make_cfg(*small, NODE + "WORKERS", 1)
    found = dict(map_jobs(double, [(cfg, number) for number in (1, 2, 3)]))
    assert (found[0], found[2]) == (2, 6)
    assert "worker died" in found[1]["failed"]
    with pytest.raises(ExecutorError, match="do not fit"):
        list(map_jobs(double, [(make_cfg(*small, NODE + "WORKERS", 10**6), 1)]))
