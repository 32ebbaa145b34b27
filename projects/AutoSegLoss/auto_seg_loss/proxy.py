"""The Detectron2 proxy: a short training with a candidate loss, scored exactly on the hold-out.

`from_config` makes it from a search's config: ``proxy="auto_seg_loss.proxy:from_config"`` in rl.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.utils.env import seed_all_rng
from numpy.typing import NDArray
from torch import Tensor, nn

from auto_seg_loss.candidate_scale import reference_batches, scaled
from auto_seg_loss.config import changed
from auto_seg_loss.data import DATA_ERRORS
from auto_seg_loss.data.catalog import Pairs
from auto_seg_loss.evaluation import score
from auto_seg_loss.modeling import build_model
from auto_seg_loss.runtime.checks import check_train_data, checked_config
from auto_seg_loss.runtime.log_levels import logs_off
from auto_seg_loss.runtime.random_states import undisturbed
from auto_seg_loss.search_setup import (
    build_sets,
    build_space,
    candidate_spec,
    check_problem,
    reward_objective,
)
from auto_seg_loss.training import DetectronTraining
from auto_seg_loss.warm_start import warm_start
from auto_seg_loss.weights import Checkpointer
from autoseg_core import AutoSegLoss
from rl.proxy import ProxyResult, failed
from rl.shares import check_budget


@dataclass(eq=False)
class DetectronProxy:
    """``ProxyTask``: theta, seed -> exact score of a network trained briefly with that loss.

    Every evaluation starts from the same weights; equal seeds give equal crops, flips and order
    of images, and on a CPU equal results.

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

    data_errors = DATA_ERRORS

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

    def evaluate(self, theta: NDArray[np.float64], seed: int, budget: float = 1.0) -> ProxyResult:
        """Score theta (d,); a non-finite loss or weight gives the floor and a reason.

        A budget below 1 is the same training, schedule and data included, stopped after
        round(budget * MAX_ITER) iterations, at least 1.
        """
        training = DetectronTraining(self, self.model)
        training.begin(seed)
        return training.advance(theta, check_budget(budget)).result

    def training(self) -> DetectronTraining:
        """One training run step by step, with its own network."""
        return DetectronTraining(self, copy.deepcopy(self.model))


def from_config(config_file: str, opts: Sequence[Any] = ()) -> DetectronProxy:
    """The proxy that search_net.py would use, from its config file and KEY VALUE options.

    Makes the warm start if its file is missing, and writes nothing else. Raises ``ConfigError``,
    ``DatasetError`` and ``SplitError`` as search_net.py does.
    """
    cfg = checked_config(config_file, opts, check_train_data, check_problem)
    return build_proxy(cfg, *build_sets(cfg))


def build_proxy(
    cfg: CfgNode, train_dicts: Pairs, holdout: Pairs, network: nn.Module | None = None
) -> DetectronProxy:
    """The proxy of a search's config at its warm start, which is made if its file is missing.

    network: of ``starting_network``, if it has already been built.
    """
    proxy_cfg = proxy_config(cfg)
    model = network or starting_network(proxy_cfg)
    start = warm_start(proxy_cfg, model, train_dicts)
    return DetectronProxy(proxy_cfg, model, start, train_dicts, holdout)


def proxy_config(cfg: CfgNode) -> CfgNode:
    """A search's config for its proxies: with their length, and cross entropy as the loss that
    candidates replace."""
    length, loss = cfg.SEARCH.PROXY.MAX_ITER, "cross_entropy"
    return changed(cfg, {"SOLVER.MAX_ITER": length, "MODEL.SEM_SEG_HEAD.LOSS_TYPE": loss})


def build_network(cfg: CfgNode) -> Any:
    """The network with weights drawn from SEED, whatever the state of the generators."""
    with undisturbed(cfg.MODEL.DEVICE):
        seed_all_rng(cfg.SEED)
        return build_model(cfg)


def starting_network(cfg: CfgNode) -> Any:
    """The network with MODEL.WEIGHTS, if any; missing ones are drawn as in ``build_network``."""
    model = build_network(cfg)
    Checkpointer(model).load(cfg.MODEL.WEIGHTS)
    return model
