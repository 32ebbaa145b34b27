"""The command line of find_loss.py -> a checked config, and the files that repeat it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from auto_seg_loss.data import DATA_ERRORS, SplitError
from auto_seg_loss.features.store import image_size
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search import check_search
from auto_seg_loss.study.record import RECORD
from autoseg_core.files import replacing
from rl.settings_diff import differences

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = "features/Base-Features.yaml"
PARTS = ("train", "holdout", "test")
SIDE, STRIDE = 224, 16
"""Images are scaled so that a square would have this side, in pixels; a multiple of the stride."""
OPTIONS = {
    "DATASETS.FOLDER.IMAGES": "--images",
    "DATASETS.FOLDER.LABELS": "--labels",
    "DATASETS.FOLDER.CLASSES": "--classes",
    "DATASETS.FOLDER.VOID": "--void",
    "DATASETS.FOLDER.GROUPS": "--groups",
    "DATASETS.FOLDER": "--images, --labels, --classes, --void, --groups",
    "SEARCH.METRIC": "--metric",
    "OUTPUT_DIR": "--output",
}
"""What errors call a key of the config -> what the user of find_loss.py has typed."""


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


@contextmanager
def options_named() -> Iterator[None]:
    """Errors of the ring name keys of a config that the user of find_loss.py never sees."""
    try:
        yield
    except (ConfigError, OSError, SplitError, *DATA_ERRORS) as error:
        text = str(error)
        for key, option in OPTIONS.items():
            text = re.sub(rf"\b{key}\b", option, text)
        if text == str(error):
            raise
        raise ConfigError(text) from error


def prepared(wish: Wish) -> CfgNode:
    """The checked config, which find.yaml and train.yaml in OUTPUT hold for other scripts, beside
    the lists of the parts. ``ConfigError`` before anything is written."""
    folder: dict[str, Any] = {
        "IMAGES": str(wish.images.absolute()),
        "LABELS": str(wish.labels.absolute()),
        "VOID": wish.void,
        "GROUPS": wish.groups,
    }
    if wish.classes:
        folder["CLASSES"] = wish.classes.read_text(encoding="utf-8").splitlines()
    images, classes = _cut(wish, folder)
    size = _size({image_size(str(path)) for paths in images.values() for path in paths})
    _write_configs(wish, folder, size, classes)
    for part, paths in images.items():
        names = "".join(f"{path.stem}\n" for path in paths)
        with replacing(wish.output / f"{part}.txt") as partial:
            partial.write_text(names, encoding="utf-8")
    cfg = load_config(str(wish.output / "find.yaml"), list(wish.opts))
    cfg.freeze()
    return cfg


def _cut(wish: Wish, folder: dict[str, Any]) -> tuple[dict[str, list[Path]], int]:
    """The images of each part and the number of classes, after the checks of a search on them."""
    keys = {f"DATASETS.FOLDER.{key}": value for key, value in {**folder, "NAME": "cut"}.items()}
    train, holdout, test = (str((_name("cut", part),)) for part in PARTS)
    keys |= {"DATASETS.TRAIN": train, "DATASETS.TEST": test, "SEARCH.HOLDOUT.DATASETS": holdout}
    keys["SEARCH.METRIC"] = wish.metric
    options = [str(text) for pair in keys.items() for text in pair]
    cfg = load_config(str(CONFIGS / BASE), [*options, *wish.opts])
    classes = len(MetadataCatalog.get(_name("cut", "train")).stuff_classes)
    cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = classes
    cfg.freeze()
    check_search(cfg)
    records = {part: DatasetCatalog.get(_name("cut", part)) for part in PARTS}
    images = {part: [Path(one["file_name"]) for one in found] for part, found in records.items()}
    return images, classes


def _name(folder: str, part: str) -> str:
    return f"{folder}_sem_seg_{part}"


def _write_configs(wish: Wish, folder: dict[str, Any], size: tuple[int, int], classes: int) -> None:
    """Write OUTPUT/find.yaml and train.yaml; ``ConfigError`` for the folder of another run."""
    output = wish.output.absolute()
    sets = {part: [_name("own", part)] for part in PARTS}
    lists = {part.upper(): str(output / f"{part}.txt") for part in PARTS}
    folder = {**folder, **lists, "NAME": "own"}
    data = {"DATASETS": {"FOLDER": folder, "TRAIN": sets["train"], "TEST": sets["test"]}}
    head = {"NUM_CLASSES": classes}
    searched = {"LOSS_TYPE": "auto_seg_loss", "LOSS_SPEC": str(output / "searched_loss.json")}
    find = {
        "_BASE_": str(CONFIGS / BASE),
        **data,
        "MODEL": {"SEM_SEG_HEAD": head},
        "FEATURES": {"SIZE": list(size)},
        "SEARCH": {"METRIC": wish.metric, "HOLDOUT": {"DATASETS": sets["holdout"]}},
        "OUTPUT_DIR": str(output),
    }
    train = {
        "_BASE_": str(CONFIGS / "Base-EfficientNetLite0.yaml"),
        **data,
        "MODEL": {"WEIGHTS": "", "SEM_SEG_HEAD": {**head, **searched}},
        "OUTPUT_DIR": str(output / "train"),
    }
    path = output / "find.yaml"
    begun = (output / RECORD).is_file()
    kept = yaml.safe_load(path.read_text(encoding="utf-8")) if begun else find
    if changed := differences(kept, find):
        raise ConfigError(f"{output} is of another run ({'; '.join(changed)}): change --output.")
    output.mkdir(parents=True, exist_ok=True)
    for name, keys in (("find", find), ("train", train)):
        with replacing(output / f"{name}.yaml") as partial:
            partial.write_text(yaml.safe_dump(keys), encoding="utf-8")


def _size(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    """FEATURES.SIZE for images of these (height, width): as many pixels as SIDE x SIDE.

    A square where some are wide and some are high.
    """
    shapes = {(height / (height * width) ** 0.5) for height, width in sizes}
    if min(shapes) < 1 < max(shapes):
        return SIDE, SIDE
    tall = sorted(shapes)[len(shapes) // 2]
    rows, columns = (max(1, round(SIDE * side / STRIDE)) for side in (tall, 1 / tall))
    return rows * STRIDE, columns * STRIDE
