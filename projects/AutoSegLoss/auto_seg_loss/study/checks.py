"""What is refused before a study writes or trains anything."""

from __future__ import annotations

from detectron2.config import CfgNode

from auto_seg_loss.checkpoint import fitted
from auto_seg_loss.executor import check_executor
from auto_seg_loss.losses import build_loss, loss_names
from auto_seg_loss.modeling.build import network_on_meta
from auto_seg_loss.runtime.checks import (
    check_evaluation,
    check_test_data,
    check_train_data,
)
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.study.matrix import Study, cell_config, score_names
from auto_seg_loss.study.settings import RESERVED
from auto_seg_loss.weight_files import local_weights
from auto_seg_loss.weights import read_checkpoint
from autoseg_core.scores import get_metric

SETTING_CHECKS = (check_evaluation,)
DATA_CHECKS = (check_test_data, check_train_data)


def check_study(study: Study) -> None:
    """Refuse unknown losses, an unknown target, unfit seeds and the like; ``ConfigError``."""
    with config_errors():
        _check_study(study)


def _check_study(study: Study) -> None:
    _check_lists(study.config)
    for setting in study.settings:
        _check_target(setting.config)
        _check_losses(setting.config)
        if len(setting.config.DATASETS.TEST) != 1:
            names = setting.config.DATASETS.TEST
            raise ConfigError(f"A study scores one data set, DATASETS.TEST names {names}.")
    _check_labels(study)
    if len({score_names(setting.config) for setting in study.settings}) > 1:
        raise ConfigError("TEST.METRICS must be the same for all of STUDY.DATASETS and NETWORKS.")
    check_executor(study.config)


def check_settings(study: Study) -> None:
    """Refuse data, weights and evaluations that are not fit, for every data set and network."""
    seen = set()  # networks share data, and looking at every file takes its time
    for setting in study.settings:
        data = (str(setting.config.DATASETS), setting.config.MODEL.SEM_SEG_HEAD.NUM_CLASSES)
        # Starts last: they may be fetched from the network.
        checks = (*SETTING_CHECKS, *(() if data in seen else DATA_CHECKS), _check_starts)
        seen.add(data)
        for check in checks:
            try:
                check(setting.config)
            except ValueError as error:
                where = f"{setting.name}: " if setting.name else ""
                raise ConfigError(f"{where}{error}") from error


def _check_starts(cfg: CfgNode) -> None:
    """The weights that each seed starts from."""
    starts = [cell_config(cfg, "cross_entropy", seed) for seed in cfg.STUDY.SEEDS]
    network = network_on_meta(cfg).state_dict()
    for weights in {cell.MODEL.WEIGHTS for cell in starts} - {""}:
        path = local_weights(weights)
        fitted(read_checkpoint(path), network, path)


def _check_lists(cfg: CfgNode) -> None:
    seeds, node = list(cfg.STUDY.SEEDS), cfg.STUDY
    if not seeds:
        raise ConfigError("STUDY.SEEDS is empty; give at least one seed.")
    if not node.LOSSES and not node.JOURNAL:
        raise ConfigError("STUDY.LOSSES is empty; name at least one loss.")
    if not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise ConfigError(f"STUDY.SEEDS must be whole numbers >= 0, got {seeds}.")
    if len(set(seeds)) != len(seeds):
        raise ConfigError(f"STUDY.SEEDS must differ, got {seeds}.")
    radii = list(node.TOLERANCES)
    if not all(type(r) is int and r >= 0 for r in radii) or len(set(radii)) != len(radii):
        raise ConfigError(f"STUDY.TOLERANCES must be different whole numbers >= 0, got {radii}.")
    if node.IMAGES < 0:
        raise ConfigError(f"Expected STUDY.IMAGES >= 0, got {node.IMAGES}.")


def _check_target(cfg: CfgNode) -> None:
    with config_errors("STUDY.TARGET"):
        target = get_metric(cfg.STUDY.TARGET).name
    if target not in score_names(cfg):
        raise ConfigError(
            f"STUDY.TARGET {cfg.STUDY.TARGET!r} is not scored; add it to TEST.METRICS. Scored are "
            f"{', '.join(score_names(cfg))}."
        )


def _check_losses(cfg: CfgNode) -> None:
    for loss in cfg.STUDY.LOSSES:
        try:
            build_loss(cell_config(cfg, loss, seed=0))
        except FileNotFoundError as error:
            raise ConfigError(
                f"STUDY.LOSSES: {error} Files are looked for from the working directory; the head "
                "of a study's config says which search makes them."
            ) from None
        except ValueError as error:
            raise ConfigError(
                f"STUDY.LOSSES: {error} Names of the registry: {', '.join(loss_names())}."
            ) from None


def _check_labels(study: Study) -> None:
    labels = list(study.labels().values())
    if len(set(labels)) != len(study.losses):
        raise ConfigError(
            f"STUDY.LOSSES must name different losses, got {labels}; the name of a found "
            "loss is SEARCH.NAME, or `name` in its file."
        )
    if taken := sorted(set(labels) & set(RESERVED)):
        raise ConfigError(f"No loss of a study may be called {taken[0]!r}; give it another name.")
