"""The command line of find_loss.py -> a checked config, and the files that repeat it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from auto_seg_loss.config import plain
from auto_seg_loss.data import DATA_ERRORS, SplitError
from auto_seg_loss.data.file_scan import count_values
from auto_seg_loss.data.folder import PARTS
from auto_seg_loss.data.lists import read_lines
from auto_seg_loss.data.verify import look_at_data
from auto_seg_loss.features.store import image_size
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search import check_search
from auto_seg_loss.study.record import RECORD
from autoseg_core.files import replacing
from rl.settings_diff import differences

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = "features/Base-Features.yaml"
_CUT = {part: f"cut_sem_seg_{part}" for part in PARTS}
LISTS = [f"{part}.txt" for part in PARTS]
SIDE, STRIDE = 224, 16
"""Images are scaled so that a square would have this side, in pixels; a multiple of the stride."""

LEAST, ENOUGH = 2, 20
"""Images in each part: without LEAST nothing can be compared; with fewer than ENOUGH in the parts
that score losses, differences may be those of the images."""

OPTIONS = {
    "DATASETS.FOLDER.IMAGES": "--images",
    "DATASETS.FOLDER.LABELS": "--labels",
    "DATASETS.FOLDER.CLASSES": "--classes",
    "DATASETS.FOLDER.VOID": "--void",
    "DATASETS.FOLDER.GROUPS": "--groups",
    "DATASETS.FOLDER: ": "",
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
            text = re.sub(rf"\b{key}(?!\w)", option, text)
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
        folder["CLASSES"] = read_lines(wish.classes)
    cut = _check_cut(wish, folder)
    parts = {
        part: [Path(one["file_name"]) for one in DatasetCatalog.get(_CUT[part])] for part in PARTS
    }
    _check_parts({part: len(paths) for part, paths in parts.items()})
    size = _size({image_size(str(path)) for paths in parts.values() for path in paths})
    configs = _configs(wish, folder, size, cut)
    files = {name: yaml.safe_dump(keys) for name, keys in configs.items()}
    files |= {f"{p}.txt": "".join(f"{path.name}\n" for path in own) for p, own in parts.items()}
    _check_output(wish.output, configs["find.yaml"], files)
    wish.output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with replacing(wish.output / name) as partial:
            partial.write_text(text, encoding="utf-8")
    cfg = load_config(str(wish.output / "find.yaml"), [])
    cfg.freeze()
    return cfg


def _check_parts(sizes: Mapping[str, int]) -> None:
    """``ConfigError`` for a part of fewer than LEAST images."""
    if min(sizes.values()) < LEAST:
        shown = ", ".join(f"{part} {size}" for part, size in sizes.items())
        raise ConfigError(
            f"The {sum(sizes.values())} images make parts of {shown}, and each needs {LEAST} at "
            f"least, {ENOUGH} for numbers to rely on: give more images, or smaller --groups."
        )


def few_images(cfg: CfgNode) -> str:
    """A paragraph where losses are scored on fewer than ENOUGH images; else ""."""
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
    """The checks of a search on the folder, cut into its parts; the config of it."""
    keys = {f"DATASETS.FOLDER.{key}": value for key, value in {**folder, "NAME": "cut"}.items()}
    keys |= {"DATASETS.TRAIN": (_CUT["train"],), "DATASETS.TEST": (_CUT["test"],)}
    keys |= {"SEARCH.HOLDOUT.DATASETS": (_CUT["holdout"],), "SEARCH.METRIC": wish.metric}
    options = [text for key, value in keys.items() for text in (key, repr(value))]
    cfg = load_config(str(CONFIGS / BASE), [*options, *wish.opts])
    cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = len(MetadataCatalog.get(_CUT["train"]).stuff_classes)
    for part, name in _CUT.items():
        seen = count_values(look_at_data(cfg, name).values()).keys() - {wish.void}
        if len(seen) < 2:
            raise ConfigError(
                f"The labels of the {part} part of {wish.labels} hold one class beside void, "
                f"{wish.void}, and a segmentation needs two: give background a number of its own, "
                "or another --void."
            )
    check_search(cfg)
    return cfg


def _configs(
    wish: Wish, folder: dict[str, Any], size: tuple[int, int], cut: CfgNode
) -> dict[str, dict[str, Any]]:
    """The config that finds a loss, and one that trains a whole network with it.

    Both have the keys that the command line gives; the second those of the data and of the scores.
    """
    output = wish.output.absolute()
    train, holdout, test = ([f"own_sem_seg_{part}"] for part in PARTS)
    lists = {part.upper(): str(output / f"{part}.txt") for part in PARTS}
    data = {"FOLDER": {**folder, **lists, "NAME": "own"}, "TRAIN": train, "TEST": test}
    head = {"NUM_CLASSES": cut.MODEL.SEM_SEG_HEAD.NUM_CLASSES}
    searched = {"LOSS_TYPE": "auto_seg_loss", "LOSS_SPEC": str(output / "searched_loss.json")}
    find = {
        "_BASE_": str(CONFIGS / BASE),
        "DATASETS": data,
        "MODEL": {"SEM_SEG_HEAD": head},
        "FEATURES": {"SIZE": list(size)},
        "SEARCH": {"METRIC": wish.metric, "HOLDOUT": {"DATASETS": holdout}},
        "OUTPUT_DIR": str(output),
    }
    whole = {
        "_BASE_": str(CONFIGS / "Base-EfficientNetLite0.yaml"),
        "DATASETS": data,
        "MODEL": {"WEIGHTS": "", "SEM_SEG_HEAD": {**head, **searched}},
        "OUTPUT_DIR": str(output / "train"),
    }
    values = plain(cut)
    for key in wish.opts[::2]:
        value = reduce(getitem, key.split("."), values)
        _set(find, key, value)
        if key.startswith(("DATASETS.", "INPUT.", "TEST.")):
            _set(whole, key, value)
    return {"find.yaml": find, "train.yaml": whole}


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    reduce(lambda node, section: node.setdefault(section, {}), sections, config)[name] = value


def _check_output(output: Path, find: dict[str, Any], files: Mapping[str, str]) -> None:
    """``ConfigError`` for the folder of another run, or of other images."""
    if not (output / RECORD).is_file():
        return
    kept = {name: (output / name).read_text(encoding="utf-8") for name in files}
    changed = differences(yaml.safe_load(kept["find.yaml"]), find)
    changed += [f"{name}: other images" for name in LISTS if kept[name] != files[name]]
    if changed:
        raise ConfigError(f"{output} is of another run ({'; '.join(changed)}): change --output.")


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
