"""What is refused before a study writes or trains anything."""

from __future__ import annotations

from detectron2.config import CfgNode

from auto_seg_loss.executor import check_executor
from auto_seg_loss.losses import build_loss
from auto_seg_loss.runtime.checks import check_config, check_train_data
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.study.matrix import Study, cell_config, measures
from auto_seg_loss.study.settings import RESERVED, Setting
from auto_seg_loss.weights import local_weights


def check_study(study: Study) -> None:
    """``ConfigError`` for what would end a cell, or make its results useless."""
    node = study.config.STUDY
    with config_errors():
        check_executor(study.config)
    if not study.cells:
        raise ConfigError("STUDY.LOSSES and STUDY.SEEDS must name one loss and one seed at least.")
    if any(type(number) is not int or number < 0 for number in (*node.SEEDS, *node.TOLERANCES)):
        raise ConfigError("STUDY.SEEDS and STUDY.TOLERANCES must be whole numbers >= 0.")
    if len(set(node.SEEDS)) < len(node.SEEDS):
        raise ConfigError(f"STUDY.SEEDS must differ, got {list(node.SEEDS)}.")
    if taken := sorted(study.losses.keys() & set(RESERVED)):
        raise ConfigError(f"No loss of a study may be called {taken[0]!r}; give it another name.")
    for setting in study.settings:
        try:
            _check_setting(study, setting)
        except ValueError as error:
            where = ", ".join(setting.labels) + ": " * bool(setting.labels)
            raise ConfigError(f"{where}{error}") from error
    first, *others = (set(measures(setting.config)) for setting in study.settings)
    if differing := sorted(set().union(*(first ^ one for one in others))):
        raise ConfigError(
            "TEST.METRICS must be the same for all data sets and networks of a study; "
            f"not all have {', '.join(differing)}."
        )


def _check_setting(study: Study, setting: Setting) -> None:
    tests = setting.config.DATASETS.TEST
    if len(tests) != 1:
        raise ConfigError(f"A study scores one data set, DATASETS.TEST names {tests}.")
    with config_errors("STUDY.TARGET and TEST.METRICS"):
        measures(setting.config)
    found = {one.spec.name for one in study.candidates}  # whose files are not there yet
    for cell in study.cells:
        if cell.setting is setting and cell.loss not in found:
            with config_errors("STUDY.LOSSES"):
                build_loss(cell.config)
    seeds = study.config.STUDY.SEEDS
    starts = [cell_config(setting.config, "", "cross_entropy", seed) for seed in seeds]
    check_config(_on_cpu(starts[0]), check_train_data)
    for weights in {cfg.MODEL.WEIGHTS for cfg in starts} - {""}:
        local_weights(weights)


def _on_cpu(cfg: CfgNode) -> CfgNode:
    """MODEL.DEVICE is that of workers, or of nobody: ``run_study`` looks before it trains here."""
    other = cfg.clone()
    other.defrost()
    other.MODEL.DEVICE = "cpu"
    return other
