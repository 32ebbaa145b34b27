"""Data sets, splits, checks and the mapper. Importing this package registers the data sets.

images.py   image file -> pixels             labels.py              label file -> class indices
lists.py    list of images -> rows           catalog.py             pairs of files -> catalogs
splits.py   search set and hold-out set      mapper.py              dict -> tensors
looks.py    every file looked at once        verify.py              checks before training starts
train_loader.py                              batches of a training
folder.py   any folder as a data set         cutting.py             parts by groups and classes
neighbours.py frames of films in two parts   report.py              what data sets hold, as text
voc.py, cityscapes.py, ade20k.py, camvid.py, shapes.py              the data sets
"""

from __future__ import annotations

from detectron2.data.detection_utils import SizeMismatchError

from .ade20k import register_ade20k
from .camvid import register_camvid
from .catalog import datasets_root
from .cityscapes import register_cityscapes
from .images import read_image
from .labels import LabelError, read_label
from .mapper import SemSegMapper, build_mapper, clear_cache
from .shapes import register_shapes
from .splits import (
    SplitError,
    assert_disjoint,
    carve,
    files_digest,
    split_lists,
    split_record,
)
from .train_loader import TrainLoader, build_train_loader
from .verify import DatasetError, check_num_classes, verify_dataset
from .voc import register_voc

DATA_ERRORS = (DatasetError, LabelError, SizeMismatchError)
"""What reading a data set raises, beside OSError, for a file that is wrong."""

__all__ = [
    "DATA_ERRORS",
    "DatasetError",
    "LabelError",
    "SemSegMapper",
    "SplitError",
    "TrainLoader",
    "assert_disjoint",
    "build_mapper",
    "build_train_loader",
    "carve",
    "check_num_classes",
    "clear_cache",
    "datasets_root",
    "files_digest",
    "read_image",
    "read_label",
    "register_ade20k",
    "register_camvid",
    "register_cityscapes",
    "register_shapes",
    "register_voc",
    "split_lists",
    "split_record",
    "verify_dataset",
]

register_ade20k()
register_camvid()
register_cityscapes()
register_shapes()
register_voc()
