"""One short training, run in one go or led step by step with a loss that changes on the way."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.evaluation import inference_on_dataset
from detectron2.utils.env import seed_all_rng
from numpy.typing import NDArray
from torch import Tensor, nn

from auto_seg_loss.data import build_train_loader
from auto_seg_loss.evaluation import Dicts, build_evaluator, build_test_loader
from auto_seg_loss.runtime.log_levels import logs_off
from auto_seg_loss.runtime.random_states import random_states, set_random_states, undisturbed
from auto_seg_loss.search_setup import candidate_spec, reward_objective
from auto_seg_loss.train_loop import TrainLoop
from autoseg_core import PAPER_METRICS, AutoSegLoss, LossSpec, gradient_scale
from rl.proxies.progress import add_share, check_length
from rl.proxy import ProxyResult, TrainingStep, failed

Batches = Sequence[tuple[Tensor, Tensor]]
"""Logits (N, C, H, W) and targets (N, H, W)."""


if TYPE_CHECKING:
    from auto_seg_loss.proxy import DetectronProxy


class DetectronTraining:
    """``TrainingTask``: SOLVER.MAX_ITER iterations from a proxy's start, cut into steps.

    Nothing but the loss changes from a step to the next: network, momentum, learning-rate schedule
    and order of the data go on. A training has random generators of its own, so neither a scoring
    nor anything else that runs between two steps disturbs it: with a constant theta any cut gives
    the weights of the uncut training, on a CPU bit for bit.

    proxy: what is trained, from where and on what. model: the network to train.
    """

    def __init__(self, proxy: DetectronProxy, model: Any) -> None:
        self.cfg, self.space, self.model = proxy.cfg, proxy.space, model
        self.score_names = proxy.score_names
        self._proxy, self._device = proxy, proxy.cfg.MODEL.DEVICE
        self._trainer: TrainLoop | None = None
        self._at_start: ProxyResult | None = None

    @property
    def iteration(self) -> int:
        """Iterations done since the start."""
        return self._begun().iter

    def begin(self, seed: int) -> None:
        """Begin anew without scoring: start weights, fresh optimiser, data order of ``seed``."""
        self._seed, self._progress, self._reason = seed, 0.0, ""
        self.model.load_state_dict(self._proxy.start)
        with logs_off(), undisturbed(self._device):
            seed_all_rng(seed)
            batches = build_train_loader(self.cfg, self._proxy.search)
            self._trainer = TrainLoop(self.cfg, self.model, batches)
            self._random = random_states(self._device)

    def start(self, seed: int) -> ProxyResult:
        """Begin anew; the scores of the start weights, which are measured once."""
        self.begin(seed)
        if self._at_start is None:
            self._at_start = self._score()
        return self._at_start

    def advance(self, theta: NDArray[np.float64], share: float) -> TrainingStep:
        """Train on with theta (D,) until round(progress * MAX_ITER) iterations are done, and score.

        The first step makes one iteration at least. ValueError past the end of the training,
        RuntimeError before the start. A training that blew up has failed for good.
        """
        trainer = self._begun()
        progress = add_share(self._progress, share)
        if self._reason:
            return TrainingStep(failed(self._reason))
        try:
            self.model.sem_seg_head.loss = candidate_loss(self._proxy, theta)
        except ValueError as error:  # flat where training begins
            self._reason = str(error)
            return TrainingStep(failed(self._reason))
        self._progress = progress
        with logs_off(), undisturbed(self._device):
            set_random_states(self._random, self._device)
            try:
                mean_loss = _train_until(trainer, iterations_of(self.cfg, progress))
            except FloatingPointError as error:
                self._reason = str(error).splitlines()[0]
                return TrainingStep(failed(self._reason))
            finally:
                self._random = random_states(self._device)
        return TrainingStep(self._score(), mean_loss)

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state: weights, optimiser, schedule, iteration, generators, seed."""
        trainer = self._begun()
        return copy.deepcopy(
            {
                "iterations": self.cfg.SOLVER.MAX_ITER,
                "seed": self._seed,
                "progress": self._progress,
                "reason": self._reason,
                "model": dict(self.model.state_dict()),
                "trainer": trainer.state_dict(),
                "random": self._random,
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where the training that gave ``state`` was.

        ValueError for a training of another length.
        """
        check_length(state["iterations"], self.cfg.SOLVER.MAX_ITER)
        self.begin(state["seed"])
        trainer = self._begun()
        trainer.data_loader.start = state["trainer"]["iteration"] * trainer.accumulate
        self.model.load_state_dict(state["model"])
        with logs_off():
            trainer.load_state_dict(copy.deepcopy(state["trainer"]))
        self._random = copy.deepcopy(state["random"])
        self._progress, self._reason = state["progress"], state["reason"]

    def _begun(self) -> TrainLoop:
        if self._trainer is None:
            raise RuntimeError("this training has not begun; call start(seed) first")
        return self._trainer

    def _score(self) -> ProxyResult:
        result = scored(self._proxy, self.model)
        if not result.scores:  # nothing could be measured
            self._reason = result.reason
        return result


def candidate_loss(proxy: DetectronProxy, theta: NDArray[np.float64]) -> nn.Module:
    """The loss at theta (d,), scaled; ``ValueError`` for one that is flat where training begins."""
    head = proxy.cfg.MODEL.SEM_SEG_HEAD
    spec = candidate_spec(proxy.cfg, proxy.space, theta)
    spec = scaled(spec, proxy.reference, head.IGNORE_VALUE)
    return AutoSegLoss(spec, head.IGNORE_VALUE, backend=head.LOSS_BACKEND).to(
        proxy.cfg.MODEL.DEVICE
    )


def iterations_of(cfg: CfgNode, share: float) -> int:
    """Iterations in a share of the training, 1 at least."""
    return max(1, round(share * cfg.SOLVER.MAX_ITER))


def scored(proxy: DetectronProxy, model: nn.Module) -> ProxyResult:
    """The exact scores of a trained network on the hold-out; failed for weights not finite."""
    broken = [name for name, value in model.state_dict().items() if not value.isfinite().all()]
    if broken:
        return failed(f"{len(broken)} weights are not finite, {broken[0]} first")
    with logs_off(), undisturbed(proxy.cfg.MODEL.DEVICE):
        name = proxy.cfg.DATASETS.TRAIN[0]
        scores = score(proxy.cfg, model, proxy.holdout, name, proxy.score_names)
    return ProxyResult(reward_objective(proxy.cfg).score(scores), scores)


def train(cfg: CfgNode, model: nn.Module, dicts: Dicts, seed: int, *also: HookBase) -> None:
    """Train ``model`` in place for SOLVER.MAX_ITER iterations on ``dicts``.

    also: hooks beside that of the learning rate, which comes first. Raises ``FloatingPointError``
    when the loss turns non-finite.
    """
    seed_all_rng(seed)
    trainer = TrainLoop(cfg, model, build_train_loader(cfg, dicts))
    trainer.register_hooks(also)
    trainer.train(0, cfg.SOLVER.MAX_ITER)


def score(
    cfg: CfgNode,
    model: nn.Module,
    dicts: Dicts,
    dataset_name: str,
    metrics: Sequence[str] = PAPER_METRICS,
) -> dict[str, float]:
    """The exact scores of ``model`` on ``dicts``, or on their centre crops, in [0, 1]."""
    evaluator = build_evaluator(cfg, dicts, dataset_name, metrics)
    loader = build_test_loader(cfg, dicts, cfg.SEARCH.HOLDOUT.CROP)
    inference_on_dataset(model, loader, evaluator)
    return evaluator.scores.compute()


def scaled(spec: LossSpec, batches: Batches, ignore_value: int) -> LossSpec:
    """The spec with cross entropy's mean gradient on ``batches``; as it is without any.

    ``ValueError`` for a loss that is flat there.
    """
    if not batches:
        return spec
    return spec.scaled(gradient_scale(AutoSegLoss(spec, ignore_value), batches))


def _train_until(trainer: TrainLoop, iteration: int) -> float:
    """Train until so many iterations are done; their mean loss, NaN when there were none."""
    if trainer.iter >= iteration:
        return math.nan
    trainer.train(trainer.iter, iteration)
    return float(np.mean([value for value, _ in trainer.storage.history("total_loss").values()]))
