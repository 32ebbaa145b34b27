"""Small data sets in the true layouts of VOC 2012, SBD, Cityscapes and ADE20K, made on the spot.

Each function fills a folder of data sets (what DETECTRON2_DATASETS names) and returns the folder of
its set. Images are JPEG or PNG as in the true set; labels come from `label_of`, so a test can say
what must be read.

Letters: H, W size in pixels; C number of classes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

VOID = 255
ORIENTATION = 0x0112  # EXIF tag

# VOC's images by name: (H, W) as seen, mode of the file, EXIF orientation.
VOC_IMAGES = {
    "2008_000001": ((40, 56), "RGB", 1),
    "2008_000002": ((48, 36), "L", 1),
    "2008_000003": ((33, 47), "CMYK", 1),
    "2008_000004": ((30, 44), "RGB", 6),
    "2008_000005": ((56, 40), "L", 3),
    "2008_000006": ((36, 48), "CMYK", 8),
}
VOC_LISTS = {"train": ["2008_000001", "2008_000002"], "val": ["2008_000003", "2008_000004"]}
# SBD knows images of VOC's train and val, too.
SBD_LISTS = {"train": ["2008_000001", "2008_000005"], "val": ["2008_000003", "2008_000006"]}
TRAINAUG = ["2008_000001", "2008_000002", "2008_000005", "2008_000006"]

CITYSCAPES = {
    "train": ["aachen_000000_000019", "aachen_000001_000019", "zurich_000000_000019"],
    "val": ["munster_000000_000019"],
}
ADE20K = {"training": ["ADE_train_00000001", "ADE_train_00000002"], "validation": ["ADE_val_1"]}


def label_of(name: str, size: tuple[int, int], values: Iterable[int]) -> np.ndarray[Any, Any]:
    """(H, W) uint8: blocks of 4x4 pixels of the values, drawn with the name as seed."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    height, width = size
    blocks = rng.choice(list(values), (-(-height // 4), -(-width // 4)))
    return blocks.repeat(4, 0).repeat(4, 1)[:height, :width].astype(np.uint8)


def voc_label(name: str) -> np.ndarray[Any, Any]:
    """What VOC says about an image: 21 classes and void."""
    return label_of(name, VOC_IMAGES[name][0], [*range(21), VOID])


def sbd_label(name: str) -> np.ndarray[Any, Any]:
    """What SBD says about it: 21 classes, no void."""
    return label_of(f"sbd {name}", VOC_IMAGES[name][0], range(21))


def write_image(path: Path, size: tuple[int, int], mode: str = "RGB", orientation: int = 1) -> None:
    """A smooth picture that is (H, W) once it is turned as its EXIF tag says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = size if orientation < 5 else size[::-1]
    ramps = np.linspace(0, 255, width)[None, :], np.linspace(0, 255, height)[:, None]
    channels = [np.broadcast_to(ramp, (height, width)) for ramp in (*ramps, 255 - ramps[0])]
    picture = Image.fromarray(np.stack(channels, 2).astype(np.uint8)).convert(mode)
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION] = orientation
    picture.save(path, exif=exif)


def write_label(path: Path, label: np.ndarray[Any, Any], palette: bool = False) -> None:
    """A grey PNG, or a palette PNG whose colours are unlike the indices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(label)
    if palette:
        picture.putpalette([(index * 37 + 11) % 256 for index in range(768)])
    picture.save(path)


def write_list(path: Path, names: Iterable[str]) -> None:
    """One name a line, as in ImageSets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def make_voc(root: Path) -> Path:
    """<root>/VOC2012 with palette labels for train and val."""
    folder = root / "VOC2012"
    for name, image in VOC_IMAGES.items():
        write_image(folder / "JPEGImages" / f"{name}.jpg", *image)
    for split, names in VOC_LISTS.items():
        write_list(folder / "ImageSets" / "Segmentation" / f"{split}.txt", names)
        for name in names:
            path = folder / "SegmentationClass" / f"{name}.png"
            write_label(path, voc_label(name), palette=True)
    return folder


def make_sbd(root: Path) -> Path:
    """<root>/benchmark_RELEASE/dataset: labels inside nested structs of MATLAB files."""
    folder = root / "benchmark_RELEASE" / "dataset"
    for split, names in SBD_LISTS.items():
        write_list(folder / f"{split}.txt", names)
        for name in names:
            write_mat(folder / "cls" / f"{name}.mat", sbd_label(name))
    return folder


def write_mat(path: Path, label: np.ndarray[Any, Any]) -> None:
    """One of SBD's files: the struct GTcls with Segmentation, Boundaries, CategoriesPresent."""
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "Boundaries": np.zeros((20, 1), dtype=object),
        "Segmentation": label,
        "CategoriesPresent": np.unique(label[label > 0])[:, None],
    }
    savemat(path, {"GTcls": content}, do_compression=True)


def make_cityscapes(root: Path, size: tuple[int, int] = (24, 48), ids: bool = True) -> Path:
    """<root>/cityscapes as downloaded: images, polygons and, with `ids`, label ids."""
    folder = root / "cityscapes"
    for split, names in CITYSCAPES.items():
        for name in names:
            city = name.split("_")[0]
            write_image(folder / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", size)
            annotations = folder / "gtFine" / split / city
            annotations.mkdir(parents=True, exist_ok=True)
            write_polygons(annotations / f"{name}_gtFine_polygons.json", size)
            if ids:
                label = label_of(name, size, range(34))
                write_label(annotations / f"{name}_gtFine_labelIds.png", label)
    return folder


# Label, training id (None: not drawn), and the corners of a rectangle: x0, y0, x1, y1, inclusive.
RECTANGLES = (
    ("sky", 10, (0, 0, 47, 23)),
    ("road", 0, (0, 12, 47, 23)),
    ("cargroup", 13, (4, 10, 15, 17)),
    ("license plate", None, (8, 14, 10, 15)),
    ("ego vehicle", VOID, (20, 20, 30, 23)),
    ("bicycle", 18, (40, 8, 42, 20)),
)


def write_polygons(path: Path, size: tuple[int, int]) -> None:
    """Cityscapes' annotation of an image: RECTANGLES and one that was deleted."""
    objects: list[dict[str, Any]] = [
        {"label": label, "polygon": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]}
        for label, _, (x0, y0, x1, y1) in RECTANGLES
    ]
    objects.append({**objects[0], "label": "train", "deleted": 1})
    height, width = size
    path.write_text(json.dumps({"imgHeight": height, "imgWidth": width, "objects": objects}))


def drawn_polygons(size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """The training ids of `write_polygons`, (H, W) uint8."""
    label = np.full(size, VOID, dtype=np.uint8)
    for _, train_id, (x0, y0, x1, y1) in RECTANGLES:
        if train_id is not None:
            label[y0 : y1 + 1, x0 : x1 + 1] = train_id
    return label


def make_ade20k(root: Path) -> Path:
    """<root>/ADEChallengeData2016 as downloaded: 0 is "other", classes are 1..150."""
    folder = root / "ADEChallengeData2016"
    for split, names in ADE20K.items():
        for index, name in enumerate(names):
            size = (32 + 8 * index, 48)
            write_image(folder / "images" / split / f"{name}.jpg", size)
            label = label_of(name, size, range(151))
            write_label(folder / "annotations" / split / f"{name}.png", label)
    return folder
