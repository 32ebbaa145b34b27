"""The checks of find_loss.py on a folder and its parts, before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from auto_seg_loss.data.facts import label_rule
from auto_seg_loss.data.file_scan import count_values
from auto_seg_loss.data.folder import PARTS
from auto_seg_loss.data.labels import read_label
from auto_seg_loss.data.verify import DatasetError, Labels, check_data, look_at_data
from auto_seg_loss.evaluation import build_evaluator
from auto_seg_loss.runtime.checks import check_schedule
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.search import check_search
from auto_seg_loss.study.finding_configs import BASE, CONFIGS, Wish
from autoseg_core import Objective, get_metric

CUT = {part: f"cut_sem_seg_{part}" for part in PARTS}
"""Names of the data sets of the parts while they are checked."""
LEAST, ENOUGH = 2, 20
"""Images in each part: with fewer than LEAST nothing can be compared; with fewer than ENOUGH in the
parts that score losses, differences may be due to the images."""


def check_sizes(sizes: Mapping[str, int]) -> None:
    """``ConfigError`` for a part of fewer than LEAST images."""
    if min(sizes.values()) < LEAST:
        shown = ", ".join(f"{part} {size}" for part, size in sizes.items())
        raise ConfigError(
            f"The {sum(sizes.values())} images make parts of {shown}, and each needs {LEAST} at "
            f"least, {ENOUGH} for reliable numbers: use more images, or smaller --groups."
        )


def few_images(cfg: CfgNode) -> str:
    """A paragraph if losses are scored on fewer than ENOUGH images; else ""."""
    names = {"hold-out": cfg.SEARCH.HOLDOUT.DATASETS[0], "test": cfg.DATASETS.TEST[0]}
    sizes = {part: len(DatasetCatalog.get(name)) for part, name in names.items()}
    few = " and ".join(f"{n} ({part})" for part, n in sizes.items() if n < ENOUGH)
    if not few:
        return ""
    return (
        f"\n\nLosses are scored on {few} images: with fewer than {ENOUGH} in a part, other images "
        "may rank the losses differently."
    )


def check_folder(wish: Wish, folder: dict[str, Any]) -> CfgNode:
    """Run the checks of a search on the folder, split into its parts; returns the config."""
    keys = {f"DATASETS.FOLDER.{key}": value for key, value in {**folder, "NAME": "cut"}.items()}
    keys |= {"DATASETS.TRAIN": (CUT["train"],), "DATASETS.TEST": (CUT["test"],)}
    keys |= {"SEARCH.HOLDOUT.DATASETS": (CUT["holdout"],), "SEARCH.METRIC": wish.metric}
    options = [text for key, value in keys.items() for text in (key, repr(value))]
    cfg = load_config(str(CONFIGS / BASE), [*options, *wish.opts])
    cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = len(MetadataCatalog.get(CUT["train"]).stuff_classes)
    with config_errors():
        check_schedule(cfg)
    for part, labels in _of_parts(lambda name: look_at_data(cfg, name)).items():
        seen = count_values(labels.values()).keys() - {wish.void}
        if len(seen) < 2:
            raise ConfigError(
                f"The labels of the {part} part of {wish.labels} hold one class besides void "
                f"({wish.void}), but segmentation needs two: give background its own number, or "
                "set another --void."
            )
        if wish.classes and max(seen) >= cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES:
            first = "" if wish.void else ", the void value 0 in the first line (any name)"
            raise ConfigError(
                f"--classes names {cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES} classes, and labels of "
                f"{wish.labels} go up to {max(seen)}: name all of them, from 0 on{first}, or set "
                "--void."
            )
    _of_parts(lambda name: check_data(cfg, name))
    check_search(cfg)
    for part in PARTS[1:]:
        _check_edges(cfg, part)
    return cfg


def _of_parts(check: Callable[[str], Labels]) -> dict[str, Labels]:
    """What a check returns for each part; ``ConfigError`` with the problems of all parts."""
    found, problems = {}, []
    for part, name in CUT.items():
        try:
            found[part] = check(name)
        except DatasetError as error:
            problems.append(str(error).replace(f"data set {name!r}", f"{part} part"))
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def _check_edges(cfg: CfgNode, part: str) -> None:
    """``ConfigError`` where even the labels, scored against themselves, have no boundary score."""
    names = Objective.parse(cfg.SEARCH.METRIC).metrics
    boundary = [name for name in names if get_metric(name).region != "image"]
    if not boundary:
        return
    rule = label_rule(cfg, [CUT[part]])
    scores = build_evaluator(cfg, CUT[part], boundary).scores
    for item in DatasetCatalog.get(CUT[part]):
        label = read_label(item["sem_seg_file_name"], **rule)
        scores.update(np.where(label == rule["ignore_value"], 0, label), label)
    if lacking := [name for name, value in scores.compute().items() if math.isnan(value)]:
        raise ConfigError(
            f"The labels of the {part} part have no {' and no '.join(lacking)}, not even compared "
            "with themselves: void lies along all borders of objects, and a border with void is "
            "no edge. To make it one, add to the command: TEST.PROTOCOL paper SEARCH.VOID_EDGES "
            "True"
        )
