"""Stops a training between two steps."""

from __future__ import annotations

from contextlib import ExitStack, suppress

from detectron2.engine import HookBase

from rl.signals import Interrupted, uninterrupted


class WholeSteps(HookBase):
    """Defers a first SIGINT or SIGTERM to the end of a step, and of all hooks before this one.

    So an interrupted training has the state after iteration ``done``, which is None if there is no
    such state: before the first step, and when a second signal or an error ended a step half
    way.
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
