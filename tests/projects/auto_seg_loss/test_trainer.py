"""trainer.py: loaders, optimiser, schedule and evaluator of this project."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.utils.env import seed_all_rng
from PIL import Image

from auto_seg_loss.data.builtin_datasets import SETS
from auto_seg_loss.train_loop import build_optimizer
from auto_seg_loss.trainer import Trainer


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


def test_a_palette_gives_the_training_and_the_scores_of_indices(own_shapes, make_cfg):
    indices = trained(make_cfg())
    for path in (own_shapes / "SegmentationClass").glob("*.png"):
        Image.open(path).convert("RGB").save(path)
    palette = [[*colour, index] for index, colour in enumerate(SETS["shapes"].classes.values())]
    void = [224, 224, 192, 255]
    colours = trained(make_cfg("INPUT.LABEL_PALETTE", [*palette, void]))
    assert torch.equal(weights(colours), weights(indices))
    assert colours.results == indices.results and indices.results["sem_seg"]["mIoU"] > 0
