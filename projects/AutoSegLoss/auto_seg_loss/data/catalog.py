"""Pairs of image and label in Detectron2's catalogs (pairing.py finds them), and what the catalogs
know of a data set: records, colours, how its labels are read.

A pair is {"file_name", "sem_seg_file_name", "image_id"}, as Detectron2's own loaders make it.
C: classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils.colormap import colormap
from numpy.typing import NDArray

Pairs = list[dict[str, Any]]
LISTED = 10  # number of files that an error lists


def datasets_root() -> Path:
    """The folder of all data sets: $DETECTRON2_DATASETS, else ./datasets, as in Detectron2."""
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets")).expanduser()


def register(
    name: str,
    load: Callable[[], Pairs],
    *,
    classes: Iterable[str],
    colours: Iterable[tuple[int, int, int]],
    ignore_label: int,
) -> None:
    """Registers a data set and its metadata; AssertionError for a name that is already taken.

    name: as in DATASETS.TRAIN. load: returns the pairs; a process calls it once for each
    ``datasets_root``, since a folder of 5000 images takes a second. classes: names, in the order of
    their indices. colours: RGB of each class, 0..255. ignore_label: void in the label files.
    """
    kept = cache(lambda _root, _folder: load())  # paths may be relative to the current folder
    DatasetCatalog.register(name, lambda: [{**pair} for pair in kept(datasets_root(), Path.cwd())])
    MetadataCatalog.get(name).set(
        stuff_classes=list(classes),
        stuff_colors=[list(colour) for colour in colours],
        ignore_label=ignore_label,
        evaluator_type="sem_seg",
    )


def unregister(name: str) -> None:
    """Removes a name from both catalogs, if present: metadata cannot be reset."""
    if name in DatasetCatalog.list():
        DatasetCatalog.remove(name)
    if name in MetadataCatalog.list():
        MetadataCatalog.remove(name)


def make_pair(stem: str, image: Path, label: Path) -> dict[str, Any]:
    """An entry of `Pairs`; ValueError if image and label are one file."""
    if os.path.realpath(image) == os.path.realpath(label):
        raise ValueError(f"{image} is given as an image and as its own label: give label maps")
    return {"file_name": str(image), "sem_seg_file_name": str(label), "image_id": stem}


def some(items: Sequence[Any]) -> str:
    """The first items of a list as text, and the number of the others."""
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(str(item) for item in items[:LISTED]) + more


def data_sets(cfg: CfgNode) -> list[str]:
    """The names in DATASETS.TRAIN, SEARCH.HOLDOUT.DATASETS and DATASETS.TEST, each once."""
    names = (*cfg.DATASETS.TRAIN, *cfg.SEARCH.HOLDOUT.DATASETS, *cfg.DATASETS.TEST)
    return list(dict.fromkeys(names))


def records_of(names: Iterable[str]) -> Pairs:
    """The records of data sets, one after the other."""
    return [record for name in names for record in DatasetCatalog.get(name)]


def image_name(record: dict[str, Any]) -> str:
    """A name for files and tags of a record: its image's stem, with its folders if they are nested.

    "a__1" for the image id "a/1".
    """
    key = str(record.get("image_id", ""))
    return key.replace("/", "__") if "/" in key else Path(record["file_name"]).stem


def ignore_label_of(name: str) -> int:
    """The value for void in the label files of a data set; 255 if its metadata has none."""
    value: int = MetadataCatalog.get(name).get("ignore_label", 255)
    return value


def colours_of(name: str) -> NDArray[np.uint8]:
    """Colours (C, 3), RGB, of a data set's classes.

    Its stuff_colors; a set without any gets Detectron2's colour map, repeated if there are more
    classes.
    """
    metadata = MetadataCatalog.get(name)
    colours = metadata.get("stuff_colors", None)
    if colours is None:
        known = colormap(rgb=True, maximum=255)
        colours = known[np.arange(len(metadata.stuff_classes)) % len(known)]
    return np.asarray(colours).astype(np.uint8)


def label_rule(cfg: CfgNode, names: Sequence[str], ignore_value: int = 255) -> dict[str, Any]:
    """The keywords of ``read_label`` for the labels of data sets; all are hashable.

    ``ValueError`` if the sets differ in the number of classes or in the value for void.
    """
    kinds = {
        name: (len(MetadataCatalog.get(name).stuff_classes), ignore_label_of(name))
        for name in names
    }
    if len(set(kinds.values())) > 1:
        raise ValueError(
            f"data sets used together must agree in (number of classes, ignore label), got {kinds}"
        )
    num_classes, ignore_label = kinds[names[0]]
    return {
        "num_classes": num_classes,
        "ignore_label": ignore_label,
        "ignore_value": ignore_value,
        "palette": tuple(map(tuple, cfg.INPUT.LABEL_PALETTE)),
    }
