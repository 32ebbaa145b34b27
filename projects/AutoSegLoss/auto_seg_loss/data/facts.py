"""What the catalogs know of a data set by its name: records, colours, how its labels are read.

C: classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils.colormap import colormap
from numpy.typing import NDArray

from .catalog import Pairs


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
