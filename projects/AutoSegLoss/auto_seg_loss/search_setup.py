"""The problem of a search config: the space of losses, the loss at a theta, the images."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import reduce
from operator import getitem
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from numpy.typing import NDArray

from auto_seg_loss.config import plain
from auto_seg_loss.data import assert_disjoint, carve
from auto_seg_loss.data.catalog import Pairs, records_of
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from autoseg_core import (
    Constraints,
    LossSpec,
    Objective,
    SearchSpace,
    SegmentationScores,
    search_space,
)
from autoseg_core.scores import get_metric

LOSS_KEYS = ("ABSENT", "TOLERANCE", "DROP_BACKGROUND", "VOID_EDGES")
"""Keys of SEARCH that are fields of every term of a loss."""

logger = logging.getLogger(__name__)


def build_space(cfg: CfgNode) -> SearchSpace:
    """The search space that SEARCH names."""
    return search_space(
        cfg.SEARCH.SURROGATE or cfg.SEARCH.METRIC,
        cfg.SEARCH.SURFACE,
        cfg.SEARCH.PIECES or None,
        Constraints(cfg.SEARCH.TRUTH_TABLE, cfg.SEARCH.MONOTONE),
    )


def candidate_spec(
    cfg: CfgNode, space: SearchSpace, theta: NDArray[np.float64], name: str = "candidate"
) -> LossSpec:
    """The loss at theta (d,) of ``space``, with the settings of SEARCH."""
    return LossSpec.from_theta(name, space, theta, **loss_settings(cfg.SEARCH))


def loss_settings(search: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of ``LossSpec.from_theta``: the values of LOSS_KEYS in a SEARCH node."""
    return {key.lower(): search[key] for key in LOSS_KEYS}


def reward_objective(cfg: CfgNode) -> Objective:
    """The reward of a search: SEARCH.METRIC."""
    return Objective.parse(cfg.SEARCH.METRIC)


def blind_to_inverse(cfg: CfgNode) -> bool:
    """Whether SEARCH.METRIC scores a prediction and its inverse alike: of two classes all edges are
    the same, and it sees edges alone."""
    regions = {get_metric(name).region for name in reward_objective(cfg).metrics}
    return cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES == 2 and regions == {"boundary"}


def warn_of_inverse(cfg: CfgNode) -> None:
    """Log that the search may find an inverted network, and what prevents it."""
    if blind_to_inverse(cfg) and not cfg.SEARCH.SURROGATE:
        logger.warning(
            "%s of two classes does not tell a prediction from its inverse: SEARCH.SURROGATE mIoU, "
            "or SEARCH.METRIC mIoU+BF1 or 'BF1 | mIoU >= 0.5', does.",
            cfg.SEARCH.METRIC,
        )


def loss_name(cfg: CfgNode) -> str:
    """SEARCH.NAME, or a name built from data set, metric and surface."""
    dataset = cfg.DATASETS.TRAIN[0].split("_")[0]
    target = str(reward_objective(cfg)).lower()
    parts = (re.sub(r"[^A-Za-z0-9.+-]+", "-", part).strip("-") for part in (dataset, target))
    return cfg.SEARCH.NAME or "-".join([*parts, cfg.SEARCH.SURFACE])


def network_name(cfg: CfgNode) -> str:
    """The network of a found loss's provenance."""
    timm = cfg.MODEL.BACKBONE.NAME == "build_timm_backbone"
    backbone = cfg.MODEL.TIMM.NAME if timm else cfg.MODEL.BACKBONE.NAME
    frozen = "frozen features of " * (cfg.MODEL.META_ARCHITECTURE == "FrozenFeatures")
    return f"{cfg.MODEL.SEM_SEG_HEAD.NAME} on {frozen}{backbone}"


def build_sets(cfg: CfgNode) -> tuple[Pairs, Pairs]:
    """Images to train proxies on and to score them on, both disjoint from DATASETS.TEST."""
    train_dicts = records_of(cfg.DATASETS.TRAIN)
    hold = cfg.SEARCH.HOLDOUT
    if hold.DATASETS:
        holdout = records_of(hold.DATASETS)
    else:
        with config_errors("SEARCH.HOLDOUT"):
            train_dicts, holdout = carve(train_dicts, hold.FRACTION, hold.SEED, hold.BLOCK)
    sets = {"the search set": train_dicts, "the hold-out set": holdout}
    assert_disjoint({**sets, "the test set": records_of(cfg.DATASETS.TEST)})
    return train_dicts, holdout


def check_problem(cfg: CfgNode) -> None:
    """Refuse settings without a possible proxy; ``ValueError`` says why."""
    if cfg.SEED < 0:
        raise ConfigError("A search needs a fixed seed: set SEED to 0 or more.")
    with config_errors("SEARCH.METRIC, SURROGATE, SURFACE, PIECES, ABSENT, TOLERANCE and NAME"):
        space = build_space(cfg)
        candidate_spec(cfg, space, space.identity(), loss_name(cfg))
    metrics = reward_objective(cfg).reported
    SegmentationScores(cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES, metrics=metrics)
    build_sets(cfg)


def without(cfg: CfgNode, *keys: str) -> dict[str, Any]:
    """A config as nested dicts of JSON types, without keys such as "STUDY" or "TEST.SAMPLES"."""
    config = plain(cfg)
    for key in keys:
        *sections, name = key.split(".")
        del reduce(getitem, sections, config)[name]
    return config
