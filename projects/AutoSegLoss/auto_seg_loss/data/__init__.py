"""Data sets, splits, checks and the mapper. Importing this package registers the data sets.

images.py   image file -> pixels              labels.py         label file -> class indices
lists.py    list of images -> rows            colours.py        palettes to fill in
pairing.py  folders and lists -> pairs        name_matching.py  names that pair
catalog.py  pairs of files -> catalogs        builtin_datasets.py VOC, Cityscapes, ...
folder.py   any folder as a data set          cutting.py        parts by groups and classes
splits.py   search set and hold-out set       neighbours.py     frames of films in two parts
file_scan.py every file checked once          verify.py         checks before training starts
report.py   what data sets hold, as text      mapper.py         dict -> tensors
train_loader.py batches of a training
"""

from __future__ import annotations

from detectron2.data.detection_utils import SizeMismatchError

from . import builtin_datasets  # noqa: F401  (registration)
from .images import read_image
from .labels import LabelError, read_label
from .mapper import SemSegMapper
from .splits import SplitError, assert_disjoint, carve, split_record
from .train_loader import build_train_loader
from .verify import DatasetError, verify_dataset

DATA_ERRORS = (DatasetError, LabelError, SizeMismatchError)
"""Exceptions, besides OSError, for wrong files of a data set."""

__all__ = [
    "DATA_ERRORS",
    "DatasetError",
    "LabelError",
    "SemSegMapper",
    "SplitError",
    "assert_disjoint",
    "build_train_loader",
    "carve",
    "read_image",
    "read_label",
    "split_record",
    "verify_dataset",
]
