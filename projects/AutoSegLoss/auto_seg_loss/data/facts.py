"""What the catalogs know of a data set by its name: records, and how its labels are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from .catalog import Pairs


def data_sets(cfg: CfgNode) -> list[str]:
    """The names in DATASETS.TRAIN, SEARCH.HOLDOUT.DATASETS and DATASETS.TEST, each once."""
    names = (*cfg.DATASETS.TRAIN, *cfg.SEARCH.HOLDOUT.DATASETS, *cfg.DATASETS.TEST)
    return list(dict.fromkeys(names))


def records_of(names: Iterable[str]) -> Pairs:
    """The records of data sets, one after the other."""
    return [record for name in names for record in DatasetCatalog.get(name)]


def ignore_label_of(name: str) -> int:
    """The value that means "void" in the label files of a data set: 255 where it does not say."""
    value: int = MetadataCatalog.get(name).get("ignore_label", 255)
    return value


def label_rule(cfg: CfgNode, names: Sequence[str], ignore_value: int = 255) -> dict[str, Any]:
    """The keywords of ``read_label`` for the labels of data sets; all of them can be hashed.

    ``ValueError`` unless the sets have equal numbers of classes and one value for void.
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
