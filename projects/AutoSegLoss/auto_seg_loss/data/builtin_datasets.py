"""The built-in data sets, each with its own layout: one entry of `SETS` each.

Folders are looked up when a data set is used, not when it is registered, so DETECTRON2_DATASETS
may be set late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from detectron2.data.datasets.builtin_meta import ADE20K_SEM_SEG_CATEGORIES, CITYSCAPES_CATEGORIES
from detectron2.data.datasets.pascal_voc import CLASS_NAMES

from .catalog import Pairs, datasets_root, register, unregister
from .pairing import files_by_key, folder_pairs, listed_pairs, pair_up

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class DataSet:
    """A data set of several splits.

    folder: its name below DETECTRON2_DATASETS. classes: name -> RGB, in the order of the indices.
    splits: their names in the catalog. load: (folder, split) -> pairs. script: in datasets/, makes
    the set or its labels. ignore_label: the value that means "void".
    """

    folder: str
    classes: Mapping[str, Colour]
    splits: tuple[str, ...]
    load: Callable[[Path, str], Pairs]
    script: str = ""
    ignore_label: int = 255

    def pairs(self, split: str) -> Pairs:
        """The pairs of a split; FileNotFoundError says what was expected, and how to make it."""
        root = datasets_root()
        try:
            return self.load(root / self.folder, split)
        except FileNotFoundError as error:
            made = f", or make it: python datasets/{self.script} --root {root}"
            raise FileNotFoundError(
                f"{error}. datasets/README.md shows the tree expected in "
                f"{(root / self.folder).absolute()} (its parent is DETECTRON2_DATASETS, else "
                f"./datasets){made if self.script else ''}"
            ) from None


def voc_colours(count: int) -> list[Colour]:
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


def _of_camvid(folder: Path, split: str) -> Pairs:
    return folder_pairs(folder / split, folder / f"{split}annot")


def _of_ade20k(folder: Path, split: str) -> Pairs:
    there = {"train": "training", "val": "validation"}[split]
    return folder_pairs(folder / "images" / there, folder / "annotations_detectron2" / there)


def _of_voc(folder: Path, split: str) -> Pairs:
    labels = "SegmentationClassAug" if split == "trainaug" else "SegmentationClass"
    return listed_pairs(folder, split, labels)


def _of_cityscapes(folder: Path, split: str) -> Pairs:
    """Pairs by <city>_<sequence>_<frame>."""
    places = (folder / "leftImg8bit" / split, folder / "gtFine" / split)
    ends = ("_leftImg8bit.png", "_gtFine_labelTrainIds.png")
    images, labels = (
        files_by_key(place, f"*/*{end}", end) for place, end in zip(places, ends, strict=True)
    )
    if not images:
        raise FileNotFoundError(f"no images like {places[0].absolute()}/<city>/*{ends[0]}")
    return pair_up(images, labels)


SETS = {
    # M. Everingham et al., "The Pascal Visual Object Classes (VOC) challenge", IJCV 88(2), 2010:
    # 1464 train and 1449 val images, void rims. trainaug: 10582 images with the labels of
    # B. Hariharan et al., "Semantic contours from inverse detectors", ICCV 2011, without void.
    "voc_2012": DataSet(
        folder="VOC2012",
        classes=dict(
            zip(("background", *CLASS_NAMES), voc_colours(1 + len(CLASS_NAMES)), strict=True)
        ),
        splits=("train", "trainaug", "val"),
        load=_of_voc,
        script="prepare_voc_aug.py",
    ),
    # M. Cordts et al., "The Cityscapes dataset for semantic urban scene understanding", CVPR 2016:
    # fine annotations, 2048x1024, training ids; 2975 train and 500 val images with public labels.
    "cityscapes_fine": DataSet(
        folder="cityscapes",
        classes={
            category["name"]: category["color"]
            for category in sorted(CITYSCAPES_CATEGORIES, key=lambda category: category["trainId"])
        },
        splits=("train", "val"),
        load=_of_cityscapes,
        script="prepare_cityscapes.py",
    ),
    # B. Zhou et al., "Scene parsing through ADE20K dataset", CVPR 2017, in the 150 classes of the
    # challenge of 2016: 20210 train and 2000 val images. In the labels read here 0 is the first
    # class and 255 everything else. The colours are VOC's, without that of background.
    "ade20k": DataSet(
        folder="ADEChallengeData2016",
        classes=dict(zip(ADE20K_SEM_SEG_CATEGORIES, voc_colours(151)[1:], strict=True)),
        splits=("train", "val"),
        load=_of_ade20k,
        script="prepare_ade20k.py",
    ),
    # G. Brostow, J. Fauqueur, R. Cipolla, "Semantic object classes in video", Pattern Recognition
    # Letters 30(2), 2009: road scenes, 480x360, in the 11 classes of the SegNet tutorial; 367
    # train, 101 val and 233 test images. Frames are neighbours in a film: cut in blocks.
    "camvid": DataSet(
        folder="camvid",
        classes={
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
        },
        splits=("train", "val", "test"),
        load=_of_camvid,
        ignore_label=11,
    ),
    # Generated, in VOC's layout and colours.
    "shapes": DataSet(
        folder="shapes",
        classes=dict(
            zip(
                ("background", "ellipse", "polygon", "square", "bar", "disc", "triangle"),
                voc_colours(7),
                strict=True,
            )
        ),
        splits=("train", "val", "test"),
        load=listed_pairs,
        script="make_shapes.py",
    ),
}


def _register_all() -> None:
    for name, data_set in SETS.items():
        for split in data_set.splits:
            full_name = f"{name}_sem_seg_{split}"
            # Detectron2's own entries of Cityscapes and ADE20K have folders fixed at import, and
            # an evaluator or labels that are not ours.
            unregister(full_name)
            register(
                full_name,
                partial(data_set.pairs, split),
                classes=data_set.classes,
                colours=data_set.classes.values(),
                ignore_label=data_set.ignore_label,
            )


_register_all()
