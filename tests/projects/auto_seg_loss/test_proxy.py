"""proxy.py: equal theta and seed give an equal result; what blows up is a result, too."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from torch import nn

from auto_seg_loss import proxy as proxy_module
from auto_seg_loss.proxy import DetectronProxy, candidate_spec, score, train
from auto_seg_loss.search import build_sets, build_space
from autoseg_core import AutoSegLoss


@pytest.fixture
def make_proxy(shapes, make_cfg):
    """``make_proxy(KEY, VALUE, ...)``: a proxy on the tiny set, from random weights."""

    def make(*options) -> DetectronProxy:
        cfg = make_cfg("SOLVER.MAX_ITER", 3, *options)
        torch.manual_seed(0)
        model = build_model(cfg)
        start = {key: value.clone() for key, value in model.state_dict().items()}
        search, holdout = build_sets(cfg)
        return DetectronProxy(
            cfg, build_space(cfg), model, start, search, holdout, cfg.DATASETS.TRAIN[0]
        )

    return make


def theta(proxy: DetectronProxy, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.05, 0.95, proxy.space.dim)


def weights(proxy: DetectronProxy) -> dict[str, torch.Tensor]:
    state = proxy.model.state_dict()
    return {key: value.clone() for key, value in state.items() if ".loss." not in key}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("metric", ["mIoU", "BF1"])
def test_equal_theta_and_seed_give_an_equal_result_whatever_ran_between(make_proxy, metric):
    proxy = make_proxy("SEARCH.METRIC", metric)
    first = proxy.evaluate(theta(proxy, 0), seed=5)
    trained = weights(proxy)
    other = proxy.evaluate(theta(proxy, 1), seed=6)
    assert not same(weights(proxy), trained)
    again = proxy.evaluate(theta(proxy, 0), seed=5)
    assert same(weights(proxy), trained)
    assert first.status == other.status == "ok"
    assert (again.reward, str(again.scores)) == (first.reward, str(first.scores))


def test_a_new_proxy_gives_the_same_result(make_proxy):
    one, two = make_proxy(), make_proxy()
    two.evaluate(theta(two, 3), seed=1)
    results = [proxy.evaluate(theta(proxy, 0), seed=5) for proxy in (one, two)]
    assert str(results[0]) == str(results[1])
    assert same(weights(one), weights(two))


def test_workers_of_the_loader_do_not_disturb_that(make_proxy):
    proxy = make_proxy("DATALOADER.NUM_WORKERS", 1, "INPUT.CACHE", False)
    results = [proxy.evaluate(theta(proxy, 0), seed) for seed in (5, 6, 5)]
    assert str(results[0]) == str(results[2])


def test_another_seed_or_theta_gives_other_weights(make_proxy):
    proxy = make_proxy()
    trained = []
    for number, seed in ((0, 5), (0, 6), (1, 5)):
        proxy.evaluate(theta(proxy, number), seed)
        trained.append(weights(proxy))
    assert not same(trained[0], trained[1])
    assert not same(trained[0], trained[2])


def test_every_evaluation_starts_from_the_given_weights(make_proxy):
    proxy = make_proxy("SOLVER.BASE_LR", 0.0)
    proxy.evaluate(theta(proxy, 0), 5)
    learned = dict(proxy.model.named_parameters())
    assert all(torch.equal(p, proxy.start[name]) for name, p in learned.items())
    counted = proxy.start["backbone.stem.conv1.norm.num_batches_tracked"]
    assert counted == 0, "the start itself was trained"


def test_the_candidates_loss_trains(make_proxy, monkeypatch):
    proxy = make_proxy()
    seen = []
    monkeypatch.setattr(
        proxy_module, "train", lambda cfg, model, dicts, seed: seen.append(model.sem_seg_head.loss)
    )
    proxy.evaluate(theta(proxy, 0), 5)
    assert isinstance(seen[0], AutoSegLoss)
    assert seen[0].spec == candidate_spec(proxy.cfg, proxy.space, theta(proxy, 0))


@pytest.mark.parametrize("metric", ["mIoU", "FWIoU", "mAcc", "gAcc", "BIoU", "BF1"])
def test_the_reward_is_the_metric_of_the_scores(make_proxy, metric):
    proxy = make_proxy("SEARCH.METRIC", metric, "SOLVER.MAX_ITER", 1)
    result = proxy.evaluate(proxy.space.identity(), 5)
    assert result.reward == result.scores[metric]
    assert set(result.scores) == {"mIoU", "FWIoU", "mAcc", "gAcc", "BIoU", "BF1"}
    assert all(0 <= value <= 1 for value in result.scores.values())
    expected = score(proxy.cfg, proxy.model, proxy.holdout, proxy.dataset_name)
    assert expected == result.scores


def test_only_the_hold_out_is_scored_and_only_the_search_set_trained(make_proxy, monkeypatch):
    proxy = make_proxy()
    calls = {}
    monkeypatch.setattr(
        proxy_module, "train", lambda cfg, model, dicts, seed: calls.update(train=dicts)
    )

    def fake_score(cfg, model, dicts, name):
        calls["score"] = dicts
        return {"mIoU": 0.5}

    monkeypatch.setattr(proxy_module, "score", fake_score)
    proxy.evaluate(proxy.space.identity(), 5)
    assert calls == {"train": proxy.search, "score": proxy.holdout}


def test_a_huge_learning_rate_is_a_failed_candidate(make_proxy):
    proxy = make_proxy("SOLVER.BASE_LR", 1e20, "SOLVER.MAX_ITER", 4)
    result = proxy.evaluate(proxy.space.identity(), 5)
    assert (result.status, result.reward, result.scores) == ("failed", 0.0, {})
    assert "NaN" in result.reason or "not finite" in result.reason
    assert "\n" not in result.reason


def test_a_loss_of_nan_is_a_failed_candidate_and_the_next_one_is_fine(make_proxy, monkeypatch):
    class Broken(nn.Module):
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return logits.sum() * math.nan

    proxy = make_proxy()
    before = proxy.evaluate(proxy.space.identity(), 5)
    with monkeypatch.context() as patch:
        patch.setattr(proxy_module, "AutoSegLoss", lambda *_: Broken())
        result = proxy.evaluate(proxy.space.identity(), 5)
    assert result.status == "failed" and result.reward == 0.0
    assert "iteration=0" in result.reason
    assert str(proxy.evaluate(proxy.space.identity(), 5)) == str(before)


def test_weights_that_turn_infinite_in_the_last_step_are_found(make_proxy):
    # One step: the loss was finite when it was looked at, the weights are not any more.
    proxy = make_proxy("SOLVER.BASE_LR", 1e38, "SOLVER.MAX_ITER", 1, "SOLVER.WEIGHT_DECAY", 1e6)
    result = proxy.evaluate(proxy.space.identity(), 5)
    assert result.status == "failed"
    assert "weights are not finite" in result.reason
    assert proxy.evaluate(proxy.space.identity(), 5) == result


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_statistics_of_a_norm_that_are_not_finite_are_found(make_proxy, monkeypatch, value):
    """Weights may be finite while a batch norm's running mean is not: it scores garbage."""
    proxy = make_proxy()

    def spoil(cfg, model, dicts, seed):
        model.backbone.stem.conv1.norm.running_mean[0] = value

    monkeypatch.setattr(proxy_module, "train", spoil)
    result = proxy.evaluate(proxy.space.identity(), 5)
    assert result.status == "failed"
    assert "not finite" in result.reason


