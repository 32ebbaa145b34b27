"""Detectron2 trainer with this project's mapper, evaluator, hooks, optimiser and schedules."""

from __future__ import annotations

import logging
import warnings
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from detectron2.config import CfgNode
from detectron2.data import (
    DatasetCatalog,
    MetadataCatalog,
    build_detection_test_loader,
)
from detectron2.engine import DefaultTrainer, HookBase, SimpleTrainer
from detectron2.evaluation import DatasetEvaluators
from detectron2.projects.deeplab import build_lr_scheduler
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from torch import nn

from auto_seg_loss.data import TrainLoader, build_mapper, build_train_loader
from auto_seg_loss.evaluation import SegmentationScoresEvaluator
from auto_seg_loss.hooks import SamplePictures, build_hooks, build_writers
from auto_seg_loss.modeling import build_model
from auto_seg_loss.runtime.checkpoints import TrainingCheckpointer, latest_checkpoint
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.random_states import set_random_states, undisturbed
from auto_seg_loss.train_loop import build_train_loop
from autoseg_core import PAPER_METRICS
from autoseg_core.metrics.evaluator import ProtocolName

Dicts = list[dict[str, Any]]
logger = logging.getLogger(__name__)

_FINAL = "model_final.pth"  # as Detectron2 names it

PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)


