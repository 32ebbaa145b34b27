"""proxy.py: equal theta and seed give an equal result; what blows up is a result, too."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest
import torch
from checkpoints import equal, weights_of
from detectron2.utils.env import seed_all_rng
from torch import nn

from auto_seg_loss.data import SemSegMapper
from auto_seg_loss.evaluation import score
from auto_seg_loss.proxy import DetectronProxy, build_proxy
from auto_seg_loss.runtime.random_states import undisturbed
from auto_seg_loss.search_setup import build_sets
from auto_seg_loss.train_loop import TrainLoop
from auto_seg_loss.trainer import build_train_loader
from autoseg_core import PAPER_METRICS, Objective, SegmentationScores


def theta(proxy: DetectronProxy, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.05, 0.95, proxy.space.dim)


def test_equal_theta_and_seed_give_an_equal_result_whatever_ran_between(make_proxy):
    proxy = make_proxy("SEARCH.METRIC", "BF1")
    first = proxy.evaluate(theta(proxy, 0), seed=5)
    trained = weights_of(proxy.model)
    other = proxy.evaluate(theta(proxy, 1), seed=6)
    assert not equal(weights_of(proxy.model), trained)
    again = proxy.evaluate(theta(proxy, 0), seed=5)
    assert equal(weights_of(proxy.model), trained)
    assert first.status == other.status == "ok"
    assert (again.reward, str(again.scores)) == (first.reward, str(first.scores))


@pytest.mark.parametrize("objective", ["Dice", "mIoU+BF1 | mAcc>=0.9"])
def test_the_reward_is_the_objective_of_the_scores(make_proxy, objective):
    proxy = make_proxy("SEARCH.METRIC", objective, "SOLVER.MAX_ITER", 1)
    result = proxy.evaluate(proxy.space.identity(), 5)
    assert result.reward == Objective.parse(objective).score(result.scores)
    assert tuple(result.scores) == proxy.score_names
    train = proxy.cfg.DATASETS.TRAIN[0]
    found = score(proxy.cfg, proxy.model, proxy.holdout, train, proxy.score_names)
    assert found == result.scores
    assert set(proxy.score_names) >= set(PAPER_METRICS)


def test_the_reward_can_be_that_of_centre_crops(make_proxy):
    proxy = make_proxy("SEARCH.HOLDOUT.CROP", 24, "SOLVER.MAX_ITER", 1)
    result = proxy.evaluate(proxy.space.identity(), 5)
    scores = SegmentationScores(proxy.cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES)
    mapper, model = SemSegMapper(proxy.cfg, False, crop=24), proxy.model.eval()
    for cropped in map(mapper, proxy.holdout):
        assert cropped["image"].shape == (3, 24, 24)
        with torch.no_grad():
            (output,) = model([{"image": cropped["image"]}])
        scores.update(output["sem_seg"].argmax(0), cropped["sem_seg"])
    assert result.scores == scores.compute()


def test_a_loss_of_nan_is_a_failed_candidate_and_the_next_one_is_fine(
    make_proxy, train_with, nan_loss
):
    proxy = make_proxy()
    before = proxy.evaluate(proxy.space.identity(), 5)
    with train_with(nan_loss):
        result = proxy.evaluate(proxy.space.identity(), 5)
    assert result.status == "failed" and result.reward == 0.0
    assert "iteration=0" in result.reason
    assert str(proxy.evaluate(proxy.space.identity(), 5)) == str(before)


def test_statistics_of_a_norm_that_are_not_finite_are_found(make_proxy, train_with):
    """Weights may be finite while a batch norm's running mean is not: it scores garbage."""
    proxy = make_proxy()

    class Spoiling(nn.Module):
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            norm = proxy.model.backbone.stem.conv1.norm
            norm.running_mean = torch.full_like(norm.running_mean, math.nan)
            return logits.mean()

    with train_with(Spoiling()):
        result = proxy.evaluate(proxy.space.identity(), 5)
    assert result.status == "failed" and "not finite" in result.reason


def test_a_budget_stops_the_same_training_early(make_proxy):
    """By hand: from the start, on the search set, so many iterations; scored on the hold-out."""
    proxy = make_proxy("SOLVER.MAX_ITER", 7)
    result = proxy.evaluate(theta(proxy, 0), 5, budget=0.3)
    stopped = weights_of(proxy.model)
    with undisturbed("cpu"):
        proxy.model.load_state_dict(proxy.start)
        seed_all_rng(5)
        batches = iter(build_train_loader(proxy.cfg, proxy.search))
        TrainLoop(proxy.cfg, proxy.model, batches).train(0, 2)
        assert equal(weights_of(proxy.model), stopped)
        expected = score(proxy.cfg, proxy.model, proxy.holdout, proxy.cfg.DATASETS.TRAIN[0])
    assert result.scores == expected and result.reward == expected["mIoU"]


def test_proxies_start_from_the_weights_of_the_config(shapes, make_cfg, weights):
    cfg = make_cfg("MODEL.WEIGHTS", weights, "SEARCH.WARM_START.MAX_ITER", 0)
    given = torch.load(weights, weights_only=True)["model"]
    assert equal(given, build_proxy(cfg, *build_sets(cfg)).start)


def test_gymnasium_finds_the_proxy_by_its_search_config(shapes, tiny_config, make_cfg, tmp_path):
    short = ("SEARCH.WARM_START.MAX_ITER", "2")
    torch.manual_seed(77)  # whatever was drawn before
    env = gymnasium.make(
        "rl:autoseg/LossSearch-v0",
        proxy="auto_seg_loss.proxy:from_config",
        proxy_kwargs={
            "config_file": str(tiny_config),
            "opts": ["OUTPUT_DIR", str(tmp_path / "output"), *short],
        },
    )
    _, reset_info = env.reset(seed=3)
    action = np.full(12, 0.4)
    _, reward, terminated, _, info = env.step(action)
    assert terminated and info["status"] == "ok" and 0 <= reward <= 1
    cfg = make_cfg(*short)
    (tmp_path / "output" / "warm_start.pth").unlink()
    searched = build_proxy(cfg, *build_sets(cfg))
    result = searched.evaluate(action, reset_info["seed"])
    assert (reward, info["scores"]) == (result.reward, result.scores)
    env.close()
