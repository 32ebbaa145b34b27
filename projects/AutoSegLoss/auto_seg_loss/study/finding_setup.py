"""The command line of find_loss.py -> a checked config, and the files that repeat it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from auto_seg_loss.data import DATA_ERRORS, SplitError
from auto_seg_loss.data.catalog import Pairs, label_rule
from auto_seg_loss.data.file_scan import count_values
from auto_seg_loss.data.folder import PARTS
from auto_seg_loss.data.images import image_size
from auto_seg_loss.data.labels import read_label
from auto_seg_loss.data.lists import key_of, read_lines
from auto_seg_loss.data.pairing import paired_files
from auto_seg_loss.data.verify import DatasetError, Labels, check_data, look_at_data
from auto_seg_loss.evaluation import build_evaluator
from auto_seg_loss.runtime.checks import check_schedule
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search import check_search
from auto_seg_loss.study.finding_configs import BASE, CONFIGS, Wish, configs_of
from auto_seg_loss.study.finding_verdict import ENOUGH
from auto_seg_loss.study.record import RECORD
from autoseg_core import Objective, get_metric
from autoseg_core.files import write_whole
from rl.settings_diff import differences

CUT = {part: f"cut_sem_seg_{part}" for part in PARTS}
"""Names of the data sets of the parts while they are checked."""
LEAST = 2
"""Images in each part: with fewer nothing can be compared."""
OPTIONS = {
    "DATASETS.FOLDER.IMAGES": "--images",
    "DATASETS.FOLDER.LABELS": "--labels",
    "DATASETS.FOLDER.CLASSES": "--classes",
    "DATASETS.FOLDER.VOID": "--void",
    "DATASETS.FOLDER.GROUPS": "--groups",
    "SEARCH.METRIC": "--metric",
    "OUTPUT_DIR": "--output",
}
"""Names in errors, such as config keys -> the user's options of find_loss.py."""


@contextmanager
def options_named() -> Iterator[None]:
    """Translate errors that name config keys, which users of find_loss.py never see."""
    try:
        yield
    except (ConfigError, OSError, SplitError, *DATA_ERRORS) as error:
        text = str(error).removeprefix("DATASETS.FOLDER: ")
        for key, option in OPTIONS.items():
            text = re.sub(rf"\b{key}\b", option, text)
        if text == str(error):
            raise
        raise ConfigError(text) from error


def prepared(wish: Wish) -> CfgNode:
    """The checked config; writes find.yaml and train.yaml for other scripts into OUTPUT, with the
    lists of the parts. ``ConfigError`` before anything is written."""
    folder: dict[str, Any] = {
        "IMAGES": str(wish.images.absolute()),
        "LABELS": str(wish.labels.absolute()),
        "VOID": wish.void,
        "GROUPS": wish.groups,
    }
    if wish.classes:
        folder["CLASSES"] = read_lines(wish.classes)
    cut = _checked(wish, folder)
    parts = {part: DatasetCatalog.get(name) for part, name in CUT.items()}
    sizes = {image_size(pair["file_name"]) for pairs in parts.values() for pair in pairs}
    configs = configs_of(wish, folder, sizes, cut)
    lists = {f"{part}.txt": _rows(wish, pairs) for part, pairs in parts.items()}
    _check_output(wish.output, configs["find.yaml"], lists)
    wish.output.mkdir(parents=True, exist_ok=True)
    for name, text in lists.items():
        write_whole(wish.output / name, text)
    for name, keys in configs.items():
        write_whole(wish.output / name, yaml.safe_dump(keys))
    cfg = load_config(str(wish.output / "find.yaml"), ["OUTPUT_DIR", str(wish.output.absolute())])
    cfg.freeze()
    return cfg


def _checked(wish: Wish, folder: dict[str, Any]) -> CfgNode:
    """Run the checks of a search on the folder, split into its parts; returns the config."""
    keys = {f"DATASETS.FOLDER.{key}": value for key, value in {**folder, "NAME": "cut"}.items()}
    keys |= {"DATASETS.TRAIN": (CUT["train"],), "DATASETS.TEST": (CUT["test"],)}
    keys |= {"SEARCH.HOLDOUT.DATASETS": (CUT["holdout"],), "SEARCH.METRIC": wish.metric}
    options = [text for key, value in keys.items() for text in (key, repr(value))]
    cfg = load_config(str(CONFIGS / BASE), [*options, *wish.opts])
    cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = len(MetadataCatalog.get(CUT["train"]).stuff_classes)
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
    _check_sizes({part: len(DatasetCatalog.get(name)) for part, name in CUT.items()})
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


def _check_sizes(sizes: Mapping[str, int]) -> None:
    if min(sizes.values()) < LEAST:
        shown = ", ".join(f"{part} {size}" for part, size in sizes.items())
        raise ConfigError(
            f"The {sum(sizes.values())} images make parts of {shown}, and each needs {LEAST} at "
            f"least, {ENOUGH} for reliable numbers: use more images, or smaller --groups."
        )


def _rows(wish: Wish, pairs: Pairs) -> str:
    """A list of pairs: images by their names in the folder, and labels that only a list knows."""
    root = wish.images.absolute()
    images, labels = paired_files(root, wish.labels.absolute())
    known = {str(path): str(labels.get(key, "")) for key, path in images.items()}
    rows = []
    for pair in pairs:
        image, label = pair["file_name"], pair["sem_seg_file_name"]
        short = known.get(image) == label
        rows.append(str(Path(image).relative_to(root)) if short else f"{image} {label}")
    return "".join(f"{row}\n" for row in rows)


def _check_output(output: Path, find: dict[str, Any], lists: Mapping[str, str]) -> None:
    """``ConfigError`` if the folder has another run, or other images."""
    if not (output / RECORD).is_file():
        return
    kept = yaml.safe_load((output / "find.yaml").read_text(encoding="utf-8"))
    changed = differences(kept, find)
    for name, rows in lists.items():
        before = read_lines(output / name)
        if [*map(key_of, before)] != [*map(key_of, rows.splitlines())]:
            changed.append(f"{name}: other images")
    if changed:
        raise ConfigError(f"{output} has another run ({'; '.join(changed)}): change --output.")
