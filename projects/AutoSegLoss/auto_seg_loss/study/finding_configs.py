"""The configs that find_loss.py uses and writes: plain dicts, for YAML files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode

from auto_seg_loss.config import plain
from auto_seg_loss.data.catalog import records_of
from auto_seg_loss.data.folder import PARTS
from auto_seg_loss.search_setup import blind_to_inverse
from autoseg_core import Objective

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = "features/Base-Features.yaml"
OWN = (
    *("DATASETS.TRAIN", "DATASETS.TEST", "DATASETS.FOLDER.NAME", "SEARCH.HOLDOUT.DATASETS"),
    *("SEARCH.METRIC", "OUTPUT_DIR"),
)
"""Keys that may not be set on the command line of find_loss.py."""
BACKBONE = "backbone.pth"
"""Weights that train.yaml starts from."""
BATCH, PASSES = 8, 50
"""Of train.yaml: images per iteration, and how often it sees each of the training part. A start for
a network from ImageNet weights on few images, not a training to convergence."""
SIDE, STRIDE = 224, 16
"""Images are scaled to the area of a square with this side, in pixels; a multiple of the stride."""


@dataclass(frozen=True)
class Wish:
    """The command line of find_loss.py."""

    images: Path
    labels: Path
    metric: str
    minutes: float
    output: Path
    classes: Path | None = None
    void: int = 255
    groups: str = ""
    workers: int = 1
    opts: Sequence[str] = ()


def configs_of(
    wish: Wish, folder: dict[str, Any], sizes: set[tuple[int, int]], cut: CfgNode
) -> dict[str, dict[str, Any]]:
    """The config that finds a loss, and one that trains a whole network with it.

    Both get the keys on the command line; the second only those of the data and of the scores.
    sizes: (height, width) of the images.
    """
    output = wish.output.absolute()
    train, holdout, test = ([f"own_sem_seg_{part}"] for part in PARTS)
    lists = {part.upper(): str(output / f"{part}.txt") for part in PARTS}
    data = {"FOLDER": {**folder, **lists, "NAME": "own"}, "TRAIN": train, "TEST": test}
    metric, short = str(Objective.parse(wish.metric)), sorted(min(size) for size in sizes)
    side = min(short[len(short) // 2], 800)  # unchanged, except for large ones
    images = len(records_of(cut.DATASETS.TRAIN))
    # A backbone of other keys may not be that of the whole network.
    other = any(key.startswith("MODEL.") and key != "MODEL.DEVICE" for key in wish.opts[::2])
    head = {"NUM_CLASSES": cut.MODEL.SEM_SEG_HEAD.NUM_CLASSES}
    # A loss that sees edges alone trains inverted networks; mIoU's does not, whatever rewards it.
    surrogate = {"SURROGATE": "mIoU"} if blind_to_inverse(cut) else {}
    searched = {"LOSS_TYPE": "auto_seg_loss", "LOSS_SPEC": str(output / "searched_loss.json")}
    find = {
        "_BASE_": str(CONFIGS / BASE),
        "DATASETS": data,
        "MODEL": {"SEM_SEG_HEAD": head},
        "FEATURES": {"SIZE": list(feature_size(sizes))},
        "SEARCH": {"METRIC": metric, "HOLDOUT": {"DATASETS": holdout}, **surrogate},
        "OUTPUT_DIR": str(output / "more"),
    }
    whole = {
        "_BASE_": str(CONFIGS / "Base-EfficientNetLite0.yaml"),
        "DATASETS": data,
        "INPUT": {"MIN_SIZE_TRAIN": [side], "MIN_SIZE_TEST": side},
        "MODEL": {
            "DEVICE": cut.MODEL.DEVICE,
            "WEIGHTS": "" if other else str(output / BACKBONE),
            "SEM_SEG_HEAD": {**head, **searched},
        },
        "SOLVER": {"IMS_PER_BATCH": BATCH, "MAX_ITER": -(-PASSES * images // BATCH)},
        "OUTPUT_DIR": str(output / "train"),
    }
    values = plain(cut)
    cut_by = {f"DATASETS.FOLDER.{part.upper()}" for part in PARTS}  # in the lists here
    for key in dict.fromkeys(key for key in wish.opts[::2] if key not in cut_by):
        value = reduce(getitem, key.split("."), values)
        _set(find, key, value)
        if key.startswith(("DATASETS.", "INPUT.", "TEST.")):
            _set(whole, key, value)
    return {"find.yaml": find, "train.yaml": whole}


def search_config(output: Path, values: Mapping[str, Any]) -> str:
    """YAML that repeats the search of a run, with the keys that its plan and its baselines have
    decided."""
    config: dict[str, Any] = {"_BASE_": str(output.absolute() / "find.yaml")}
    for key, value in values.items():
        _set(config, key, value)
    return yaml.safe_dump(config)


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    reduce(lambda node, section: node.setdefault(section, {}), sections, config)[name] = value


def feature_size(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    """FEATURES.SIZE for images of these (height, width): as many pixels as SIDE x SIDE.

    A square if some are wide and some are high.
    """
    shapes = {(height / (height * width) ** 0.5) for height, width in sizes}
    if min(shapes) < 1 < max(shapes):
        return SIDE, SIDE
    tall = sorted(shapes)[len(shapes) // 2]
    rows, columns = (max(1, round(SIDE * side / STRIDE)) for side in (tall, 1 / tall))
    return rows * STRIDE, columns * STRIDE
