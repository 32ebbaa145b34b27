"""The hooks of a training, in their order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.engine import HookBase, hooks
from detectron2.utils import comm
from detectron2.utils.events import CommonMetricPrinter, JSONWriter, TensorboardXWriter
from fvcore.nn.precise_bn import get_bn_modules

from auto_seg_loss.hooks.counts import LossCounts
from auto_seg_loss.hooks.pictures import Surfaces
from auto_seg_loss.hooks.progress import Progress
from rl.signals import Interrupted, uninterrupted

_PERIOD = 20  # iterations between two log lines, as in Detectron2


def build_hooks(trainer: Any) -> list[HookBase | None]:
    """Detectron2's default hooks in their order, with those of this package, after the schedule's.

    The checkpoint of an iteration comes before its evaluation, which may fail.
    """
    cfg, period = trainer.cfg, trainer.cfg.VIS_PERIOD
    classes = MetadataCatalog.get(cfg.DATASETS.TRAIN[0]).stuff_classes
    return [
        hooks.IterationTimer(),
        Progress(period, cfg.SOLVER.IMS_PER_BATCH * cfg.SOLVER.ACCUMULATE),
        precise_bn(trainer),
        LossCounts(period, classes),
        Surfaces() if comm.is_main_process() and period else None,
        hooks.PeriodicCheckpointer(trainer.checkpointer, cfg.SOLVER.CHECKPOINT_PERIOD),
        trainer.steps,
        Evaluation(cfg.TEST.EVAL_PERIOD, trainer.test),
    ]


class WholeSteps(HookBase):
    """Defers a first SIGINT or SIGTERM to the end of a step, and of all hooks before this one.

    So an interrupted training has the state after iteration ``done``: None before the first step,
    and when a second signal or an error ended a step half way.
    """

    def __init__(self) -> None:
        self.done: int | None = None
        self._step = ExitStack()

    def before_step(self) -> None:
        self._step.enter_context(uninterrupted(patient=False))
        self.done = None

    def after_step(self) -> None:
        self.done = self.trainer.iter
        self._step.close()  # raises a deferred interruption

    def after_train(self) -> None:
        with suppress(Interrupted):  # the step failed: its error, or this one, propagates
            self._step.close()


class Evaluation(hooks.EvalHook):
    """Detectron2's hook, except if a training failed, or was interrupted, in its last step.

    Resuming a finished training evaluates it again at the same iteration, not at the next one.
    """

    def after_train(self) -> None:
        storage, end = self.trainer.storage, self.trainer.max_iter
        if self.trainer.iter >= end:  # after the last step the loop has incremented it
            storage.iter = min(storage.iter, end)
            super().after_train()


def build_writers(trainer: Any) -> list[HookBase]:
    """The log, metrics.json and TensorBoard's event files of OUTPUT_DIR, in the main process.

    They come last, and once the first iteration is known: readers of event files drop entries of
    older files from there on.
    """
    if not comm.is_main_process():
        return []
    output = Path(trainer.cfg.OUTPUT_DIR)
    files = [
        JSONWriter(str(output / "metrics.json")),
        TensorboardXWriter(str(output), purge_step=trainer.start_iter),
    ]
    # A writer takes the latest value of each scalar: it must run at each of these periods.
    period = math.gcd(_PERIOD, trainer.cfg.VIS_PERIOD, trainer.cfg.TEST.EVAL_PERIOD)
    printer = CommonMetricPrinter(trainer.max_iter)
    return [hooks.PeriodicWriter([printer], _PERIOD), hooks.PeriodicWriter(files, period)]


def precise_bn(trainer: Any) -> HookBase | None:
    """Detectron2's hook if TEST.PRECISE_BN enables it."""
    settings = trainer.cfg.TEST.PRECISE_BN
    if not (settings.ENABLED and get_bn_modules(trainer.model)):
        return None
    batches = first_batches(trainer, settings.NUM_ITER)
    return hooks.PreciseBN(trainer.cfg.TEST.EVAL_PERIOD, trainer.model, batches, settings.NUM_ITER)


def first_batches(trainer: Any, count: int) -> Iterator[Any]:
    """Batches of the training, repeated: a resumed training measures like an uninterrupted one."""
    while True:
        yield from islice(replace(trainer.data_loader, start=0, workers=0), count)