def test_a_bug_is_raised_not_hidden(make_proxy, monkeypatch):
    class Wrong(nn.Module):
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            raise TypeError("a bug")

    proxy = make_proxy()
    monkeypatch.setattr(proxy_module, "AutoSegLoss", lambda *_: Wrong())
    with pytest.raises(TypeError, match="a bug"):
        proxy.evaluate(proxy.space.identity(), 5)


def test_the_spec_has_the_settings_of_the_search(make_cfg):
    cfg = make_cfg(
        *("SEARCH.METRIC", "BIoU", "SEARCH.SURFACE", "linear", "SEARCH.PIECES", 3),
        *("SEARCH.ABSENT", "zero", "SEARCH.TOLERANCE", 2, "TEST.DROP_BACKGROUND", True),
    )
    space = build_space(cfg)
    term = candidate_spec(cfg, space, space.identity()).terms[0]
    assert (term.metric, term.surface, term.pieces) == ("BIoU", "linear", 3)
    assert (term.absent, term.tolerance, term.drop_background) == ("zero", 2, True)
    np.testing.assert_allclose(space.theta(term.control_points), space.identity())


def test_train_counts_the_iterations_and_follows_the_schedule(shapes, make_cfg):
    cfg = make_cfg("SOLVER.MAX_ITER", 5)
    model = build_model(cfg)
    rates = []
    model.register_forward_hook(lambda *_: rates.append(1))
    train(cfg, model, build_sets(cfg)[0], 1)
    assert len(rates) == 5


def test_evaluations_are_silent(make_proxy, capfd, caplog):
    proxy = make_proxy()
    capfd.readouterr()
    caplog.clear()
    proxy.evaluate(proxy.space.identity(), 5)
    make_proxy("SOLVER.BASE_LR", 1e20).evaluate(proxy.space.identity(), 5)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert not [r for r in caplog.records if "Start inference" in r.getMessage()]
