"""PASCAL VOC 2012, 21 classes with background, and its training set augmented with SBD's labels.

Sources: M. Everingham, L. Van Gool, C. Williams, J. Winn, A. Zisserman, "The Pascal Visual Object
Classes (VOC) challenge", IJCV 88(2), 2010: 1464 train and 1449 val images; void rims. B. Hariharan,
P. Arbelaez, L. Bourdev, S. Maji, J. Malik, "Semantic contours from inverse detectors", ICCV 2011:
labels without void, which make the 10582 images of `trainaug` (datasets/prepare_voc_aug.py).
"""

from __future__ import annotations

from detectron2.data.datasets.pascal_voc import CLASS_NAMES

from .catalog import Pairs, dataset_folder, listed_pairs, register_splits

IGNORE_LABEL = 255
REMEDY = (
    "Put VOC 2012 there (JPEGImages/, SegmentationClass/, ImageSets/; see datasets/README.md), or "
    "let DETECTRON2_DATASETS name the directory that holds VOC2012/."
)
# The folder of labels of each list in ImageSets/Segmentation.
LABELS = {
    "train": "SegmentationClass",
    "trainaug": "SegmentationClassAug",
    "val": "SegmentationClass",
}


def voc_colours(count: int) -> list[tuple[int, int, int]]:
    """RGB of the first `count` (at most 256) indices of VOC's palette.

    The bits of an index, from the lowest, go to red, green and blue in turn; each colour is filled
    from its highest bit down.
    """
    return [
        (_bits(index), _bits(index >> 1), _bits(index >> 2))  # red, green, blue
        for index in range(count)
    ]


def _bits(index: int) -> int:
    """Every third bit of an index, lowest first, as the bits 7, 6 and 5 of a colour."""
    return sum((index >> 3 * place & 1) << 7 - place for place in range(3))


CLASSES = dict(zip(("background", *CLASS_NAMES), voc_colours(1 + len(CLASS_NAMES)), strict=True))


def load_voc(split: str) -> Pairs:
    """The pairs of "train", "trainaug" or "val"."""
    folder = dataset_folder("VOC2012", REMEDY)
    try:
        return listed_pairs(folder, split, LABELS[split])
    except FileNotFoundError as error:
        if split != "trainaug":
            raise
        raise FileNotFoundError(
            f"{error}. Make it with: python datasets/prepare_voc_aug.py --root {folder.parent}"
        ) from None


register_splits(
    "voc_2012", load_voc, classes=CLASSES, ignore_label=IGNORE_LABEL, splits=tuple(LABELS)
)
