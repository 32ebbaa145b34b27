"""Checks before training: a run of hours must not fail on a missing file or a wrong label.

Letters: H, W image size in pixels; C number of classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from auto_seg_loss.runtime.errors import ConfigError, config_errors

from .catalog import LISTED, Pairs, ignore_label_of
from .colours import refuse_colours
from .file_scan import Seen, count_values, look_at_images, look_at_labels
from .images import read_image
from .labels import REMEDY, Palette, check_palette, unfit_values

Labels = dict[str, Seen]
DARK = 16  # lower levels are from images of 12 bits or less in 16-bit files


class DatasetError(ValueError):
    """Files of a data set are missing, unreadable or do not fit together."""


def verify_dataset(name: str, dicts: Pairs, palette: Palette = ()) -> Labels:
    """Checks every image and label: it exists, opens, is complete, and the two have equal size.

    Labels are decoded; of images only headers and file ends are read. See file_scan.py. Returns
    the content of the labels, by path.

    ``DatasetError``: all problems in one error; it lists the first ten. ``LabelError``: labels hold
    colours and there is no palette, INPUT.LABEL_PALETTE; it lists all colours.
    """
    if not dicts:
        raise DatasetError(f"data set {name!r} has no images")
    if lacking := sum("sem_seg_file_name" not in item for item in dicts):
        raise DatasetError(
            f"data set {name!r}: {lacking} of {len(dicts)} records have no sem_seg_file_name, the "
            "label file; use a data set for semantic segmentation"
        )
    images = look_at_images([item["file_name"] for item in dicts])
    labels = look_at_labels([item["sem_seg_file_name"] for item in dicts], palette)
    if not palette:
        refuse_colours(f"data set {name!r}", labels, ignore_label_of(name))
    _refuse(name, len(dicts), [p for item in dicts for p in _problems(item, images, labels)])
    return {path: seen for path, seen in labels.items() if isinstance(seen, Seen)}


def check_data(cfg: CfgNode, name: str) -> Labels:
    """Checks every file of a data set and the values of its labels; returns these, by path.

    As `look_at_data`, and ``ConfigError`` for values in INPUT.LABEL_PALETTE that are not a class,
    ``DatasetError`` for values that are neither a class nor void, only void, or black images.
    """
    labels, classes = look_at_data(cfg, name), cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES
    ignore_label = ignore_label_of(name)
    palette = cfg.INPUT.LABEL_PALETTE
    if words := unfit_values({row[3] for row in palette}, classes, ignore_label):
        raise ConfigError(f"INPUT.LABEL_PALETTE, data set {name!r}: {words}.")
    _check_values(name, labels, classes, ignore_label)
    if not palette:
        check_masks(name, labels, classes, ignore_label)
    check_brightness(name, DatasetCatalog.get(name))
    return labels


def look_at_data(cfg: CfgNode, name: str) -> Labels:
    """The same for labels of any values; ``ConfigError`` for an unknown data set, another number of
    classes, or an invalid palette, other errors as `verify_dataset`."""
    if name not in DatasetCatalog.list():
        ours = [n for n in DatasetCatalog.list() if "_sem_seg_" in n]
        raise ConfigError(f"Unknown data set {name!r}; known: {', '.join(sorted(ours))}.")
    check_num_classes(cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES, name)
    with config_errors():
        check_palette(cfg.INPUT.LABEL_PALETTE)
    with config_errors(f"data set {name!r}"):  # whose loader may be the user's
        dicts = DatasetCatalog.get(name)
    return verify_dataset(name, dicts, cfg.INPUT.LABEL_PALETTE)


def _check_values(name: str, labels: Labels, num_classes: int, ignore_label: int) -> None:
    values = count_values(labels.values()).keys()
    if labels and values <= {ignore_label}:
        raise DatasetError(
            f"data set {name!r}: every pixel of its {len(labels)} labels is void ({ignore_label}); "
            "correct the labels or the data set's ignore_label"
        )
    unfit = {p: unfit_values(seen.counts, num_classes, ignore_label) for p, seen in labels.items()}
    _refuse(name, len(labels), [f"{p}: {words}; {REMEDY}" for p, words in unfit.items() if words])


def check_masks(name: str, labels: Labels, num_classes: int, ignore_label: int) -> None:
    """Refuses labels, read without a palette, that hold only 0 and 255, which is void."""
    values = set(count_values(labels.values()))
    if num_classes > 1 and ignore_label == 255 and values == {0, 255}:
        raise DatasetError(
            f"data set {name!r}: all labels hold 0 and 255 only, and 255 is void here. If they are "
            'masks of 0 and 255, set INPUT.LABEL_PALETTE "[[0, 0, 0, 0], [255, 255, 255, 1]]"; if '
            '255 is void, "[[0, 0, 0, 0], [255, 255, 255, 255]]"'
        )


def check_brightness(name: str, dicts: Pairs) -> None:
    """``DatasetError`` if five images, spread over the data set, are black, or nearly so."""
    some = dicts[:: max(1, len(dicts) // 5)][:5]
    brightest = max(int(read_image(item["file_name"], "RGB").max()) for item in some)
    if brightest < DARK:
        raise DatasetError(
            f"data set {name!r}: images are black, or nearly so: the highest level is {brightest} "
            f"of 255 in {len(some)} of them, {some[0]['file_name']} first. Only the upper 8 of 16 "
            "bits are used (level // 256); scale all images by one factor to the full 16-bit range"
        )


def _refuse(name: str, count: int, problems: Sequence[str]) -> None:
    if problems:
        more = f"\n  and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise DatasetError(
            f"data set {name!r}, {count} images, problems: {len(problems)}\n  "
            + "\n  ".join(problems[:LISTED])
            + more
        )


def check_num_classes(num_classes: int, name: str) -> None:
    """Refuses a MODEL.SEM_SEG_HEAD.NUM_CLASSES that differs from the data set's."""
    classes = MetadataCatalog.get(name).get("stuff_classes")
    if classes is None:
        raise ConfigError(
            f"Data set {name!r} has no class names: MetadataCatalog.get({name!r}).set("
            "stuff_classes=[...]), and ignore_label unless void is 255."
        )
    if len(classes) != num_classes:
        raise ConfigError(
            f"The head has {num_classes} classes, data set {name!r} has {len(classes)} "
            f"({', '.join(classes)}); set MODEL.SEM_SEG_HEAD.NUM_CLASSES to {len(classes)}"
        )


def _problems(
    item: dict[str, Any], images: dict[str, Seen | str], labels: dict[str, Seen | str]
) -> Iterator[str]:
    image, label = images[item["file_name"]], labels[item["sem_seg_file_name"]]
    yield from (words for words in (image, label) if isinstance(words, str))
    if isinstance(image, Seen) and isinstance(label, Seen):
        sizes = [f"{seen.height}x{seen.width}" for seen in (image, label)]
        if sizes[0] != sizes[1]:
            yield (
                f"image and label differ in size: {item['file_name']} is {sizes[0]} (HxW), "
                f"{item['sem_seg_file_name']} is {sizes[1]}"
            )
