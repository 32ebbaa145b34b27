"""A training that is asked to stop leaves a checkpoint of where it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from detectron2.engine import HookBase
from detectron2.utils import comm

from rl.signals import Interrupted, uninterrupted


class WholeSteps(HookBase):
    """SIGINT and SIGTERM wait for the end of a step: put it right after the LRScheduler.

    So wherever they interrupt a training, weights, optimiser and learning rate are those after
    iteration ``done``, which is None before the first.
    """

    def __init__(self) -> None:
        self.done: int | None = None
        self._step = ExitStack()

    def before_step(self) -> None:
        self._step.enter_context(uninterrupted())

    def after_step(self) -> None:
        self.done = self.trainer.iter
        self._step.close()  # raises the interruption that has waited

    def after_train(self) -> None:
        self._step.close()  # of a step that has failed


@contextmanager
def kept_when_interrupted(trainer: Any) -> Iterator[None]:
    """Save a checkpoint when the training in here is interrupted, for --resume to go on from.

    Not with several processes: others may wait in the middle of a step, and what they leave is the
    last checkpoint of SOLVER.CHECKPOINT_PERIOD.
    """
    try:
        yield
    except Interrupted:
        if comm.get_world_size() == 1:
            with uninterrupted():
                _save(trainer)
        raise


def _save(trainer: Any) -> None:
    (steps,) = (hook for hook in trainer._hooks if isinstance(hook, WholeSteps))
    if steps.done is None:
        return
    trainer.iter = steps.done  # the loop may have counted on already
    last = steps.done + 1 == trainer.max_iter
    name = "model_final" if last else f"model_{steps.done:07d}"  # as Detectron2 names them
    trainer.checkpointer.save(name, iteration=steps.done)
