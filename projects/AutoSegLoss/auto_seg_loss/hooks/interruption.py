"""A training that is asked to stop leaves a checkpoint of where it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase
from detectron2.utils import comm

from rl.signals import Interrupted, uninterrupted


class WholeSteps(HookBase):
    """A first SIGINT or SIGTERM waits for the end of a step, and of all hooks before this one.

    So where it interrupts a training, the training's state is that after iteration ``done``, which
    is None when there is no such state: before the first step, and when a second signal, or an
    error, has ended one half way.
    """

    def __init__(self) -> None:
        self.done: int | None = None
        self._step = ExitStack()

    def before_step(self) -> None:
        self._step.enter_context(uninterrupted(patient=False))
        self.done = None

    def after_step(self) -> None:
        self.done = self.trainer.iter
        self._step.close()  # raises the interruption that has waited

    def after_train(self) -> None:
        with suppress(Interrupted):  # the step has failed: that error, or this, is on its way up
            self._step.close()


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
    if _latest(trainer.checkpointer) != f"{name}.pth":  # a file to go on from is never written over
        trainer.checkpointer.save(name, iteration=steps.done)


def _latest(checkpointer: Any) -> str | None:
    return Path(checkpointer.get_checkpoint_file()).name if checkpointer.has_checkpoint() else None
