"""A real segmentation training that takes about a second: a tiny network on generated images.

Every training starts from one warm start, trained with cross entropy once per process: from scratch
a surrogate learns too slowly for a short training to distinguish losses. Everything runs on one CPU
thread, with its own generators: equal arguments give equal bits, whatever ran before.

Letters: D search coordinates.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoseg_core import AutoSegLoss, LossSpec, SearchSpace
from rl.proxies.shape_images import VOID
from rl.proxies.shape_network import (
    TOLERANCE,
    descend,
    empty_network,
    make_optimizer,
    one_thread,
    score,
    warm_start,
)
from rl.proxy import ProxyResult, TrainingStep, failed
from rl.shares import add_share, check_budget, check_length


class Shapes:
    """`ProxyTask` and `TrainingTask`: gradient descent with momentum on 1 - surrogate(theta).

    The learning rate falls as (1 - i / iterations)^0.9, and the batch of iteration i depends on
    (seed, i): neither on how the training is cut into steps.

    Args:
        space: of theta, mIoU's by default; its objective, exact on the validation images, is the
            reward.
        iterations: of the whole training; steps end at whole iterations, by rounding.
        lr: the initial learning rate.
    """

    def __init__(
        self, space: SearchSpace | None = None, iterations: int = 40, lr: float = 0.2
    ) -> None:
        if iterations < 1 or not lr > 0.0:
            raise ValueError(f"expected iterations >= 1 and lr > 0, got {iterations} and {lr}")
        self.space, self.iterations, self.lr = space or SearchSpace("mIoU"), iterations, lr
        self.score_names = self.space.objective.reported
        self._network = empty_network()
        self._seed: int | None = None
        self._progress, self._reason = 0.0, ""

    def evaluate(self, theta: NDArray[np.float64], seed: int, budget: float = 1.0) -> ProxyResult:
        """Score theta (D,) in [0, 1]; ValueError when it is not of the space.

        budget b is the same training, stopped after a share b of its iterations, at least one.
        """
        training = self.training()
        training.start(seed)
        return training.advance(theta, max(check_budget(budget), 1.0 / self.iterations)).result

    def training(self) -> Shapes:
        """A copy that does not share its state."""
        return Shapes(self.space, self.iterations, self.lr)

    def start(self, seed: int) -> ProxyResult:
        """Reset to the warm start, with batches that depend on seed >= 0; returns its scores."""
        weights, scores = warm_start(self.score_names)
        self._seed, self._progress, self._reason = seed, 0.0, ""
        self._network.load_state_dict(weights)
        self._optimizer = make_optimizer(self._network)
        return ProxyResult(self.space.objective.score(scores), dict(scores))

    def advance(self, theta: NDArray[np.float64], share: float) -> TrainingStep:
        """Continue training with theta (D,) in [0, 1] for this share, in (0, 1], and score.

        A non-finite loss or weight gives a failed result. RuntimeError before `start`; ValueError
        past the end of the training, and for a theta outside the space.
        """
        if self._seed is None:
            raise RuntimeError("this training has not started; call start(seed) first")
        spec = LossSpec.from_theta("candidate", self.space, theta, tolerance=TOLERANCE)
        loss, begin = AutoSegLoss(spec, VOID), self._progress
        self._progress = add_share(begin, share)
        if self._reason:
            return TrainingStep(failed(self._reason))
        steps = range(*(round(share * self.iterations) for share in (begin, self._progress)))
        rates = [self.lr * (1.0 - i / self.iterations) ** 0.9 for i in steps]
        with one_thread():
            try:
                mean = descend(self._network, self._optimizer, loss, self._seed, steps, rates)
            except FloatingPointError as error:
                self._reason = str(error)
                return TrainingStep(failed(self._reason))
            scores = score(self._network, self.score_names)
        return TrainingStep(ProxyResult(self.space.objective.score(scores), scores), mean)

    def state_dict(self) -> dict[str, Any]:
        """Length, seed, progress, weights and momentum: a copy, of plain values and tensors."""
        return copy.deepcopy(
            {
                "iterations": self.iterations,
                "seed": self._seed,
                "progress": self._progress,
                "reason": self._reason,
                "weights": dict(self._network.state_dict()),
                "optimizer": self._optimizer.state_dict(),
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly from the `state` of a training with equal arguments.

        ValueError if that one had another length.
        """
        check_length(state["iterations"], self.iterations)
        self._seed, self._progress, self._reason = state["seed"], state["progress"], state["reason"]
        self._network.load_state_dict(state["weights"])
        self._optimizer = make_optimizer(self._network)
        # A copy: the optimiser keeps using the tensors that it is given.
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
