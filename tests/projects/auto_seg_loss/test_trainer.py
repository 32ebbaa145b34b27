"""trainer.py: loaders, optimiser, schedule and evaluator of this project."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.modeling import build_model
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import EventStorage

from auto_seg_loss.evaluation import (
    build_evaluator,
    evaluate,
    evaluate_by_all_protocols,
    metrics_of,
)
from auto_seg_loss.trainer import Trainer, build_lr_scheduler, build_optimizer

TEST = "shapes_sem_seg_test"


@pytest.mark.parametrize("factor", [1.0, 10.0])
def test_the_head_has_a_learning_rate_of_its_own(make_cfg, factor):
    auxiliary = ("MODEL.AUX_HEAD.ENABLED", True, "MODEL.AUX_HEAD.CONVS_DIM", 8)
    cfg = make_cfg("SOLVER.HEAD_LR_FACTOR", factor, "SOLVER.BASE_LR", 0.02, *auxiliary)
    model = build_model(cfg)
    optimizer = build_optimizer(cfg, model)
    rates = {
        id(parameter): group["lr"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert {rates[id(p)] for p in model.backbone.parameters()} == {0.02}
    assert {rates[id(p)] for p in model.sem_seg_head.parameters()} == {0.02 * factor}
    assert {rates[id(p)] for p in model.sem_seg_head.auxiliary.parameters()} == {0.02 * factor}
    assert len(rates) == len(list(model.parameters()))


@pytest.mark.parametrize("warmup", [0, 3])
def test_the_schedule_has_a_floor(make_cfg, warmup):
    """A share of the base rate, which the schedule does not go below once it has warmed up."""
    options = ("SOLVER.MAX_ITER", 10, "SOLVER.BASE_LR", 2.0, "SOLVER.WARMUP_ITERS", warmup)
    cfg = make_cfg(*options, "SOLVER.POLY_LR_CONSTANT_ENDING", 0.3)
    optimizer = build_optimizer(cfg, build_model(cfg))
    scheduler = build_lr_scheduler(cfg, optimizer)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    expected = [2 * max((1 - i / 10) ** 0.9, 0.3) for i in range(warmup, 10)]
    assert rates[warmup:] == pytest.approx(expected)
    assert expected[-1] == 0.6


def evaluator(cfg, name):
    return build_evaluator(cfg, DatasetCatalog.get(name), name, metrics_of(cfg))


def trained(cfg):
    """The trainer of a config after its training, with the final evaluation."""
    Path(cfg.OUTPUT_DIR).mkdir(exist_ok=True)
    seed_all_rng(0)
    trainer = Trainer(cfg)
    trainer.train()
    return trainer


def weights(trainer):
    return torch.nn.utils.parameters_to_vector(trainer.model.parameters()).detach()


def test_synchronised_batch_norm_is_batch_norm_in_one_process(shapes, make_cfg):
    norms = ("MODEL.RESNETS.NORM", "SyncBN", "MODEL.SEM_SEG_HEAD.NORM", "SyncBN")
    synchronised, plain = trained(make_cfg(*norms)), trained(make_cfg())
    kinds = {type(module) for module in synchronised.model.modules()}
    assert torch.nn.SyncBatchNorm in kinds and torch.nn.BatchNorm2d not in kinds
    assert torch.equal(weights(synchronised), weights(plain))


def test_one_pass_scores_by_every_protocol(shapes, make_cfg):
    cfg = make_cfg("TEST.METRICS", "('Dice',)")
    model = build_model(cfg)
    results = evaluate_by_all_protocols(cfg, model)
    assert list(results) == ["sem_seg", "sem_seg_paper"]
    assert str(results["sem_seg"]) == str(evaluate(cfg, model, [evaluator(cfg, TEST)])["sem_seg"])
    assert all("Dice" in scores for scores in results.values())


def test_a_test_during_training_draws_its_samples(shapes, make_cfg):
    cfg = make_cfg("TEST.SAMPLES", 2, "DATASETS.TEST", f"('{TEST}', 'shapes_sem_seg_val')")
    trainer = Trainer(cfg)
    with EventStorage() as storage:
        results = trainer.test()
    assert [name for name, _, _ in storage._vis_data] == [
        *(f"samples/{TEST}/test_0000{index}" for index in (0, 1)),
        *(f"samples/shapes_sem_seg_val/val_0000{index}" for index in (0, 1)),
    ]
    assert results[TEST]["sem_seg"].keys() == trainer.results[TEST]["sem_seg"].keys()
