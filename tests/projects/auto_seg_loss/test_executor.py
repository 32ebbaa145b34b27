"""executor.py: a worker builds the driver's proxy from files, or refuses."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode

from auto_seg_loss.data.catalog import datasets_root
from auto_seg_loss.executor import check_executor, open_executor, plan, worker_recipe
from auto_seg_loss.proxy import build_proxy
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search_setup import build_sets
from rl.executors import SerialExecutor

THETA = np.full(12, 0.4)


@pytest.fixture
def driver(shapes, make_cfg):
    """``driver(KEY, VALUE, ...)``: a search's config and proxy, as the driver has them."""

    def make(*options):
        cfg = make_cfg("SEARCH.EXECUTOR.NAME", "ray", *options)
        return cfg, build_proxy(cfg, *build_sets(cfg))

    return make


def sent(recipe):
    """As it comes out at the other end."""
    return pickle.loads(pickle.dumps(recipe))


@pytest.mark.parametrize("iterations", [0, 30])
def test_a_worker_scores_as_the_driver_does(driver, monkeypatch, tmp_path, iterations):
    cfg, proxy = driver("SEARCH.WARM_START.MAX_ITER", iterations)
    recipe = worker_recipe(cfg, proxy)
    # another process: elsewhere, without the driver's environment, its generators anywhere
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETECTRON2_DATASETS", "nowhere")
    torch.manual_seed(9)
    worker = sent(recipe)()
    assert worker.evaluate(THETA, 5) == proxy.evaluate(THETA, 5)


def test_paths_are_sent_whole(driver, monkeypatch, shapes, weights, tmp_path):
    """Relative ones mean something else where a worker stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(shapes))
    (tmp_path / "start.pth").write_bytes(weights.read_bytes())
    cfg, proxy = driver("MODEL.WEIGHTS", "start.pth", "OUTPUT_DIR", "run")
    recipe = worker_recipe(cfg, proxy)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert sent(recipe)().evaluate(THETA, 5) == proxy.evaluate(THETA, 5)
    assert not list(elsewhere.iterdir())
    assert datasets_root().is_absolute()


def test_a_worker_without_the_file_says_where_it_must_be(driver, tmp_path):
    recipe = worker_recipe(*driver())
    (tmp_path / "output" / "warm_start.pth").unlink()
    with pytest.raises(ConfigError, match=r"warm_start\.pth does not exist .*all machines share"):
        recipe()


def test_a_worker_with_another_start_refuses(driver, tmp_path):
    recipe = worker_recipe(*driver())
    path = tmp_path / "output" / "warm_start.pth"
    content = torch.load(path, weights_only=True)
    next(iter(content["model"].values())).add_(1)
    torch.save(content, path)
    with pytest.raises(ConfigError, match="other weights than the search's driver"):
        recipe()


def test_a_worker_with_other_images_refuses(driver, shapes, monkeypatch, tmp_path):
    recipe = worker_recipe(*driver())
    other = tmp_path / "others"
    lists = other / "shapes" / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for path in (shapes / "shapes").iterdir():
        if path.name != "ImageSets":
            (other / "shapes" / path.name).symlink_to(path)
    for path in (shapes / "shapes" / "ImageSets" / "Segmentation").iterdir():
        (lists / path.name).write_text(path.read_text())
    stems = (lists / "train.txt").read_text().split()
    (lists / "train.txt").write_text("\n".join(stems[1:]))
    recipe.keywords["datasets"] = str(other)
    monkeypatch.setenv("DETECTRON2_DATASETS", "set again below")  # so that it is put back
    with pytest.raises(ConfigError, match="not those of the search's driver"):
        recipe()


def test_serial_evaluates_with_the_proxy_at_hand(driver):
    cfg, proxy = driver("SEARCH.EXECUTOR.NAME", "serial", "SEARCH.EXECUTOR.TIMEOUT", 60)
    with open_executor(cfg, proxy) as executor:
        assert isinstance(executor, SerialExecutor)
        assert executor.task is proxy
        assert (executor.policy.max_retries, executor.policy.timeout) == (2, 60)


@pytest.mark.parametrize(
    "options, device, expected",
    [
        ((), "cpu", (None, 1.0, 0.0)),
        (("SEARCH.EXECUTOR.WORKERS", 3, "SEARCH.EXECUTOR.CPUS", 0.5), "cpu", (3, 0.5, 0.0)),
        (("SEARCH.EXECUTOR.GPUS", 0.5), "cuda", (None, 1.0, 0.5)),
    ],
)
def test_the_keys_of_ray_reach_it(driver, monkeypatch, options, device, expected):
    pytest.importorskip("ray")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    cfg, proxy = driver(*options, "SEARCH.EXECUTOR.MAX_RETRIES", 5)
    cfg.defrost()
    cfg.MODEL.DEVICE = device
    _, settings = plan(cfg, proxy)
    assert (settings["workers"], settings["cpus"], settings["gpus"]) == expected
    with open_executor(cfg, proxy) as executor:  # takes them all; Ray starts with a candidate
        assert executor.policy.max_retries == 5 and executor.policy.timeout is None


@pytest.mark.parametrize("device, expected", [("cuda:1", "cuda"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_a_worker_takes_the_gpu_it_sees(driver, device, expected):
    cfg, proxy = driver("SEARCH.WARM_START.MAX_ITER", 0)
    cfg.defrost()
    cfg.MODEL.DEVICE = device
    recipe = worker_recipe(cfg, proxy)
    assert expected == CfgNode.load_cfg(recipe.keywords["config"]).MODEL.DEVICE
    assert device == cfg.MODEL.DEVICE


def test_an_executor_that_is_not_installed_is_refused(make_cfg, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "rl.executors.ray", raising=False)
    with pytest.raises(ConfigError, match=r"'ray'.*pip install -e '\.\[ray\]'"):
        check_executor(make_cfg("SEARCH.EXECUTOR.NAME", "ray"))
