"""shapes: the generated set of datasets/make_shapes.py, in VOC's layout and VOC's colours."""

from __future__ import annotations

from .catalog import Pairs, dataset_folder, listed_pairs, register_splits

# Name and colour (RGB, VOC's palette) in the order of the indices; 255 is void.
CLASSES = {
    "background": (0, 0, 0),
    "ellipse": (128, 0, 0),
    "polygon": (0, 128, 0),
    "square": (128, 128, 0),
    "bar": (0, 0, 128),
    "disc": (128, 0, 128),
    "triangle": (0, 128, 128),
}
IGNORE_LABEL = 255
REMEDY = (
    "Make it with: python datasets/make_shapes.py --root {root} , "
    "or let DETECTRON2_DATASETS name the directory that holds shapes/."
)


def load_shapes(split: str) -> Pairs:
    """The pairs of "train", "val" or "test"."""
    return listed_pairs(dataset_folder("shapes", REMEDY), split)


register_splits("shapes", load_shapes, classes=CLASSES, ignore_label=IGNORE_LABEL)
