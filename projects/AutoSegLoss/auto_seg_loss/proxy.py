"""The Detectron2 proxy: a short training with a candidate loss, scored exactly on the hold-out."""

from __future__ import annotations

from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.engine import AMPTrainer, SimpleTrainer, hooks
from detectron2.evaluation import inference_on_dataset
from detectron2.projects.deeplab import build_lr_scheduler
from detectron2.utils.env import seed_all_rng
from numpy.typing import NDArray
from torch import Tensor, nn

from auto_seg_loss.quiet import quiet
from auto_seg_loss.trainer import (
    Dicts,
    build_evaluator,
    build_optimizer,
    build_test_loader,
    build_train_loader,
)
from autoseg_core import AutoSegLoss, LossSpec, LossTerm, SearchSpace
from rl.proxy import ProxyResult, failed


class DetectronProxy:
    """``ProxyTask``: theta, seed -> exact score of a network trained briefly with that loss.

    Every evaluation starts from the same weights; equal seeds give equal crops, flips and order
    of images, and on a CPU equal results.

    cfg: SOLVER, INPUT and MODEL describe the training; SOLVER.MAX_ITER its length. model: its loss
    and weights are replaced. start: the model's state dict to start from. search, holdout: records
    to train on and to score. dataset_name: whose metadata describes both.
    """

    def __init__(
        self,
        cfg: CfgNode,
        space: SearchSpace,
        model: Any,
        start: dict[str, Tensor],
        search: Dicts,
        holdout: Dicts,
        dataset_name: str,
    ) -> None:
        self.cfg, self.space, self.model, self.start = cfg, space, model, start
        self.search, self.holdout, self.dataset_name = search, holdout, dataset_name

    def evaluate(self, theta: NDArray[np.float64], seed: int, budget: float = 1.0) -> ProxyResult:
        """Score theta (d,); a loss or weights that turn non-finite give the floor and a reason."""
        spec = candidate_spec(self.cfg, self.space, theta)
        loss = AutoSegLoss(spec, self.cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE)
        self.model.sem_seg_head.loss = loss.to(self.cfg.MODEL.DEVICE)
        self.model.load_state_dict(self.start)
        with quiet():
            try:
                train(self.cfg, self.model, self.search, seed)
            except FloatingPointError as error:
                return failed(str(error).splitlines()[0])
            broken = [n for n, v in self.model.state_dict().items() if not v.isfinite().all()]
            if broken:
                return failed(f"{len(broken)} weights are not finite, {broken[0]} first")
            scores = score(self.cfg, self.model, self.holdout, self.dataset_name)
        return ProxyResult(scores[self.space.metric], scores)


def candidate_spec(
    cfg: CfgNode, space: SearchSpace, theta: NDArray[np.float64], name: str = "candidate"
) -> LossSpec:
    """The loss at theta (d,) of ``space``, with the settings of SEARCH."""
    term = LossTerm.from_theta(
        space,
        theta,
        absent=cfg.SEARCH.ABSENT,
        tolerance=cfg.SEARCH.TOLERANCE,
        drop_background=cfg.TEST.DROP_BACKGROUND,
    )
    return LossSpec.of_terms(name, term)


def train(cfg: CfgNode, model: nn.Module, dicts: Dicts, seed: int) -> None:
    """Train ``model`` in place for SOLVER.MAX_ITER iterations on ``dicts``.

    Raises ``FloatingPointError`` when the loss turns non-finite.
    """
    seed_all_rng(seed)
    optimizer = build_optimizer(cfg, model)
    kind = AMPTrainer if cfg.SOLVER.AMP.ENABLED else SimpleTrainer
    trainer = kind(model, build_train_loader(cfg, dicts), optimizer)
    trainer.register_hooks([hooks.LRScheduler(optimizer, build_lr_scheduler(cfg, optimizer))])
    trainer.train(0, cfg.SOLVER.MAX_ITER)


def score(cfg: CfgNode, model: nn.Module, dicts: Dicts, dataset_name: str) -> dict[str, float]:
    """The six exact scores of ``model`` on ``dicts``, in [0, 1]."""
    evaluator = build_evaluator(cfg, dicts, dataset_name)
    inference_on_dataset(model, build_test_loader(cfg, dicts), evaluator)
    return evaluator.scores.compute()
