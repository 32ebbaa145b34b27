"""One short training with candidate losses, step by step."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from auto_seg_loss.runtime.log_levels import logs_off
from auto_seg_loss.runtime.random_states import random_states, set_random_states, undisturbed
from auto_seg_loss.train_loop import TrainLoop, seeded_loop
from rl.proxy import ProxyResult, TrainingStep, failed
from rl.shares import add_share, check_length

if TYPE_CHECKING:
    from auto_seg_loss.proxy import DetectronProxy


class DetectronTraining:
    """``TrainingTask``: SOLVER.MAX_ITER iterations from the start of a proxy, cut into steps.

    Only the loss changes from one step to the next: network, momentum, learning-rate schedule and
    order of the data continue. A training has its own random generators, so neither scoring nor
    other code between two steps affects it: with a constant theta any division into steps gives
    the same weights, on a CPU bit for bit.

    model: the network to train, that of the proxy or a copy.
    """

    def __init__(self, proxy: DetectronProxy, model: Any) -> None:
        self.space, self.score_names, self.model = proxy.space, proxy.score_names, model
        self._proxy, self._cfg, self._device = proxy, proxy.cfg, proxy.cfg.MODEL.DEVICE
        self._loop: TrainLoop | None = None
        self._at_start: ProxyResult | None = None

    @property
    def iteration(self) -> int:
        """Iterations done since the start."""
        return self._begun().iter

    def begin(self, seed: int) -> None:
        """Restart without scoring: start weights, new optimiser, data order of ``seed``."""
        self._seed, self._progress, self._reason = seed, 0.0, ""
        self.model.load_state_dict(self._proxy.start)
        with logs_off(), undisturbed(self._device):
            self._loop = seeded_loop(self._cfg, self.model, self._proxy.search, seed)
            self._random = random_states(self._device)

    def start(self, seed: int) -> ProxyResult:
        """Restart; returns the scores of the start weights, which are measured once."""
        self.begin(seed)
        if self._at_start is None:
            self._at_start = self._score()
        return self._at_start

    def advance(self, theta: NDArray[np.float64], share: float) -> TrainingStep:
        """Continue with theta (D,) until round(progress * MAX_ITER) iterations are done, and score.

        The first step makes at least one iteration. ValueError past the end of the training,
        RuntimeError before the start. A diverged training stays failed.
        """
        loop, progress = self._begun(), add_share(self._progress, share)
        if self._reason:
            return TrainingStep(failed(self._reason))
        try:
            self.model.sem_seg_head.loss = self._proxy.loss(theta)
        except ValueError as error:  # flat at the start of training
            self._reason = str(error)
            return TrainingStep(failed(self._reason))
        self._progress = progress
        with logs_off(), undisturbed(self._device):
            set_random_states(self._random, self._device)
            try:
                mean_loss = _train_until(loop, self._proxy.iterations(progress))
            except FloatingPointError as error:
                self._reason = str(error).splitlines()[0]
                return TrainingStep(failed(self._reason))
            finally:
                self._random = random_states(self._device)
        return TrainingStep(self._score(), mean_loss)

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state: weights, optimiser, schedule, iteration, generators, seed."""
        return copy.deepcopy(
            {
                "iterations": self._cfg.SOLVER.MAX_ITER,
                "seed": self._seed,
                "progress": self._progress,
                "reason": self._reason,
                "model": dict(self.model.state_dict()),
                "trainer": self._begun().state_dict(),
                "random": self._random,
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly from the ``state`` of another training.

        ValueError for a training with another length.
        """
        check_length(state["iterations"], self._cfg.SOLVER.MAX_ITER)
        self.begin(state["seed"])
        loop = self._begun()
        loop.data_loader.start = state["trainer"]["iteration"] * loop.accumulate
        self.model.load_state_dict(state["model"])
        with logs_off():
            loop.load_state_dict(copy.deepcopy(state["trainer"]))
        self._random = copy.deepcopy(state["random"])
        self._progress, self._reason = state["progress"], state["reason"]

    def _begun(self) -> TrainLoop:
        if self._loop is None:
            raise RuntimeError("this training has not started; call start(seed) first")
        return self._loop

    def _score(self) -> ProxyResult:
        result = self._proxy.result(self.model)
        if not result.scores:  # nothing could be measured
            self._reason = result.reason
        return result


def _train_until(loop: TrainLoop, iteration: int) -> float:
    """Train until this many iterations are done; their mean loss, NaN if there were none."""
    if loop.iter >= iteration:
        return math.nan
    loop.train(loop.iter, iteration)
    return float(np.mean([value for value, _ in loop.storage.history("total_loss").values()]))