class Trainer(DefaultTrainer):
    """``DefaultTrainer`` for semantic segmentation scored by exact metrics."""

    _trainer: SimpleTrainer
    data_loader: TrainLoader

    def __init__(self, cfg: CfgNode) -> None:
        """See ``DefaultTrainer``, whose loop is replaced by a ``TrainLoop``."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*GradScaler")  # of the loop that is replaced
            super().__init__(cfg)
        loop = self._trainer
        self._trainer = build_train_loop(cfg, loop.model, loop.data_loader, loop.optimizer)

    def resume_or_load(self, resume: bool = True) -> None:
        """Go on from the latest checkpoint of OUTPUT_DIR, or start from MODEL.WEIGHTS.

        A training that goes on gets the next images in the order of the whole training, and the
        states of the random generators, so on a CPU it ends with the same weights bit for bit.
        """
        path = latest_checkpoint(self.cfg.OUTPUT_DIR) if resume else None
        if path is None:
            self.checkpointer.load(self.cfg.MODEL.WEIGHTS, checkpointables=[])
            return
        rest = self.checkpointer.load(str(path))
        self.start_iter = self.iter + 1
        states, processes = rest.get("random", []), comm.get_world_size()
        if len(states) == processes:
            set_random_states(states[comm.get_rank()], self.cfg.MODEL.DEVICE)
        else:
            logger.warning(
                "%s has the random generators of %d processes, and these are %d: they begin anew",
                *(path, len(states), processes),
            )
        if self.start_iter == self.max_iter and path.name != _FINAL:  # no step is left to write it
            self.checkpointer.save(Path(_FINAL).stem, iteration=self.iter)

    def state_dict(self) -> dict[str, Any]:
        """Detectron2 0.6 leaves the optimiser out; a resumed training needs its momentum."""
        seed = self.data_loader.seed
        return {**super().state_dict(), "_trainer": self._trainer.state_dict(), "order": seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Inverse of ``state_dict``; checkpoints without an optimiser are taken as they are.

        Of the learning rates only the iteration counts: the schedule is that of the config.
        ``ConfigError`` when more iterations are done than SOLVER.MAX_ITER.
        """
        done = state_dict["iteration"] + 1
        if done > self.max_iter:
            raise ConfigError(
                f"{done} iterations are done already, and SOLVER.MAX_ITER is {self.max_iter}; give "
                "the number to end with, or choose another OUTPUT_DIR."
            )
        hooks = {k: v for k, v in state_dict.get("hooks", {}).items() if k != "LRScheduler"}
        super().load_state_dict({**state_dict, "hooks": hooks})
        if "_trainer" in state_dict:
            self._trainer.load_state_dict(state_dict["_trainer"])
        self.data_loader.seed = state_dict.get("order", self.data_loader.seed)
        self.data_loader.start = done * self.cfg.SOLVER.ACCUMULATE
        self._schedule_from(done)

    def _schedule_from(self, iteration: int) -> None:
        groups, before = self.optimizer.param_groups, self.optimizer.param_groups[0]["lr"]
        self.scheduler.last_epoch = iteration
        for group, rate in zip(groups, self.scheduler.get_lr(), strict=True):
            group["lr"] = rate
        if groups[0]["lr"] != before:
            logger.info(
                "The schedule goes on as if SOLVER had always been as it is now, MAX_ITER %d: a "
                "learning rate of %g at iteration %d, where it would have been %g",
                *(self.max_iter, groups[0]["lr"], iteration, before),
            )

    def build_hooks(self) -> list[HookBase | None]:
        """Detectron2's, and those that feed TensorBoard."""
        self.checkpointer = TrainingCheckpointer(  # Detectron2 asks nobody which one to take
            self.model, self.cfg.OUTPUT_DIR, trainer=weakref.proxy(self)
        )
        return build_hooks(self)

    def build_writers(self) -> list[EventWriter]:
        """Terminal, metrics.json and TensorBoard."""
        return build_writers(self)

    def test_and_draw(self) -> dict[str, Any]:
        """The scores on DATASETS.TEST; pictures of TEST.SAMPLES images go to the event storage."""
        evaluators = []
        for name in self.cfg.DATASETS.TEST:
            dicts, metadata = DatasetCatalog.get(name), MetadataCatalog.get(name)
            palette = self.cfg.INPUT.LABEL_PALETTE
            pictures = SamplePictures(dicts, metadata, name, self.cfg.TEST.SAMPLES, palette)
            evaluators.append(DatasetEvaluators([self.build_evaluator(self.cfg, name), pictures]))
        with undisturbed(self.cfg.MODEL.DEVICE):  # a checkpoint comes before its evaluation
            self._last_eval_results = self.test(self.cfg, self.model, evaluators)
        return self._last_eval_results

    @classmethod
    def test_protocols(cls, cfg: CfgNode, model: nn.Module) -> dict[str, Any]:
        """The scores on DATASETS.TEST by every protocol, from one pass over the images.

        Those of TEST.PROTOCOL are "sem_seg", those of another "sem_seg_<protocol>".
        """
        evaluators = [
            build_evaluator(cfg, DatasetCatalog.get(name), name, metrics_of(cfg), PROTOCOLS)
            for name in cfg.DATASETS.TEST
        ]
        return cls.test(cfg, model, evaluators)

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """Detectron2's, with any loss also in its own heads."""
        return build_model(cfg, super().build_model)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> TrainLoader:
        """Loader over DATASETS.TRAIN."""
        return build_train_loader(cfg)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Iterable[Any]:
        """Loader over one data set, an image at a time."""
        return build_test_loader(cfg, DatasetCatalog.get(dataset_name))

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> SegmentationScoresEvaluator:
        """Evaluator of the six scores, and of TEST.METRICS, with the settings of TEST."""
        return build_evaluator(cfg, DatasetCatalog.get(dataset_name), dataset_name, metrics_of(cfg))

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """SGD of SOLVER, with its own learning rate for the head."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer) -> Any:
        """Detectron2's schedules, and DeepLab's WarmupPolyLR."""
        return build_lr_scheduler(cfg, optimizer)


def build_test_loader(cfg: CfgNode, dicts: Dicts, crop: int = 0) -> Iterable[Any]:
    """Loader over ``dicts``, once, in order, an image at a time; crop: see ``SemSegMapper``."""
    mapper = build_mapper(cfg, False, crop)
    workers = cfg.DATALOADER.NUM_WORKERS
    return build_detection_test_loader(dicts, mapper=mapper, num_workers=workers)


def build_evaluator(
    cfg: CfgNode,
    dicts: Dicts,
    dataset_name: str,
    metrics: Sequence[str] = PAPER_METRICS,
    protocols: Sequence[ProtocolName] = (),
) -> SegmentationScoresEvaluator:
    """Evaluator over ``dicts`` with the metadata of ``dataset_name`` and the settings of TEST.

    protocols: those to report beside TEST.PROTOCOL.
    """
    metadata = MetadataCatalog.get(dataset_name)
    return SegmentationScoresEvaluator(
        dicts,
        metadata.stuff_classes,
        metadata.ignore_label,
        protocol=cfg.TEST.PROTOCOL,
        tolerance=cfg.TEST.TOLERANCE,
        drop_background=cfg.TEST.DROP_BACKGROUND,
        metrics=metrics,
        also=[protocol for protocol in protocols if protocol != cfg.TEST.PROTOCOL],
        palette=cfg.INPUT.LABEL_PALETTE,
    )


def metrics_of(cfg: CfgNode) -> tuple[str, ...]:
    """Names of the scores that tests report."""
    return (*PAPER_METRICS, *cfg.TEST.METRICS)


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """SGD over backbone and head; the head's rate is BASE_LR times SOLVER.HEAD_LR_FACTOR."""
    solver = cfg.SOLVER
    groups = []
    for part, factor in ((model.backbone, 1.0), (model.sem_seg_head, solver.HEAD_LR_FACTOR)):
        groups += get_default_optimizer_params(
            part,
            base_lr=solver.BASE_LR * factor,
            weight_decay_norm=solver.WEIGHT_DECAY_NORM,
            bias_lr_factor=solver.BIAS_LR_FACTOR,
            weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        )
    sgd = maybe_add_gradient_clipping(cfg, torch.optim.SGD)
    return sgd(
        groups,
        lr=solver.BASE_LR,
        momentum=solver.MOMENTUM,
        nesterov=solver.NESTEROV,
        weight_decay=solver.WEIGHT_DECAY,
    )
