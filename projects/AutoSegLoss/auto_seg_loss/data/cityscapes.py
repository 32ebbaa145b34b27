"""Cityscapes, fine annotations: street scenes, 2048x1024, 19 classes under their training ids.

Source: M. Cordts et al., "The Cityscapes dataset for semantic urban scene understanding", CVPR
2016; 2975 train and 500 val images with public labels. The labels read here are
`*_gtFine_labelTrainIds.png`, which datasets/prepare_cityscapes.py makes.
"""

from __future__ import annotations

from pathlib import Path

from detectron2.data.datasets.builtin_meta import CITYSCAPES_CATEGORIES

from .catalog import Pairs, dataset_folder, pair_up, register_splits, unregister

CLASSES = {
    category["name"]: category["color"]
    for category in sorted(CITYSCAPES_CATEGORIES, key=lambda category: category["trainId"])
}
IGNORE_LABEL = 255
SPLITS = ("train", "val")
IMAGE_END, LABEL_END = "_leftImg8bit.png", "_gtFine_labelTrainIds.png"
REMEDY = (
    "Put the set there (leftImg8bit/, gtFine/; see datasets/README.md), or let "
    "DETECTRON2_DATASETS name the directory that holds cityscapes/."
)


def load_cityscapes(split: str) -> Pairs:
    """The pairs of "train" or "val", sorted by city, sequence and frame."""
    folder = dataset_folder("cityscapes", REMEDY)
    images, labels = folder / "leftImg8bit" / split, folder / "gtFine" / split
    image_files = _of_cities(images, IMAGE_END)
    if not image_files:
        raise FileNotFoundError(
            f"no images like {images.absolute()}/<city>/*{IMAGE_END}. " + REMEDY
        )
    try:
        return pair_up(image_files, _of_cities(labels, LABEL_END), images=images, labels=labels)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}. Labels *{LABEL_END} are made by: python datasets/prepare_cityscapes.py "
            f"--root {folder.parent}"
        ) from None


def _of_cities(folder: Path, end: str) -> dict[str, Path]:
    """Files <folder>/<city>/<key><end> by key, which is <city>_<sequence>_<frame>."""
    return {path.name.removesuffix(end): path for path in folder.glob(f"*/[!.]*{end}")}


# Detectron2's own entries name an evaluator that imports cityscapesscripts, and folders fixed at
# import.
for _split in SPLITS:
    unregister(f"cityscapes_fine_sem_seg_{_split}")
register_splits(
    "cityscapes_fine", load_cityscapes, classes=CLASSES, ignore_label=IGNORE_LABEL, splits=SPLITS
)
