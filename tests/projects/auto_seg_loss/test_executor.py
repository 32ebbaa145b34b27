"""executor.py: a worker builds the driver's proxy from what it was sent."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode

from auto_seg_loss.executor import check_executor, open_executor, worker_recipe, worker_sizes
from auto_seg_loss.proxy import build_proxy
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search_setup import build_sets

THETA = np.full(12, 0.4)
SHORT = ("SEARCH.WARM_START.MAX_ITER", 2)


def test_a_worker_scores_as_the_driver_does(shapes, make_cfg, weights, monkeypatch, tmp_path):
    """In another process: elsewhere, with generators anywhere; relative paths are sent whole."""
    monkeypatch.chdir(shapes)
    monkeypatch.setenv("DETECTRON2_DATASETS", ".")
    cfg = make_cfg("SEARCH.SCALE_ITERS", 1, "MODEL.WEIGHTS", weights, *SHORT)
    proxy = build_proxy(cfg, *build_sets(cfg))
    sent = pickle.dumps(worker_recipe(cfg, proxy))
    expected = proxy.evaluate(THETA, 5)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (tmp_path / "output" / "warm_start.pth").unlink()
    torch.manual_seed(9)
    assert pickle.loads(sent)().evaluate(THETA, 5) == expected
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("weights", "sent"), [("own.pth", "{here}/own.pth"), ("package://a/b.pth", "package://a/b.pth")]
)
def test_workers_get_whole_paths_of_features(make_cfg, monkeypatch, tmp_path, weights, sent):
    monkeypatch.chdir(tmp_path)
    Path("own.pth").touch()
    cfg = make_cfg("FEATURES.CACHE", "kept", "FEATURES.WEIGHTS", weights)
    nothing = SimpleNamespace(start={}, search=[], holdout=[])
    features = CfgNode.load_cfg(worker_recipe(cfg, nothing).args[0]).FEATURES
    assert str(tmp_path / "kept") == features.CACHE
    assert sent.format(here=tmp_path) == features.WEIGHTS


@pytest.mark.parametrize("name", ["serial", "ray"])  # which does not start before a candidate
def test_an_executor_has_the_settings_of_the_config(make_proxy, name):
    pytest.importorskip("ray")
    proxy = make_proxy("SEARCH.EXECUTOR.TIMEOUT", 60, "SEARCH.EXECUTOR.NAME", name)
    with open_executor(proxy.cfg, proxy) as executor:
        assert name == "ray" or executor.task is proxy
        assert (executor.policy.max_retries, executor.policy.timeout) == (2, 60)


@pytest.mark.parametrize(
    "options, device, expected",
    [
        ((), "cpu", (None, 1.0, 0.0)),
        (("SEARCH.EXECUTOR.WORKERS", 3, "SEARCH.EXECUTOR.CPUS", 0.5), "cpu", (3, 0.5, 0.0)),
        (("SEARCH.EXECUTOR.GPUS", 0.5), "cuda:1", (None, 1.0, 0.5)),
    ],
)
def test_what_a_worker_takes(make_cfg, monkeypatch, options, device, expected):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    sizes = worker_sizes(make_cfg("MODEL.DEVICE", device, *options))
    assert (sizes["workers"], sizes["cpus"], sizes["gpus"]) == expected


def test_an_executor_that_is_not_installed_is_refused(make_cfg, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "rl.executors.ray", raising=False)
    with pytest.raises(ConfigError, match=r"'ray'.*pip install -e '\.\[ray\]'"):
        check_executor(make_cfg("SEARCH.EXECUTOR.NAME", "ray"))
