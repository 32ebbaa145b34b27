"""A training that is asked to stop ends between two steps."""

from __future__ import annotations

from contextlib import ExitStack, suppress

from detectron2.engine import HookBase

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
