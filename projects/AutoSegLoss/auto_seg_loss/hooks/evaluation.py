"""Evaluations during a training, none of which an interruption loses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from detectron2.engine.hooks import EvalHook
from detectron2.utils import comm

from .writers import read_rows


class Evaluation(EvalHook):
    """Detectron2's hook; results are on the disk at once, and a lost evaluation is made up for.

    The checkpoint of an iteration comes before its evaluation, so that a failing evaluation does
    not cost the training. One that is killed between the two starts with that evaluation when it is
    resumed: it was due at the checkpoint's iteration, and ``metrics`` does not hold it.

    period, function: see EvalHook. metrics: the path of metrics.json.
    """

    def __init__(self, period: int, function: Callable[[], Any], metrics: Path) -> None:
        super().__init__(period, function)
        self._metrics = metrics

    def before_train(self) -> None:
        """Make up for a lost evaluation."""
        start, storage = self.trainer.start_iter, self.trainer.storage
        lost = comm.is_main_process() and self._is_lost(start)
        if comm.all_gather(lost)[0]:
            storage.iter = start - 1
            self._do_eval()
            storage.iter = start

    def after_train(self) -> None:
        """The last evaluation; resuming a finished training repeats it at the same iteration.

        Not of a training that failed or was interrupted, be it in its last step.
        """
        storage, end = self.trainer.storage, self.trainer.max_iter
        if self.trainer.iter >= end:
            storage.iter = min(storage.iter, end)
            super().after_train()

    def _do_eval(self) -> None:
        super()._do_eval()
        for file in self.trainer.files:
            file.write()

    def _is_lost(self, start: int) -> bool:
        due = self._period > 0 and start % self._period == 0
        if not due or not 0 < start < self.trainer.max_iter:
            return False
        rows = [row for row in read_rows(self._metrics) if row["iteration"] == start - 1]
        return not any("sem_seg/" in name for row in rows for name in row)
