"""From folders to Detectron2's catalogs: finding image-label pairs, and registering them.

A pair is {"file_name", "sem_seg_file_name", "image_id"}, as Detectron2's own loaders make it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from .lists import IMAGE_SUFFIXES, LABEL_SUFFIXES, read_rows, stem_of

Pairs = list[dict[str, Any]]
LISTED = 10  # number of files that an error lists


def datasets_root() -> Path:
    """The folder of all data sets: $DETECTRON2_DATASETS, else ./datasets, as in Detectron2."""
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets")).expanduser()


def register(
    name: str,
    load: Callable[[], Pairs],
    *,
    classes: Iterable[str],
    colours: Iterable[tuple[int, int, int]],
    ignore_label: int,
) -> None:
    """Registers a data set and its metadata; AssertionError for a name that is already taken.

    Args:
        name: the catalog's name, as in cfg.DATASETS.TRAIN.
        load: returns the pairs, the same ones whenever it is called. A process calls it once for
            each ``datasets_root``: a folder of 5000 images takes a second.
        classes: names, in the order of their indices.
        colours: RGB of each class, 0..255.
        ignore_label: the value that means "void" in the label files.
    """
    kept = cache(lambda _root: load())
    DatasetCatalog.register(name, lambda: [dict(pair) for pair in kept(datasets_root().absolute())])
    MetadataCatalog.get(name).set(
        stuff_classes=list(classes),
        stuff_colors=[list(colour) for colour in colours],
        ignore_label=ignore_label,
        evaluator_type="sem_seg",
    )


def unregister(name: str) -> None:
    """Removes a name from both catalogs, if present: metadata cannot be reset."""
    if name in DatasetCatalog.list():
        DatasetCatalog.remove(name)
    if name in MetadataCatalog.list():
        MetadataCatalog.remove(name)


def folder_pairs(images: Path, labels: Path) -> Pairs:
    """Every image of one folder with its label in another, see `files_by_stem`; sorted by stem.

    Raises: as `files_by_stem`, and FileNotFoundError for an image or a label without counterpart.
    """
    return pair_up(*files_by_stem(images, labels))


def files_by_stem(images: Path, labels: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The images of one folder and the labels of another, both by the stem of the image.

    A label has the stem of its image. If no stems match, the common prefix and suffix of all images
    are ignored, and those of all labels, up to one of ``._- ``: img_7_sat.jpg and gt_7_mask.png
    are a pair.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        ValueError: two files of a folder share a stem.
    """
    image_files, label_files = _by_stem(images, IMAGE_SUFFIXES), _by_stem(labels, LABEL_SUFFIXES)
    if not image_files.keys() & label_files.keys():
        stems = {own: stem for stem, own in _own_parts(image_files).items()}
        own_parts = _own_parts(label_files)
        label_files = {stems.get(own_parts[s], s): path for s, path in label_files.items()}
    return image_files, label_files


def files_by_key(folder: Path, pattern: str, end: str) -> dict[str, Path]:
    """The files matching `pattern`, by name without `end`; hidden ones are skipped."""
    paths = (path for path in folder.glob(pattern) if not path.name.startswith("."))
    return {path.name.removesuffix(end): path for path in paths}


def _own_parts(stems: Collection[str]) -> dict[str, str]:
    """Each stem without the prefix and suffix that all have in common."""
    own = list(stems)
    for _ in "begin", "end":
        common = os.path.commonprefix(own)  # noqa: RUF071  (of characters)
        width = 1 + max(common.rfind(sign) for sign in "._- ")
        own = [name[width:][::-1] for name in own]
    return dict(zip(stems, own, strict=True))


def pair_up(images: Mapping[str, Path], labels: Mapping[str, Path]) -> Pairs:
    """Pairs of equal key, sorted by it; the keys become the image ids.

    FileNotFoundError: an image or a label has no counterpart.
    """
    if lonely := unpaired(images, labels):
        raise FileNotFoundError(f"{len(lonely)} images and labels do not pair up: {some(lonely)}")
    return [make_pair(key, images[key], labels[key]) for key in sorted(images)]


def unpaired(images: Mapping[str, Path], labels: Mapping[str, Path]) -> list[Path]:
    """Images without a label, then labels without an image, both by key."""
    without_label = [images[key] for key in sorted(images.keys() - labels.keys())]
    return without_label + [labels[key] for key in sorted(labels.keys() - images.keys())]


def listed_pairs(folder: Path, split: str, labels: str = "SegmentationClass") -> Pairs:
    """Pairs of VOC's layout, in the order of ImageSets/Segmentation/<split>.txt.

    `labels` is the name of the folder of labels. Errors: see `pairs_of_list`.
    """
    path = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
    return pairs_of_list(path, folder / "JPEGImages", folder / labels, folder)


def pairs_of_list(path: Path, images: Path, labels: Path, root: Path) -> Pairs:
    """The pairs that a list names, in its order.

    Args:
        path: the list, see `lists.read_rows`.
        images, labels: folders of files that the list names without a folder; any suffix matches.
        root: the folder that rows with folders, such as /JPEGImages/x.jpg, are relative to.

    Returns:
        The pairs. A missing file keeps its name from the list, or x.jpg and x.png.

    Raises:
        FileNotFoundError: no list, or one of the folders is missing or empty.
        ListError: an invalid list; ValueError: two files with one stem.
    """
    image_files, label_files = files_by_stem(images, labels)
    pairs = []
    for image, label in read_rows(path, image_files):
        stem = stem_of(image)
        image_file = _file(image, ".jpg", images, image_files, root)
        label_file = (
            _file(label, ".png", labels, label_files, root)
            if label
            else label_files.get(stem, labels / f"{stem}.png")
        )
        pairs.append(make_pair(stem, image_file, label_file))
    return pairs


def _file(name: str, suffix: str, folder: Path, files: Mapping[str, Path], root: Path) -> Path:
    """The file that a list names; `suffix`: for a missing one that is named without suffix."""
    if "/" in name:
        below = root / name.lstrip("/")
        return Path(name) if not below.exists() and Path(name).is_file() else below
    stem = stem_of(name)
    return files.get(stem, folder / (name if name != stem else stem + suffix))


def make_pair(stem: str, image: Path, label: Path) -> dict[str, Any]:
    """An entry of `Pairs`."""
    return {"file_name": str(image), "sem_seg_file_name": str(label), "image_id": stem}


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"directory not found: {folder.absolute()}")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in files:
            raise ValueError(
                f"two files of one stem in {folder}: {files[path.stem].name}, {path.name}"
            )
        files[path.stem] = path
    if not files:
        raise FileNotFoundError(
            f"no {' or '.join(suffixes)} files in {folder.absolute()}; it has "
            f"{some(sorted(path.name for path in folder.iterdir())) or 'nothing'}"
        )
    return files


def some(items: Sequence[Any]) -> str:
    """The first items of a list as text, and the number of the others."""
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(str(item) for item in items[:LISTED]) + more
