"""The command line of find_loss.py -> a checked config, and the files that repeat it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from auto_seg_loss.data import DATA_ERRORS, SplitError
from auto_seg_loss.data.catalog import Pairs
from auto_seg_loss.data.folder import PARTS
from auto_seg_loss.data.images import image_size
from auto_seg_loss.data.lists import key_of, read_lines
from auto_seg_loss.data.pairing import paired_files
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.study.finding_configs import Wish, configs_of
from auto_seg_loss.study.finding_data import CUT, check_folder, check_sizes
from auto_seg_loss.study.record import RECORD
from autoseg_core.files import replacing
from rl.settings_diff import differences

LISTS = [f"{part}.txt" for part in PARTS]
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
    cut = check_folder(wish, folder)
    parts = {part: DatasetCatalog.get(name) for part, name in CUT.items()}
    check_sizes({part: len(pairs) for part, pairs in parts.items()})
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
