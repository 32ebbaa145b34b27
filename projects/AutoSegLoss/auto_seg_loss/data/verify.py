"""Checks before training starts: a run of hours must not end at a missing file.

Letters: H, W image size in pixels.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from PIL import Image

from .catalog import LISTED, Pairs
from .labels import INDEX_MODES

ORIENTATION = 0x0112  # EXIF tag; 5 to 8 turn the image by a quarter
TAILS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}  # how a complete file ends


class DatasetError(ValueError):
    """Files of a data set are missing, unreadable or do not fit together."""


def verify_dataset(name: str, dicts: Pairs) -> None:
    """Looks at every image and label: it exists, opens, is complete, and the two are of equal size.

    Only headers and file ends are read; a file with an unusual end is decoded to be sure.

    Args:
        name: of the data set, for the message.
        dicts: pairs; one without "sem_seg_file_name" is checked for its image only.

    Raises:
        DatasetError: all problems in one; the first ten in words.
    """
    if not dicts:
        raise DatasetError(f"data set {name!r} has no images")
    problems = [problem for item in dicts for problem in _problems(item)]
    if problems:
        more = f"\n  and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise DatasetError(
            f"data set {name!r}: {len(problems)} problems in {len(dicts)} images:\n  "
            + "\n  ".join(problems[:LISTED])
            + more
        )


def check_num_classes(num_classes: int, metadata: Any, dataset_name: str) -> None:
    """Refuses a head whose number of classes is not the data set's.

    Args:
        num_classes: cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES.
        metadata: the data set's entry in MetadataCatalog.
        dataset_name: for the message.

    Raises:
        ValueError: the numbers differ; it names the key to set.
    """
    classes = metadata.get("stuff_classes", None)
    if classes is None:
        raise ValueError(f"data set {dataset_name!r} has no stuff_classes in its metadata")
    if len(classes) != num_classes:
        raise ValueError(
            f"the head has {num_classes} classes, data set {dataset_name!r} has {len(classes)} "
            f"({', '.join(classes)}); set MODEL.SEM_SEG_HEAD.NUM_CLASSES to {len(classes)}"
        )


def _problems(item: dict[str, Any]) -> Iterator[str]:
    sizes = []
    for key in ("file_name", "sem_seg_file_name"):
        if (path := item.get(key)) is None:
            continue
        try:
            sizes.append(_look(path, is_label=key == "sem_seg_file_name"))
        except FileNotFoundError:
            yield f"{path}: no such file"
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            yield f"{path}: unreadable ({error})"
    if len(sizes) == 2 and sizes[0] != sizes[1]:
        yield size_mismatch(item["file_name"], sizes[0], item["sem_seg_file_name"], sizes[1])


def size_mismatch(
    image: str, image_size: tuple[int, int], label: str, label_size: tuple[int, int]
) -> str:
    """The words for an image and a label of different (H, W)."""
    return (
        f"image and label differ in size: {image} is {image_size[0]}x{image_size[1]} (HxW), "
        f"{label} is {label_size[0]}x{label_size[1]}"
    )


def _look(path: str, is_label: bool) -> tuple[int, int]:
    """(H, W) of a file, as Detectron2 will see it: turned as its EXIF tag says."""
    with Image.open(path) as picture:
        width, height = picture.size
        if is_label and picture.mode not in INDEX_MODES:
            raise ValueError(
                f"a label holds class indices, this file holds colours, mode {picture.mode}"
            )
        turned = not is_label and picture.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        if not _ends_well(path, picture.format):
            picture.load()  # raises if data is missing; bytes after the end are harmless
    return (width, height) if turned else (height, width)


def _ends_well(path: str, file_format: str | None) -> bool:
    tail = TAILS.get(file_format or "", b"")
    with open(path, "rb") as file:
        file.seek(-min(len(tail), os.path.getsize(path)), os.SEEK_END)
        return bool(tail) and file.read() == tail
