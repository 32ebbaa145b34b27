"""Which label belongs to which image: by their names, in folders or in lists.

The key of a file is its path below its folder without suffix: "x" of x.jpg, "city/x" of city/x.jpg.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .catalog import Pairs, make_pair, some
from .lists import IMAGE_SUFFIXES, LABEL_SUFFIXES, key_of, read_rows, stem_of
from .name_matching import labels_by_end, owners_by_end, owners_by_own_parts

LOSSY = (
    "A label must be of a lossless format: others change values. Export the labels again as PNG, "
    "from where they were drawn"
)


def folder_pairs(images: Path, labels: Path) -> Pairs:
    """Every image of one folder with its label in another, see `paired_files`; sorted by stem.

    ``FileNotFoundError`` also for an image or a label without counterpart.
    """
    return pair_up(*paired_files(images, labels))


def paired_files(images: Path, labels: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The images of one folder and the labels of another, both by the key of the image.

    They are the files of the folder or, where it has none, those of the folders below it. A label
    has the name of its image. If no label has that of an image, then

    1. a label's name is that of the image and an end without digits, the same for all labels:
       7.jpg and 7_mask.png, in one folder too. Images may share an end: 7_sat.jpg, 7_mask.png;
    2. else what all images have in common at the begin and the end is left out, and so for the
       labels: img_7_sat.jpg and gt_7_mask.png. Numbers in it must not differ: 2019_7.jpg and
       2020_7.png are no pair.

    What is left out ends at one of ``/._- ``. A label without an image keeps its own key.

    ``FileNotFoundError``: a folder is missing or empty. ``ValueError``: two files have one key.
    """
    image_files, label_files = _files(images, IMAGE_SUFFIXES), _files(labels, LABEL_SUFFIXES)
    if images.resolve() == labels.resolve():
        owners = owners_by_end(image_files, label_files)
        image_files = {key: path for key, path in image_files.items() if key not in owners}
        label_files = {key: path for key, path in label_files.items() if key in owners}
    elif image_files.keys() & label_files.keys():
        return image_files, label_files
    else:
        owners = owners_by_end(image_files, label_files) or owners_by_own_parts(
            image_files, label_files
        )
    return image_files, {owners.get(key, key): path for key, path in label_files.items()}


def label_ends(images: Path, labels: Path) -> list[str]:
    """What labels have after the names of images: several where an image has several labels."""
    return sorted(labels_by_end(_files(images, IMAGE_SUFFIXES), _files(labels, LABEL_SUFFIXES)))


def files_by_key(folder: Path, pattern: str, end: str) -> dict[str, Path]:
    """The files matching `pattern`, by name without `end`; hidden ones are skipped."""
    paths = (path for path in folder.glob(pattern) if not path.name.startswith("."))
    return {path.name.removesuffix(end): path for path in paths}


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
    """The pairs that a list names, in its order; a missing file keeps its name, or x.jpg, x.png.

    path: the list, see `lists.read_rows`. images, labels: folders of files that it names without a
    folder; any suffix matches. root: the folder that rows with folders, such as /JPEGImages/x.jpg,
    are relative to. Errors: those of `lists.read_rows` and `paired_files`.
    """
    image_files, label_files = paired_files(images, labels)
    keys = {path: key for key, path in image_files.items()}
    pairs = []
    for image, label in read_rows(path, image_files):
        image_file = _file(image, ".jpg", images, image_files, root)
        key = keys.get(image_file, stem_of(image))
        label_file = (
            _file(label, ".png", labels, label_files, root)
            if label
            else label_files.get(key, labels / f"{key}.png")
        )
        pairs.append(make_pair(key, image_file, label_file))
    return pairs


def _file(name: str, suffix: str, folder: Path, files: Mapping[str, Path], root: Path) -> Path:
    """The file that a list means; `suffix`: of one that is named without and is not there."""
    key = key_of(name)
    if key in files:
        return files[key]
    if "/" in name:
        below = root / name.lstrip("/")
        return Path(name) if not below.exists() and Path(name).is_file() else below
    return folder / (name if name != key else key + suffix)


def _files(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"directory not found: {folder.absolute()}")
    files: dict[str, Path] = {}
    for path in _below(folder, suffixes):
        name = path.relative_to(folder)
        if (key := name.with_suffix("").as_posix()) in files:
            other = files[key].relative_to(folder)
            raise ValueError(f"two files of one name in {folder}: {other}, {name}")
        files[key] = path
    if not files:
        lossy = suffixes == LABEL_SUFFIXES and _below(folder, IMAGE_SUFFIXES)
        raise FileNotFoundError(
            f"no {' or '.join(suffixes)} files in {folder.absolute()}; it has "
            f"{some(sorted(path.name for path in folder.iterdir())) or 'nothing'}"
            f"{'. ' + LOSSY if lossy else ''}"
        )
    return files


def _below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of a folder or, where it has none, of those below it; hidden ones are left out."""
    below = (
        Path(place, name) for place, _, names in os.walk(folder, followlinks=True) for name in names
    )
    for paths in folder.iterdir(), below:
        found = [path for path in paths if path.suffix.lower() in suffixes]
        seen = [
            path
            for path in found
            if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ]
        if seen:
            return sorted(seen)
    return []
