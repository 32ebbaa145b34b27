"""Pairs of image and label in Detectron2's catalogs; pairing.py finds them.

A pair is {"file_name", "sem_seg_file_name", "image_id"}, as Detectron2's own loaders make it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

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
