"""Candidates trained in one pass: each as if it were alone."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from auto_seg_loss import executor
from auto_seg_loss.executor import StackedExecutor, check_executor, open_executor
from auto_seg_loss.features.stacked import train_stacked
from auto_seg_loss.proxy import build_proxy
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search_setup import build_sets
from rl.executors import Candidate, ExecutorError

ITERATIONS = 4
assert_same = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-5)


@pytest.fixture
def make_proxy(make_frozen):
    """``make_proxy(KEY, VALUE, ...)``: a proxy of four iterations, frozen features, no dropout."""

    def make(*options):
        head = "MODEL.SEM_SEG_HEAD."
        alike = (head + "ASPP_DROPOUT", 0.0, head + "DROPOUT", 0.0)
        cfg = make_frozen("SEARCH.PROXY.MAX_ITER", ITERATIONS, *alike, *options)
        return build_proxy(cfg, *build_sets(cfg))

    return make


def thetas(proxy, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(0.2, 0.8, proxy.space.dim) for _ in range(count)]


@pytest.mark.parametrize(
    "options",
    [
        ("MODEL.SEM_SEG_HEAD.NAME", "AnyLossFCNHead", "MODEL.SEM_SEG_HEAD.NORM", ""),
        ("SEARCH.SCALE_ITERS", 2, "SEARCH.METRIC", "BF1", "SOLVER.ACCUMULATE", 2),
    ],
    ids=str,
)
def test_each_of_a_stack_gets_the_weights_that_it_gets_alone(make_proxy, options):
    proxy = make_proxy(*options)
    losses = [proxy.loss(theta) for theta in thetas(proxy, 3)]
    heads = train_stacked(proxy, losses, 5, ITERATIONS)
    assert not heads.failed.any()
    for number, theta in enumerate(thetas(proxy, 3)):
        proxy.evaluate(theta, seed=5)
        alone = proxy.model.sem_seg_head.state_dict()
        assert any(not torch.equal(alone[n], proxy.start[f"sem_seg_head.{n}"]) for n in alone)
        assert_same(heads.state(number), alone)


def test_a_loss_of_nan_ends_its_own_training_alone(make_proxy, nan_loss):
    proxy = make_proxy()
    good = [proxy.loss(theta) for theta in thetas(proxy, 2)]
    heads = train_stacked(proxy, [good[0], nan_loss, good[1]], 5, ITERATIONS)
    assert heads.failed.tolist() == [False, True, False]
    alone = train_stacked(proxy, good, 5, ITERATIONS)
    assert_same(heads.state(0), alone.state(0))
    assert_same(heads.state(2), alone.state(1))


def test_the_executor_stacks_candidates_of_one_seed_and_budget(make_proxy):
    proxy = make_proxy("SEARCH.PROXY.STACK", 2)
    settings = [(5, 1.0), (5, 1.0), (5, 1.0), (6, 1.0), (6, 0.5)]
    pairs = zip(thetas(proxy, 5), settings, strict=True)
    candidates = [Candidate(f"c{i}", theta, *own) for i, (theta, own) in enumerate(pairs)]
    with open_executor(proxy.cfg, proxy) as executor:
        found = list(executor.run(candidates))
    for one, result in zip(candidates, found, strict=True):
        expected = proxy.evaluate(one.theta, one.seed, one.budget)
        assert result.status == "ok"
        assert result.scores == pytest.approx(expected.scores, abs=1e-3)


def test_a_stack_that_the_gpu_cannot_hold_names_the_key(make_proxy, monkeypatch):
    def too_large(*arguments):
        raise torch.cuda.OutOfMemoryError("tried to allocate 2 GiB")

    monkeypatch.setattr(executor, "evaluate_stacked", too_large)
    candidates = [Candidate(name, np.zeros(2), 5, 1.0) for name in "ab"]
    with pytest.raises(ExecutorError, match=r"2 candidates .*SEARCH\.PROXY\.STACK: tried"):
        list(StackedExecutor(make_proxy(), 8).run(candidates))


@pytest.mark.parametrize(
    "options",
    [
        ("SEARCH.PROXY.STACK", 0),
        ("MODEL.META_ARCHITECTURE", "SemanticSegmentor"),
        ("SOLVER.AMP.ENABLED", True),
    ],
    ids=lambda options: options[0],
)
def test_what_cannot_be_stacked_is_refused(make_frozen, options):
    with pytest.raises(ConfigError, match=options[0]):
        check_executor(make_frozen("SEARCH.PROXY.STACK", 2, *options))
