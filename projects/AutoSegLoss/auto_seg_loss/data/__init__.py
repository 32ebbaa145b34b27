"""Data sets, splits, checks and the mapper. Importing this package registers the data sets.

labels.py   label file -> class indices      catalog.py             pairs of files -> catalogs
splits.py   search set and hold-out set      camvid.py, shapes.py   the data sets
verify.py   checks before training starts    mapper.py              dict -> tensors
"""

from __future__ import annotations

from .camvid import register_camvid
from .catalog import datasets_root
from .labels import LabelError, read_label
from .mapper import SemSegMapper, clear_cache
from .shapes import register_shapes
from .splits import SplitError, assert_disjoint, carve, split_record
from .verify import DatasetError, check_num_classes, verify_dataset

__all__ = [
    "DatasetError",
    "LabelError",
    "SemSegMapper",
    "SplitError",
    "assert_disjoint",
    "carve",
    "check_num_classes",
    "clear_cache",
    "datasets_root",
    "read_label",
    "register_camvid",
    "register_shapes",
    "split_record",
    "verify_dataset",
]

register_camvid()
register_shapes()
