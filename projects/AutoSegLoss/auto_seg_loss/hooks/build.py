"""The hooks and writers of a training, in their order."""

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

from autoseg_core import PAPER_METRICS

from .counts import LossCounts, searched_loss
from .due import is_due
from .evaluation import Evaluation
from .interruption import WholeSteps
from .layout import custom_scalars
from .pictures import Surfaces
from .progress import Progress
from .writers import Board, MetricsFile

_PERIOD = 20  # iterations between two lines of the log, as Detectron2 has it


def build_writers(trainer: Any) -> list[EventWriter]:
    """Detectron2's printer, and its files as in ``writers``."""
    cfg, output = trainer.cfg, Path(trainer.cfg.OUTPUT_DIR)
    loss = searched_loss(trainer.model)
    layout = custom_scalars(
        (*PAPER_METRICS, *cfg.TEST.METRICS), None if loss is None else loss.spec
    )
    return [
        CommonMetricPrinter(trainer.max_iter),
        MetricsFile(output / "metrics.json"),
        Board(output, layout),
    ]


def build_hooks(trainer: Any) -> list[HookBase | None]:
    """Detectron2's default hooks in their order, with those of this package.

    Losses, counts and the like are on the disk before the checkpoint of their iteration, results of
    an evaluation right after it.
    """
    cfg, period, main = trainer.cfg, trainer.cfg.VIS_PERIOD, comm.is_main_process()
    writers = trainer.build_writers() if main else []
    files = [writer for writer in writers if hasattr(writer, "begin")]
    classes = MetadataCatalog.get(cfg.DATASETS.TRAIN[0]).stuff_classes
    metrics = Path(cfg.OUTPUT_DIR) / "metrics.json"
    checkpoints = (trainer.checkpointer, cfg.SOLVER.CHECKPOINT_PERIOD)
    return [
        OpenFiles(files),
        hooks.IterationTimer(),
        Progress(period, cfg.SOLVER.IMS_PER_BATCH * cfg.SOLVER.ACCUMULATE),
        hooks.LRScheduler(),
        precise_bn(trainer),
        LossCounts(period, classes),
        Surfaces(period) if main else None,
        Write(writers, period),
        hooks.PeriodicCheckpointer(*checkpoints),
        WholeSteps(),
        Evaluation(cfg.TEST.EVAL_PERIOD, trainer.test_and_draw, files, metrics),
        CloseFiles(files),
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
        yield from islice(replace(trainer.data_loader, start=0, workers=0), count)


class OpenFiles(HookBase):
    """Tells the writers of files where the training starts."""

    def __init__(self, files: list[Any]) -> None:
        self._files = files

    def before_train(self) -> None:
        for file in self._files:
            file.begin(self.trainer.start_iter)


class Write(HookBase):
    """Calls the writers every 20 iterations, where something of VIS_PERIOD is due, and at last."""

    def __init__(self, writers: list[EventWriter], period: int) -> None:
        self._writers, self._period = writers, period

    def after_step(self) -> None:
        if is_due(self.trainer, _PERIOD) or is_due(self.trainer, self._period):
            for writer in self._writers:
                writer.write()


class CloseFiles(HookBase):
    """Writes what other hooks have put after the training, and closes the files."""

    def __init__(self, files: list[Any]) -> None:
        self._files = files

    def after_train(self) -> None:
        for file in self._files:
            if file.is_open:  # else the training failed before its start
                file.write()
                file.close()
