"""jobs.py: trials on a Ray cluster, and what is told of them. Processes: test_trials.py."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from auto_seg_loss.study.jobs import Job, run_jobs, told
from auto_seg_loss.study.record import Record, Trial
from auto_seg_loss.study.trials import run_trial
from rl.executors import ExecutorError

TEST = "shapes_sem_seg_test"


@pytest.fixture(scope="module")
def cluster():
    """One node with one CPU, which this process is connected to."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from rl.executors.ray_cluster import connect

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    connect(nodes.address)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def test_a_node_that_joins_later_gets_trials(cluster, make_cfg, tmp_path):
    """Each of two trials waits for the other, and there is room for one at the beginning."""

    def wait_for(number):
        end = time.monotonic() + 200
        while len(list(tmp_path.glob("[12]"))) < number and time.monotonic() < end:
            time.sleep(0.05)
        return time.monotonic() < end

    def call(cfg, trial):
        (tmp_path / str(trial.seed)).touch()
        return {"scores": {}} if wait_for(2) else {"failed": "it was alone"}

    cfg = make_cfg("SEARCH.EXECUTOR.NAME", "ray", "SEARCH.EXECUTOR.CPUS", 1.0)
    record = Record(tmp_path / "trials.jsonl", {})
    jobs = [Job(record, Trial("dice", 0.05, 3, seed), cfg) for seed in (1, 2)]
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(lambda: [result for _, result in run_jobs(call, jobs)])
        assert wait_for(1)
        cluster.add_node(num_cpus=1)  # needs the main thread
        assert made.result() == [{"scores": {}}] * 2


def test_trials_on_ray(cluster, make_cfg, shapes, tmp_path):
    """A training scores the same; a dead worker costs its trial; too many workers are refused."""

    def call(cfg, trial):
        return run_trial(cfg, trial, [TEST]) if trial.seed else os._exit(1)

    node = "SEARCH.EXECUTOR."
    small = (node + "NAME", "ray", node + "CPUS", 0.01, node + "MAX_RETRIES", 0)
    cfg, record = make_cfg(*small, node + "WORKERS", 1), Record(tmp_path / "trials.jsonl", {})
    good, bad = Trial("dice", 0.05, 3, 1), Trial("dice", 0.05, 3, 0)
    for _ in run_jobs(call, [Job(record, good, cfg), Job(record, bad, cfg)]):
        pass
    assert record.results[good] == run_trial(cfg, good, [TEST]), torch.get_num_threads()
    assert "worker died" in record.results[bad]["failed"]
    with pytest.raises(ExecutorError, match="do not fit"):
        many = make_cfg(*small, node + "WORKERS", 10**6)
        list(run_jobs(call, [Job(record, good, many)]))


def test_progress_is_told_in_lines_where_there_is_no_terminal(capsys):
    assert list(told(iter("abc"), "seeds", 3, every=0.0)) == ["a", "b", "c"]
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["seeds: 1/3", "seeds: 2/3", "seeds: 3/3"]
    assert lines[-1].endswith("00:00 left")
    list(told(iter("abc"), "seeds", 3))  # too short for more than its end
    assert capsys.readouterr().err.startswith("seeds: 3/3")
