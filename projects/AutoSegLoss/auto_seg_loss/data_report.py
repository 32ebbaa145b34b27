"""What a person wants to know about data before training."""

from __future__ import annotations

from itertools import groupby

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from auto_seg_loss.data.catalog import some
from auto_seg_loss.data.folder import PARTS, folder_of
from auto_seg_loss.data.neighbours import alike_neighbours
from auto_seg_loss.data.summary import summary
from auto_seg_loss.runtime.checks import look_at_data


def data_sets(cfg: CfgNode) -> list[str]:
    """The names in DATASETS.TRAIN, SEARCH.HOLDOUT.DATASETS and DATASETS.TEST, each once."""
    names = (*cfg.DATASETS.TRAIN, *cfg.SEARCH.HOLDOUT.DATASETS, *cfg.DATASETS.TEST)
    return list(dict.fromkeys(names))


def data_report(cfg: CfgNode) -> str:
    """Sizes, shares of the classes and of void, classes that never occur and odd values of all
    data sets of a config; files of DATASETS.FOLDER that are left out; alike images in two parts.

    ``DatasetError``: files are missing, damaged or of unequal sizes.
    """
    sets = {name: look_at_data(cfg, name) for name in data_sets(cfg)}
    tables = [
        summary({name: sets[name] for name in names}, *kind)
        for kind, names in groupby(sets, _classes)
    ]
    parts = {name: DatasetCatalog.get(name) for name in sets}
    notes = [_left_out(cfg) if cfg.DATASETS.FOLDER.IMAGES else "", alike_neighbours(parts)]
    return "\n\n".join([*tables, *(note for note in notes if note)])


def _classes(name: str) -> tuple[tuple[str, ...], int]:
    metadata = MetadataCatalog.get(name)
    return tuple(metadata.stuff_classes), metadata.get("ignore_label", 255)


def _left_out(cfg: CfgNode) -> str:
    """Files of DATASETS.FOLDER that are in none of its parts."""
    folder = folder_of(cfg)
    used = {item["file_name"] for part in PARTS for item in folder.part(part)}
    unused = [i["file_name"] for i in folder.all_pairs() if i["file_name"] not in used]
    lonely = [str(path) for path in folder.unpaired()]
    kinds = {"without partner": lonely, "in no part": unused}
    lines = [
        f"{len(files)} files {words}: {some(files)}" for words, files in kinds.items() if files
    ]
    return "\n".join(lines)
