"""Detectron2 trainer with this project's mapper, evaluator, hooks, optimiser and schedules."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import torch
from detectron2.config import CfgNode
from detectron2.data import (
    DatasetCatalog,
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.engine import DefaultTrainer, HookBase, SimpleTrainer
from detectron2.evaluation import DatasetEvaluators
from detectron2.projects.deeplab import build_lr_scheduler
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping
from detectron2.utils.events import EventWriter
from torch import nn

from auto_seg_loss.checkpoint import Checkpointer
from auto_seg_loss.data import SemSegMapper
from auto_seg_loss.evaluation import SegmentationScoresEvaluator
from auto_seg_loss.hooks import SamplePictures, build_hooks, build_writers
from auto_seg_loss.modeling import build_model
from auto_seg_loss.train_loop import build_train_loop
from autoseg_core import SIX
from autoseg_core.metrics.evaluator import ProtocolName

Dicts = list[dict[str, Any]]
PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)


class Trainer(DefaultTrainer):
    """``DefaultTrainer`` for semantic segmentation scored by exact metrics."""

    _trainer: SimpleTrainer

    def __init__(self, cfg: CfgNode) -> None:
        """See ``DefaultTrainer``, whose loop is replaced by a ``TrainLoop``."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*GradScaler")  # of the loop that is replaced
            super().__init__(cfg)
        loop = self._trainer
        self._trainer = build_train_loop(cfg, loop.model, loop._data_loader_iter, loop.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Detectron2 0.6 leaves the optimiser out; a resumed training needs its momentum."""
        return {**super().state_dict(), "_trainer": self._trainer.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Inverse of ``state_dict``; checkpoints without an optimiser are taken as they are."""
        super().load_state_dict(state_dict)
        if "_trainer" in state_dict:
            self._trainer.load_state_dict(state_dict["_trainer"])

    def build_hooks(self) -> list[HookBase | None]:
        """Detectron2's, and those that feed TensorBoard."""
        self.checkpointer = Checkpointer(  # Detectron2 asks nobody which one to take
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
            pictures = SamplePictures(dicts, metadata, name, self.cfg.TEST.SAMPLES)
            evaluators.append(DatasetEvaluators([self.build_evaluator(self.cfg, name), pictures]))
        self._last_eval_results = self.test(self.cfg, self.model, evaluators)
        return self._last_eval_results

    @classmethod
    def test_protocols(cls, cfg: CfgNode, model: nn.Module) -> dict[str, Any]:
        """The scores on DATASETS.TEST by every protocol, from one pass over the images.

        Those of TEST.PROTOCOL are "sem_seg", those of another "sem_seg_<protocol>".
        """
        evaluators = [
            build_evaluator(cfg, DatasetCatalog.get(name), name, _metrics(cfg), PROTOCOLS)
            for name in cfg.DATASETS.TEST
        ]
        return cls.test(cfg, model, evaluators)

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """Detectron2's, with any loss also in its own heads."""
        return build_model(cfg, super().build_model)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Iterable[Any]:
        """Loader over DATASETS.TRAIN."""
        return build_train_loader(cfg)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Iterable[Any]:
        """Loader over one data set, an image at a time."""
        return build_test_loader(cfg, DatasetCatalog.get(dataset_name))

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> SegmentationScoresEvaluator:
        """Evaluator of the six scores, and of TEST.METRICS, with the settings of TEST."""
        return build_evaluator(cfg, DatasetCatalog.get(dataset_name), dataset_name, _metrics(cfg))

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """SGD of SOLVER, with its own learning rate for the head."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer) -> Any:
        """Detectron2's schedules, and DeepLab's WarmupPolyLR."""
        return build_lr_scheduler(cfg, optimizer)


def build_train_loader(cfg: CfgNode, dicts: Dicts | None = None) -> Iterable[Any]:
    """Endless loader over ``dicts``, or over DATASETS.TRAIN when None."""
    return build_detection_train_loader(cfg, mapper=SemSegMapper(cfg, True), dataset=dicts)


def build_test_loader(cfg: CfgNode, dicts: Dicts, crop: int = 0) -> Iterable[Any]:
    """Loader over ``dicts``, once, in order, an image at a time; crop: see ``SemSegMapper``."""
    mapper = SemSegMapper(cfg, False, crop=crop)
    workers = cfg.DATALOADER.NUM_WORKERS
    return build_detection_test_loader(dicts, mapper=mapper, num_workers=workers)


def build_evaluator(
    cfg: CfgNode,
    dicts: Dicts,
    dataset_name: str,
    metrics: Sequence[str] = SIX,
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
    )


def _metrics(cfg: CfgNode) -> tuple[str, ...]:
    return (*SIX, *cfg.TEST.METRICS)


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
