"""Any folder of images and one of labels as a data set: the keys DATASETS.FOLDER."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from os.path import realpath
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils.logger import log_first_n

from .builtin_datasets import voc_colours
from .catalog import Pairs, datasets_root, make_pair, register, some
from .colours import palette_to_fill_in, refuse_colours
from .cutting import cut, groups_of
from .file_scan import Seen, count_values, look_at_labels
from .labels import LabelError, Palette, check_palette
from .lists import read_lines
from .pairing import label_ends, paired_files, pairs_of_list, unpaired
from .splits import SplitError
from .verify import check_masks

PARTS = ("train", "holdout", "test")
CLASSES_FILE = "classes.txt"


@dataclass(frozen=True)
class Folder:
    """Equal folders hold the same data. keys: DATASETS.FOLDER. palette: INPUT.LABEL_PALETTE."""

    keys: CfgNode
    palette: Palette

    @classmethod
    def of(cls, cfg: CfgNode) -> Folder:
        """The folder of a config; ValueError for an invalid palette."""
        check_palette(cfg.INPUT.LABEL_PALETTE)
        return cls(cfg.DATASETS.FOLDER.clone(), [list(row) for row in cfg.INPUT.LABEL_PALETTE])

    @property
    def places(self) -> tuple[Path, Path]:
        """The folders of images and labels; FileNotFoundError unless they are directories."""
        root = datasets_root()
        for key in ("IMAGES", "LABELS"):
            path = self.keys[key]
            if not path or not (root / path).is_dir():
                raise FileNotFoundError(
                    f"DATASETS.FOLDER.{key} {path!r} must be a directory: absolute, or in "
                    f"{root.absolute()} (DETECTRON2_DATASETS, else ./datasets)"
                )
        return root / self.keys.IMAGES, root / self.keys.LABELS

    def all_pairs(self) -> Pairs:
        """All images with a label, sorted by stem; a warning counts files without counterpart."""
        places = self.places
        images, labels = paired_files(*places)
        pairs = [make_pair(s, images[s], labels[s]) for s in sorted(images) if s in labels]
        if not pairs:
            raise FileNotFoundError(
                f"no image in {self.keys.IMAGES} has a label in {self.keys.LABELS}: "
                f"{self._why_unpaired()}; images are {some(sorted(images))}, labels are "
                f"{some(sorted(labels)) or 'none'}"
            )
        keys = {key: path.relative_to(places[1]).with_suffix("") for key, path in labels.items()}
        if other := [key for key in sorted(images) if keys.get(key, Path(key)) != Path(key)]:
            words = f"names differ: paired as {images[other[0]]} with {labels[other[0]]}"
            log_first_n(logging.WARNING, words, key="message")
        if lonely := [path.name for path in unpaired(images, labels)]:
            words = f"{len(lonely)} files without a counterpart are left out: {some(lonely)}"
            log_first_n(logging.WARNING, f"{self.keys.IMAGES}: {words}", key="message")
        return pairs

    def _why_unpaired(self) -> str:
        if len(ends := label_ends(*self.places)) > 1:
            return (
                f"images have several labels, which end in {some(ends)}; put those of one kind "
                "into a folder of their own (links will do), in the same folders below it"
            )
        if realpath(self.places[0]) == realpath(self.places[1]):
            return "both are one folder, and none of its files is named as another and _mask"
        return (
            "labels must have the names of their images, folders included, or the names and one "
            "end, as 7_mask has; numbers in what all names begin or end with must be equal"
        )

    def part(self, name: str) -> Pairs:
        """The pairs of "train", "holdout" or "test".

        Parts without a list are split from the list of "train" or, without that, from the images in
        no list. ValueError: it cannot be split. SplitError: a group is in two parts.
        """
        root, (images, labels) = datasets_root(), self.places
        parts = {
            part: pairs_of_list(root / self.keys[part.upper()], images, labels, images.parent)
            for part in PARTS
            if self.keys[part.upper()]
        }
        if missing := [part for part in PARTS if part not in parts]:
            named = {realpath(item["file_name"]) for part in parts.values() for item in part}
            pool = parts.get("train") or [
                item for item in self.all_pairs() if realpath(item["file_name"]) not in named
            ]
            targets = list(dict.fromkeys(["train", *missing]))
            parts |= dict(zip(targets, self._cut(pool, targets), strict=True))
        self._check_groups(parts)
        return parts[name]

    def _cut(self, pool: Pairs, targets: list[str]) -> list[Pairs]:
        looks = look_at_labels([item["sem_seg_file_name"] for item in pool], self.palette)
        classes = [
            look.counts.keys() - {self.keys.VOID} if isinstance(look, Seen) else ()
            for look in looks.values()
        ]
        rest = [self.keys[f"{part.upper()}_SHARE"] for part in targets[1:]]
        return cut(pool, classes, [1 - sum(rest), *rest], self.keys.SEED, self.keys.GROUPS)

    def _check_groups(self, parts: dict[str, Pairs]) -> None:
        if not self.keys.GROUPS:
            return
        of_part = {part: set(groups_of(pairs, self.keys.GROUPS)) for part, pairs in parts.items()}
        for one, other in combinations(PARTS, 2):
            if shared := sorted(of_part[one] & of_part[other]):
                raise SplitError(
                    f"DATASETS.FOLDER.GROUPS '{self.keys.GROUPS}': the lists of {one} and {other} "
                    f"share groups, so scores would be on known images: {some(shared)}"
                )

    def class_names(self) -> list[str]:
        """CLASSES, else the lines of classes.txt beside labels or images, else "0", "1", … up to
        the highest value of the labels or of INPUT.LABEL_PALETTE.

        LabelError: the labels decide, and one cannot be read. ValueError: a duplicate name, or
        without names most values up to the highest never occur.
        """
        names = [*map(str, self.keys.CLASSES)] or self._names_in_file()
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"class names must be unique, got twice: {some(twice)}")
        return names or [str(value) for value in range(self._count_classes())]

    def _count_classes(self) -> int:
        """One more than the highest value; a stray value would make classes that never occur."""
        values = self._values()
        count = 1 + max(values, default=0)
        if count > 2 * max(len(values), 1):
            labels = [item["sem_seg_file_name"] for item in self.all_pairs()]
            raise ValueError(
                f"the values of labels are {some(sorted(values))}, so most of the classes 0.."
                f"{count - 1} never occur: number classes from 0, set the void value "
                "(DATASETS.FOLDER.VOID), or name all classes (DATASETS.FOLDER.CLASSES). For masks "
                f"that are pictures: {palette_to_fill_in(labels, self.keys.VOID)}"
            )
        return count

    def _names_in_file(self) -> list[str]:
        images, labels = self.places
        for place in (labels, labels.parent, images, images.parent):
            if (place / CLASSES_FILE).is_file():
                return read_lines(place / CLASSES_FILE)
        return []

    def _values(self) -> set[int]:
        if self.palette:
            return {row[3] for row in self.palette} - {self.keys.VOID}
        looks = look_at_labels([item["sem_seg_file_name"] for item in self.all_pairs()])
        refuse_colours(self.keys.LABELS, looks, self.keys.VOID)
        if wrong := [look for look in looks.values() if isinstance(look, str)]:
            raise LabelError(wrong[0])
        seen = {path: look for path, look in looks.items() if isinstance(look, Seen)}
        check_masks(self.keys.LABELS, seen, 2, self.keys.VOID)
        return count_values(seen.values()).keys() - {self.keys.VOID}


def register_folder(cfg: CfgNode) -> None:
    """Registers <NAME>_sem_seg_{train,holdout,test} if DATASETS.FOLDER names a folder.

    ``ValueError``: NAME has been registered with other keys in this process; invalid values.
    ``OSError``: files needed for class names are missing.
    """
    if not cfg.DATASETS.FOLDER.IMAGES:
        return
    folder = Folder.of(cfg)
    names = {f"{folder.keys.NAME}_sem_seg_{part}": part for part in PARTS}
    if known := [name for name in names if name in DatasetCatalog.list()]:
        if any(MetadataCatalog.get(name).get("folder") != folder for name in known):
            raise ValueError(
                f"a data set with NAME {folder.keys.NAME!r} and other keys exists in this process; "
                "give each data set its own DATASETS.FOLDER.NAME"
            )
        return
    classes = folder.class_names()
    colours = voc_colours(len(classes))
    for name, part in names.items():
        load = partial(folder.part, part)
        register(name, load, classes=classes, colours=colours, ignore_label=folder.keys.VOID)
        MetadataCatalog.get(name).set(folder=folder)
