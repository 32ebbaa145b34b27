"""Short trainings with candidate losses: their common setup, and one training step by step."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from numpy.typing import NDArray
from torch import Tensor, nn

from auto_seg_loss.candidate_scale import reference_batches, scaled
from auto_seg_loss.data.catalog import Pairs
from auto_seg_loss.evaluation import score
from auto_seg_loss.runtime.log_levels import logs_off
from auto_seg_loss.runtime.random_states import random_states, set_random_states, undisturbed
from auto_seg_loss.search_setup import build_space, candidate_spec, reward_objective
from auto_seg_loss.train_loop import TrainLoop, seeded_loop
from autoseg_core import AutoSegLoss
from rl.proxies.progress import add_share, check_length
from rl.proxy import ProxyResult, TrainingStep, failed


@dataclass(eq=False)
class TrainingSetup:
    """The start weights, data and scoring of short trainings.

    Args:
        cfg: of ``proxy_config``. SOLVER, INPUT and MODEL describe the training.
        model: its loss and weights are replaced.
        start: the model's state dict to start from.
        search, holdout: records to train on and to score.
    """

    cfg: CfgNode
    model: Any
    start: dict[str, Tensor]
    search: Pairs
    holdout: Pairs

    def __post_init__(self) -> None:
        self.space = build_space(self.cfg)
        self.score_names = reward_objective(self.cfg).reported
        # Batches on which every loss is scaled to cross entropy's gradient; (): no scaling.
        self.reference = reference_batches(self.cfg, self.model, self.start, self.search)

    def iterations(self, share: float) -> int:
        """Iterations in a share of the training, at least 1."""
        return max(1, round(share * self.cfg.SOLVER.MAX_ITER))

    def loss(self, theta: NDArray[np.float64]) -> nn.Module:
        """The loss at theta (d,), scaled; ``ValueError`` for one that is flat at the start."""
        head = self.cfg.MODEL.SEM_SEG_HEAD
        spec = candidate_spec(self.cfg, self.space, theta)
        spec = scaled(spec, self.reference, head.IGNORE_VALUE)
        loss = AutoSegLoss(spec, head.IGNORE_VALUE, backend=head.LOSS_BACKEND)
        return loss.to(self.cfg.MODEL.DEVICE)

    def result(self, model: nn.Module) -> ProxyResult:
        """The exact scores of a trained network on the hold-out; failed if weights are not finite.

        The states of the random generators do not change.
        """
        broken = [name for name, value in model.state_dict().items() if not value.isfinite().all()]
        if broken:
            return failed(f"{len(broken)} weights are not finite, {broken[0]} first")
        with logs_off(), undisturbed(self.cfg.MODEL.DEVICE):
            node = self.cfg.SEARCH.HOLDOUT
            name, *_ = node.DATASETS or self.cfg.DATASETS.TRAIN
            scores = score(self.cfg, model, self.holdout, name, self.score_names, node.CROP)
        return ProxyResult(reward_objective(self.cfg).score(scores), scores)


class DetectronTraining:
    """``TrainingTask``: SOLVER.MAX_ITER iterations from the start of a setup, cut into steps.

    Only the loss changes from one step to the next: network, momentum, learning-rate schedule and
    order of the data continue. A training has its own random generators, so neither scoring nor
    other code between two steps affects it: with a constant theta any division into steps gives
    the same weights, on a CPU bit for bit.

    model: the network to train, that of the setup or a copy.
    """

    def __init__(self, setup: TrainingSetup, model: Any) -> None:
        self.space, self.score_names, self.model = setup.space, setup.score_names, model
        self._setup, self._cfg, self._device = setup, setup.cfg, setup.cfg.MODEL.DEVICE
        self._loop: TrainLoop | None = None
        self._at_start: ProxyResult | None = None

    @property
    def iteration(self) -> int:
        """Iterations done since the start."""
        return self._begun().iter

    def begin(self, seed: int) -> None:
        """Restart without scoring: start weights, new optimiser, data order of ``seed``."""
        self._seed, self._progress, self._reason = seed, 0.0, ""
        self.model.load_state_dict(self._setup.start)
        with logs_off(), undisturbed(self._device):
            self._loop = seeded_loop(self._cfg, self.model, self._setup.search, seed)
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
            self.model.sem_seg_head.loss = self._setup.loss(theta)
        except ValueError as error:  # flat at the start of training
            self._reason = str(error)
            return TrainingStep(failed(self._reason))
        self._progress = progress
        with logs_off(), undisturbed(self._device):
            set_random_states(self._random, self._device)
            try:
                mean_loss = _train_until(loop, self._setup.iterations(progress))
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
        result = self._setup.result(self.model)
        if not result.scores:  # nothing could be measured
            self._reason = result.reason
        return result


def _train_until(loop: TrainLoop, iteration: int) -> float:
    """Train until this many iterations are done; their mean loss, NaN if there were none."""
    if loop.iter >= iteration:
        return math.nan
    loop.train(loop.iter, iteration)
    return float(np.mean([value for value, _ in loop.storage.history("total_loss").values()]))
