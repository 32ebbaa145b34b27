"""From folders to Detectron2's catalogs: finding pairs of image and label, and registering them.

A pair is {"file_name", "sem_seg_file_name", "image_id"}, as Detectron2's own loaders make it.
Folders are looked up when a data set is asked for, not when it is registered, so
DETECTRON2_DATASETS may be set late.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

Pairs = list[dict[str, Any]]
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
LISTED = 10  # files that an error names before it only counts


def datasets_root() -> Path:
    """The folder of all data sets: $DETECTRON2_DATASETS, else ./datasets, as in Detectron2."""
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets")).expanduser()


def dataset_folder(name: str, remedy: str) -> Path:
    """<root>/<name>, or a FileNotFoundError with place and remedy ("{root}" is filled in)."""
    root = datasets_root()
    folder = root / name
    if folder.is_dir():
        return folder
    origin = (
        "DETECTRON2_DATASETS"
        if "DETECTRON2_DATASETS" in os.environ
        else "the default of an unset DETECTRON2_DATASETS"
    )
    raise FileNotFoundError(
        f"data set {name!r} not found: {folder.absolute()} is no directory "
        f"(its parent is {origin}). " + remedy.format(root=root)
    )


def register(
    name: str,
    load: Callable[[], Pairs],
    *,
    classes: Iterable[str],
    colours: Iterable[tuple[int, int, int]],
    ignore_label: int,
) -> None:
    """Enters a data set and its metadata; a name that is taken already is left as it is.

    Args:
        name: the catalog's name, as in cfg.DATASETS.TRAIN.
        load: returns the pairs; called at every DatasetCatalog.get.
        classes: names, in the order of their indices.
        colours: RGB of each class, 0..255.
        ignore_label: the value that means "void" in the label files.
    """
    if name in DatasetCatalog.list():
        return
    DatasetCatalog.register(name, load)
    MetadataCatalog.get(name).set(
        stuff_classes=list(classes),
        stuff_colors=[list(colour) for colour in colours],
        ignore_label=ignore_label,
        evaluator_type="sem_seg",
    )


def register_splits(
    name: str,
    load: Callable[[str], Pairs],
    *,
    classes: Mapping[str, tuple[int, int, int]],
    ignore_label: int,
) -> None:
    """Enters `<name>_sem_seg_{train,val,test}`; `load` takes the split, `classes` name -> RGB."""
    for split in ("train", "val", "test"):
        register(
            f"{name}_sem_seg_{split}",
            partial(load, split),
            classes=classes.keys(),
            colours=classes.values(),
            ignore_label=ignore_label,
        )


def folder_pairs(images: Path, labels: Path) -> Pairs:
    """Pairs of equal stem, sorted by it: every image of one folder with its PNG in another.

    Raises:
        FileNotFoundError: a folder is missing or empty, or an image or a label has no partner.
        ValueError: two images share a stem.
    """
    image_files = _by_stem(images, IMAGE_SUFFIXES)
    label_files = _by_stem(labels, (".png",))
    problems = [
        f"{len(lonely)} without {partner}: {_some(lonely)}"
        for lonely, partner in (
            ([image_files[s] for s in image_files if s not in label_files], f"a label in {labels}"),
            (
                [label_files[s] for s in label_files if s not in image_files],
                f"an image in {images}",
            ),
        )
        if lonely
    ]
    if problems:
        raise FileNotFoundError("images and labels do not pair up; " + "; ".join(problems))
    return [_pair(stem, image_files[stem], label_files[stem]) for stem in sorted(image_files)]


def listed_pairs(folder: Path, split: str) -> Pairs:
    """Pairs of VOC's layout, in the order of ImageSets/Segmentation/<split>.txt.

    Raises:
        FileNotFoundError: there is no such list.
        ValueError: the list is empty or names an image twice.
    """
    path = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
    try:
        stems = path.read_text().split()
    except FileNotFoundError:
        raise FileNotFoundError(f"no list of the {split} images: {path.absolute()}") from None
    if not stems:
        raise ValueError(f"{path.absolute()} lists no images")
    if repeated := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise ValueError(f"{path.absolute()} lists images twice: {_some(repeated)}")
    return [
        _pair(s, folder / "JPEGImages" / f"{s}.jpg", folder / "SegmentationClass" / f"{s}.png")
        for s in stems
    ]


def _pair(stem: str, image: Path, label: Path) -> dict[str, Any]:
    return {"file_name": str(image), "sem_seg_file_name": str(label), "image_id": stem}


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"directory not found: {folder.absolute()}")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in files:
            raise ValueError(
                f"two files of one stem in {folder}: {files[path.stem].name}, {path.name}"
            )
        files[path.stem] = path
    if not files:
        raise FileNotFoundError(f"no {' or '.join(suffixes)} files in {folder.absolute()}")
    return files


def _some(items: list[Any]) -> str:
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(str(item) for item in items[:LISTED]) + more
