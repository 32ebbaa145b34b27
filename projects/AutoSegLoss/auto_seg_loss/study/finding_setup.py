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
from auto_seg_loss.data.catalog import Pairs
from auto_seg_loss.data.facts import label_rule
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
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.search import check_search
from auto_seg_loss.study.finding_configs import BASE, CONFIGS, Wish, configs_of
from auto_seg_loss.study.record import RECORD
from autoseg_core import Objective, get_metric
from autoseg_core.files import replacing
from rl.settings_diff import differences

_CUT = {part: f"cut_sem_seg_{part}" for part in PARTS}
LISTS = [f"{part}.txt" for part in PARTS]
LEAST, ENOUGH = 2, 20
"""Images in each part: with fewer than LEAST nothing can be compared; with fewer than ENOUGH in the
parts that score losses, differences may be due to the images."""

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
    for option, path in ("--images", wish.images), ("--labels", wish.labels):
        if not path.is_dir():
            raise ConfigError(f"{option}: there is no directory {path.absolute()}.")
    folder: dict[str, Any] = {
        "IMAGES": str(wish.images.absolute()),
        "LABELS": str(wish.labels.absolute()),
        "VOID": wish.void,
        "GROUPS": wish.groups,
    }
    if wish.classes:
        folder["CLASSES"] = read_lines(wish.classes)
    cut = _check_cut(wish, folder)
    parts = {part: DatasetCatalog.get(name) for part, name in _CUT.items()}
    _check_parts({part: len(pairs) for part, pairs in parts.items()})
    sizes = {image_size(pair["file_name"]) for pairs in parts.values() for pair in pairs}
    configs = configs_of(wish, folder, sizes, cut)
    files = {name: yaml.safe_dump(keys) for name, keys in configs.items()}
    files |= {f"{part}.txt": _rows(wish, pairs) for part, pairs in parts.items()}
    _check_output(wish.output, configs["find.yaml"], files)
    wish.output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with replacing(wish.output / name) as partial:
            partial.write_text(text, encoding="utf-8")
    cfg = load_config(str(wish.output / "find.yaml"), ["OUTPUT_DIR", str(wish.output.absolute())])
    cfg.freeze()
    return cfg


def _rows(wish: Wish, pairs: Pairs) -> str:
    """A list of pairs: images by their names in the folder, and labels that only a list knows."""
    images, labels = paired_files(wish.images.absolute(), wish.labels.absolute())
    known = {str(path): str(labels.get(key, "")) for key, path in images.items()}
    rows = [
        str(Path(pair["file_name"]).relative_to(wish.images.absolute()))
        if known.get(pair["file_name"]) == pair["sem_seg_file_name"]
        else f"{pair['file_name']} {pair['sem_seg_file_name']}"
        for pair in pairs
    ]
    return "".join(f"{row}\n" for row in rows)


def _check_parts(sizes: Mapping[str, int]) -> None:
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


def _check_cut(wish: Wish, folder: dict[str, Any]) -> CfgNode:
    """Run the checks of a search on the folder, split into its parts; returns the config."""
    keys = {f"DATASETS.FOLDER.{key}": value for key, value in {**folder, "NAME": "cut"}.items()}
    keys |= {"DATASETS.TRAIN": (_CUT["train"],), "DATASETS.TEST": (_CUT["test"],)}
    keys |= {"SEARCH.HOLDOUT.DATASETS": (_CUT["holdout"],), "SEARCH.METRIC": wish.metric}
    options = [text for key, value in keys.items() for text in (key, repr(value))]
    cfg = load_config(str(CONFIGS / BASE), [*options, *wish.opts])
    cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = len(MetadataCatalog.get(_CUT["train"]).stuff_classes)
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
    for part, name in _CUT.items():
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
    rule = label_rule(cfg, [_CUT[part]])
    scores = build_evaluator(cfg, _CUT[part], boundary).scores
    for item in DatasetCatalog.get(_CUT[part]):
        label = read_label(item["sem_seg_file_name"], **rule)
        scores.update(np.where(label == rule["ignore_value"], 0, label), label)
    if lacking := [name for name, value in scores.compute().items() if math.isnan(value)]:
        raise ConfigError(
            f"The labels of the {part} part have no {' and no '.join(lacking)}, not even compared "
            "with themselves: void lies along all borders of objects, and a border with void is "
            "no edge. To make it one, add to the command: TEST.PROTOCOL paper SEARCH.VOID_EDGES "
            "True"
        )


def _check_output(output: Path, find: dict[str, Any], files: Mapping[str, str]) -> None:
    """``ConfigError`` if the folder has another run, or other images."""
    if not (output / RECORD).is_file():
        return
    kept = {name: (output / name).read_text(encoding="utf-8") for name in files}
    changed = differences(yaml.safe_load(kept["find.yaml"]), find)
    changed += [f"{n}: other images" for n in LISTS if _keys(kept[n]) != _keys(files[n])]
    if changed:
        raise ConfigError(f"{output} has another run ({'; '.join(changed)}): change --output.")


def _keys(rows: str) -> list[str]:
    return [key_of(row) for row in rows.splitlines()]
