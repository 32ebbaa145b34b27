"""CamVid: road scenes from a moving car, 480x360, in the 11-class split of the SegNet tutorial.

Source: G. Brostow, J. Fauqueur, R. Cipolla, "Semantic object classes in video: a high-definition
ground truth database", Pattern Recognition Letters 30(2), 2009; 367 train, 101 val and 233 test
images. Frames are neighbours in a film: cut a hold-out set in blocks (splits.carve).
"""

from __future__ import annotations

from .catalog import Pairs, dataset_folder, folder_pairs, register_splits

# Name and colour (RGB) in the order of the indices; 11 is void.
CLASSES = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
IGNORE_LABEL = 11
REMEDY = (
    "Put the set there (train/, trainannot/, val/, …; see datasets/README.md), or let "
    "DETECTRON2_DATASETS name the directory that holds camvid/."
)


def load_camvid(split: str) -> Pairs:
    """The pairs of "train", "val" or "test", sorted by name, that is by time within a film."""
    folder = dataset_folder("camvid", REMEDY)
    return folder_pairs(folder / split, folder / f"{split}annot")


register_splits("camvid", load_camvid, classes=CLASSES, ignore_label=IGNORE_LABEL)
