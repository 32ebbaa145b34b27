"""The hooks of a training, in their order, and the files that they write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.engine import HookBase, hooks
from detectron2.utils import comm
from detectron2.utils.events import CommonMetricPrinter, EventWriter
from fvcore.nn.precise_bn import get_bn_modules

from auto_seg_loss.evaluation import metrics_of

from .counts import LossCounts, searched_loss
from .evaluation import Evaluation
from .layout import custom_scalars
from .pictures import Surfaces
from .progress import Progress, is_due
from .writers import Board, MetricsFile

_PERIOD = 20  # iterations between two lines of the log, as Detectron2 has it


def build_files(trainer: Any) -> list[EventWriter]:
    """metrics.json and TensorBoard's event files, open; see ``writers``."""
    output, start = Path(trainer.cfg.OUTPUT_DIR), trainer.start_iter
    loss = searched_loss(trainer.model)
    layout = custom_scalars(metrics_of(trainer.cfg), None if loss is None else loss.spec)
    return [MetricsFile(output / "metrics.json", start), Board(output, layout, start)]


def build_hooks(trainer: Any) -> list[HookBase | None]:
    """Detectron2's default hooks in their order, with those of this package.

    Losses, counts and the like are on the disk before the checkpoint of their iteration, results of
    an evaluation right after it.
    """
    cfg, period, main = trainer.cfg, trainer.cfg.VIS_PERIOD, comm.is_main_process()
    classes = MetadataCatalog.get(cfg.DATASETS.TRAIN[0]).stuff_classes
    metrics = Path(cfg.OUTPUT_DIR) / "metrics.json"
    printer = CommonMetricPrinter(trainer.max_iter)
    return [
        hooks.IterationTimer(),
        Progress(period, cfg.SOLVER.IMS_PER_BATCH * cfg.SOLVER.ACCUMULATE),
        hooks.LRScheduler(),
        precise_bn(trainer),
        LossCounts(period, classes),
        Surfaces() if main and period else None,
        hooks.PeriodicWriter([printer], _PERIOD) if main else None,
        Write(period),
        hooks.PeriodicCheckpointer(trainer.checkpointer, cfg.SOLVER.CHECKPOINT_PERIOD),
        trainer.steps,
        Evaluation(cfg.TEST.EVAL_PERIOD, trainer.test, metrics),
    ]


def precise_bn(trainer: Any) -> HookBase | None:
    """Detectron2's hook where TEST.PRECISE_BN asks for it."""
    settings = trainer.cfg.TEST.PRECISE_BN
    if not (settings.ENABLED and get_bn_modules(trainer.model)):
        return None
    batches = first_batches(trainer, settings.NUM_ITER)
    return hooks.PreciseBN(trainer.cfg.TEST.EVAL_PERIOD, trainer.model, batches, settings.NUM_ITER)


def first_batches(trainer: Any, count: int) -> Iterator[Any]:
    """Those of the training, again and again: a resumed training measures as a whole one does."""
    while True:
        yield from islice(replace(trainer.loader, start=0, workers=0), count)


class Write(HookBase):
    """Writes the files every 20 iterations, where something of VIS_PERIOD is due, and at last."""

    def __init__(self, period: int) -> None:
        self._period = period

    def after_step(self) -> None:
        if is_due(self.trainer, _PERIOD) or is_due(self.trainer, self._period):
            self.after_train()

    def after_train(self) -> None:
        """Also of a training that was interrupted."""
        for file in self.trainer.files:
            file.write()
