"""Checks before anything starts: a run of hours must not fail on what a minute can detect.

Networks and weights are not checked here: a script builds and loads them first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from auto_seg_loss.data import SemSegMapper
from auto_seg_loss.data.labels import check_ignore_value
from auto_seg_loss.data.verify import check_data
from auto_seg_loss.losses import build_loss
from auto_seg_loss.modeling.build import STOCK, network_on_meta, replaces_loss
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.runtime.log_levels import logs_off
from auto_seg_loss.weights import local_weights
from autoseg_core import PAPER_METRICS, SegmentationScores


def checked_config(
    config_file: str, opts: Sequence[Any], *checks: Callable[[CfgNode], None]
) -> CfgNode:
    """The frozen config of a file and KEY VALUE options, checked by ``check_config``."""
    cfg = load_config(config_file, [str(option) for option in opts])
    cfg.freeze()
    check_config(cfg, *checks)
    return cfg


def check_config(cfg: CfgNode, *checks: Callable[[CfgNode], None]) -> None:
    """Run the common checks, then ``checks``; a ``ValueError`` becomes a ``ConfigError``."""
    common = (check_device, check_schedule, check_evaluation, check_test_data, check_test_size)
    with config_errors():
        for check in (*common, check_weights, *checks):
            check(cfg)


def check_device(cfg: CfgNode) -> None:
    """Refuse a MODEL.DEVICE that PyTorch cannot use here.

    GPUs are only counted: a process that used one would hold its memory while others train on it.
    """
    try:
        device, gpus = torch.device(cfg.MODEL.DEVICE), torch.cuda.device_count()
        if device.type != "cuda":
            torch.empty(0, device=device)
        elif gpus <= (device.index or 0):
            raise RuntimeError(f"PyTorch finds {gpus} GPUs on this machine")
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"MODEL.DEVICE {cfg.MODEL.DEVICE}: {reason}; set cpu.") from None


def check_schedule(cfg: CfgNode) -> None:
    """Refuse a training without steps."""
    for key in ("MAX_ITER", "ACCUMULATE"):
        if cfg.SOLVER[key] < 1:
            raise ConfigError(f"SOLVER.{key} must be at least 1, got {cfg.SOLVER[key]}.")


def check_evaluation(cfg: CfgNode) -> None:
    """Refuse invalid values of TEST, and an invalid void label."""
    head = cfg.MODEL.SEM_SEG_HEAD
    check_ignore_value(head.NUM_CLASSES, head.IGNORE_VALUE)
    with config_errors("TEST.TOLERANCE, PROTOCOL, DROP_BACKGROUND and METRICS"):
        SegmentationScores(
            head.NUM_CLASSES,
            tolerance=cfg.TEST.TOLERANCE,
            protocol=cfg.TEST.PROTOCOL,
            drop_background=cfg.TEST.DROP_BACKGROUND,
            metrics=(*PAPER_METRICS, *cfg.TEST.METRICS),
        )


def check_weights(cfg: CfgNode) -> None:
    """Refuse missing MODEL.WEIGHTS; remote ones are downloaded, once for all processes."""
    if cfg.MODEL.WEIGHTS:
        local_weights(cfg.MODEL.WEIGHTS)


def check_loss(cfg: CfgNode) -> None:
    """Refuse an unknown loss, an invalid spec, and a spec, weights or a loss that are not used."""
    build_loss(cfg)
    replaces_loss(cfg)
    head = cfg.MODEL.SEM_SEG_HEAD
    if head.LOSS_SPEC and head.LOSS_TYPE != "auto_seg_loss":
        raise ConfigError(
            f"MODEL.SEM_SEG_HEAD.LOSS_SPEC {head.LOSS_SPEC!r} is not used by LOSS_TYPE "
            f'{head.LOSS_TYPE!r}; set LOSS_TYPE to "auto_seg_loss", or LOSS_SPEC to "".'
        )
    if head.LOSS_CLASS_WEIGHTS and head.LOSS_TYPE == "cross_entropy":  # a loss of your own may
        raise ConfigError(
            "MODEL.SEM_SEG_HEAD.LOSS_CLASS_WEIGHTS is not used by LOSS_TYPE 'cross_entropy'; set "
            'LOSS_TYPE to "weighted_cross_entropy", or LOSS_CLASS_WEIGHTS to [].'
        )


def check_test_data(cfg: CfgNode) -> None:
    """Check every file of DATASETS.TEST and the number of classes."""
    _check_all(cfg, "DATASETS.TEST", cfg.DATASETS.TEST)


def check_test_size(cfg: CfgNode) -> None:
    """Refuse a DeepLab head of Detectron2 that cannot score the first test image.

    Where INPUT.CROP is on, it pools over a window as large as the crop, in evaluations too.
    """
    name = cfg.MODEL.SEM_SEG_HEAD.NAME
    stock = cfg.INPUT.CROP.ENABLED and name in [head.__name__ for head in STOCK]
    if not stock or cfg.MODEL.META_ARCHITECTURE != "SemanticSegmentor":
        return
    first = DatasetCatalog.get(cfg.DATASETS.TEST[0])[0]
    with logs_off(), torch.no_grad():
        model, image = network_on_meta(cfg).eval(), SemSegMapper(cfg, False)(first)
        try:
            model([image])
        except ValueError as error:
            raise ConfigError(
                f"MODEL.SEM_SEG_HEAD.NAME {name!r} pools over windows of INPUT.CROP.SIZE "
                f"{tuple(cfg.INPUT.CROP.SIZE)} and cannot score {first['file_name']}: {error} Use "
                "AnyLossDeepLabV3PlusHead, which loads the weights of DeepLabV3PlusHead, or set "
                "INPUT.CROP.ENABLED False."
            ) from None


def check_train_data(cfg: CfgNode) -> None:
    """The same for DATASETS.TRAIN and the hold-out of a search."""
    _check_all(cfg, "DATASETS.TRAIN", cfg.DATASETS.TRAIN)
    if cfg.SEARCH.HOLDOUT.DATASETS:
        _check_all(cfg, "SEARCH.HOLDOUT.DATASETS", cfg.SEARCH.HOLDOUT.DATASETS)


def _check_all(cfg: CfgNode, key: str, names: tuple[str, ...]) -> None:
    """Check every file, and the number of classes."""
    if not names:
        raise ConfigError(f"{key} must name a data set.")
    for name in dict.fromkeys(names):
        check_data(cfg, name)
