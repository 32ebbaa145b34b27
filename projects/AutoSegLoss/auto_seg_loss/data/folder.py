"""Any folder of images, and one of labels, as a data set: the keys DATASETS.FOLDER."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.utils.logger import log_first_n

from .catalog import (
    Pairs,
    datasets_root,
    files_by_stem,
    make_pair,
    pairs_of_list,
    register,
    some,
    unpaired,
)
from .cutting import cut, groups_of
from .labels import LabelError, Palette, check_palette
from .lists import read_text
from .looks import Seen, look_at_labels
from .sets import voc_colours
from .splits import SplitError
from .verify import check_masks, count_values

PARTS = ("train", "holdout", "test")
CLASSES_FILE = "classes.txt"


@dataclass(frozen=True)
class Folder:
    """The keys of DATASETS.FOLDER, see config/. lists: by `PARTS`; shares: of the last two."""

    images: str
    labels: str
    classes: tuple[str, ...]
    void: int
    lists: tuple[str, str, str]
    shares: tuple[float, float]
    groups: str
    seed: int
    palette: Palette = ()

    @property
    def places(self) -> tuple[Path, Path]:
        """Where images and labels are; FileNotFoundError for what is no directory."""
        root = datasets_root()
        for key, path in (("IMAGES", self.images), ("LABELS", self.labels)):
            if not path or not (root / path).is_dir():
                raise FileNotFoundError(
                    f"DATASETS.FOLDER.{key} {path!r} must be a directory: absolute, or below "
                    f"{root.absolute()} (DETECTRON2_DATASETS, else ./datasets)"
                )
        return root / self.images, root / self.labels

    def all_pairs(self) -> Pairs:
        """Every image that has a label, sorted by stem; a warning counts files without partner."""
        images, labels = files_by_stem(*self.places)
        pairs = [make_pair(s, images[s], labels[s]) for s in sorted(images) if s in labels]
        if not pairs:
            raise FileNotFoundError(
                f"no image in {self.images} has a label in {self.labels}: labels must have the "
                f"stems of their images; images are {some(sorted(images))}, labels are "
                f"{some(sorted(labels))}"
            )
        if lonely := [path.name for path in unpaired(images, labels)]:
            words = f"{len(lonely)} files without partner are left out: {some(lonely)}"
            log_first_n(logging.WARNING, f"{self.images}: {words}", key="message")
        return pairs

    def unpaired(self) -> list[Path]:
        """Images without a label, then labels without an image."""
        return unpaired(*files_by_stem(*self.places))

    def part(self, name: str) -> Pairs:
        """The pairs of "train", "holdout" or "test".

        Parts without a list are cut from the list of "train" or, where there is none, from the
        images that no list names. ValueError: it cannot be cut so. SplitError: a group is in two.
        """
        parts = self._listed()
        if missing := [part for part in PARTS if part not in parts]:
            pool = parts.get("train") or self._unlisted(parts)
            targets = list(dict.fromkeys(["train", *missing]))
            parts |= dict(zip(targets, self._cut(pool, targets), strict=True))
        self._check_groups(parts)
        return parts[name]

    def _listed(self) -> dict[str, Pairs]:
        root, (images, labels) = datasets_root(), self.places
        return {
            part: pairs_of_list(root / path, images, labels, images.parent)
            for part, path in zip(PARTS, self.lists, strict=True)
            if path
        }

    def _unlisted(self, listed: dict[str, Pairs]) -> Pairs:
        named = {item["file_name"] for part in listed.values() for item in part}
        return [item for item in self.all_pairs() if item["file_name"] not in named]

    def _cut(self, pool: Pairs, targets: list[str]) -> list[Pairs]:
        looks = look_at_labels([item["sem_seg_file_name"] for item in pool], self.palette)
        classes = [
            look.counts.keys() - {self.void} if isinstance(look, Seen) else ()
            for look in looks.values()
        ]
        share = dict(zip(PARTS[1:], self.shares, strict=True))
        rest = [share[part] for part in targets[1:]]
        return cut(pool, classes, [1 - sum(rest), *rest], self.seed, self.groups)

    def _check_groups(self, parts: dict[str, Pairs]) -> None:
        if not self.groups:
            return
        of_part = {part: set(groups_of(pairs, self.groups)) for part, pairs in parts.items()}
        for one, other in combinations(PARTS, 2):
            if shared := sorted(of_part[one] & of_part[other]):
                raise SplitError(
                    f"DATASETS.FOLDER.GROUPS {self.groups!r}: the lists of {one} and {other} share "
                    f"groups, so scores would be those of known images: {some(shared)}"
                )

    def class_names(self) -> tuple[str, ...]:
        """CLASSES, else the lines of classes.txt beside labels or images, else "0", "1", … up to
        the highest value of the labels or of INPUT.LABEL_PALETTE.

        LabelError: the labels are to tell, and one cannot be read. ValueError: a name twice.
        """
        names = self.classes or self._names_in_file()
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"classes must have different names, got twice: {some(twice)}")
        return names or tuple(map(str, range(1 + max(self._values(), default=0))))

    def _names_in_file(self) -> tuple[str, ...]:
        images, labels = self.places
        for place in (labels, labels.parent, images, images.parent):
            if (place / CLASSES_FILE).is_file():
                lines = read_text(place / CLASSES_FILE).split("\n")
                return tuple(line.strip() for line in lines if line.strip())
        return ()

    def _values(self) -> set[int]:
        if self.palette:
            return {row[3] for row in self.palette} - {self.void}
        looks = look_at_labels([item["sem_seg_file_name"] for item in self.all_pairs()])
        seen = {path: look for path, look in looks.items() if isinstance(look, Seen)}
        if wrong := [look for look in looks.values() if isinstance(look, str)]:
            raise LabelError(wrong[0])
        check_masks(self.labels, seen, 2, self.void)
        return count_values(seen.values()).keys() - {self.void}


def folder_of(cfg: CfgNode) -> Folder:
    """What DATASETS.FOLDER and INPUT.LABEL_PALETTE of a config say."""
    node = cfg.DATASETS.FOLDER
    check_palette(cfg.INPUT.LABEL_PALETTE)
    return Folder(
        images=node.IMAGES,
        labels=node.LABELS,
        classes=tuple(map(str, node.CLASSES)),
        void=node.VOID,
        lists=(node.TRAIN, node.HOLDOUT, node.TEST),
        shares=(node.HOLDOUT_SHARE, node.TEST_SHARE),
        groups=node.GROUPS,
        seed=node.SEED,
        palette=tuple(tuple(row) for row in cfg.INPUT.LABEL_PALETTE),
    )


def register_folder(cfg: CfgNode) -> None:
    """Registers <NAME>_sem_seg_{train,holdout,test} if DATASETS.FOLDER names a folder.

    Raises:
        ValueError: NAME has been registered with other keys in this process; bad values.
        OSError: class names must come from files that are not there.
    """
    node = cfg.DATASETS.FOLDER
    if not node.IMAGES:
        return
    parts = {f"{node.NAME}_sem_seg_{part}": FolderPart(folder_of(cfg), part) for part in PARTS}
    known = [name for name in parts if name in DatasetCatalog.list()]
    if any(DatasetCatalog[name] != parts[name] for name in known):
        raise ValueError(
            f"a data set of NAME {node.NAME!r} with other keys is known in this process; give "
            "each data set a DATASETS.FOLDER.NAME of its own"
        )
    if not known:
        classes = folder_of(cfg).class_names()
        for name, load in parts.items():
            register(
                name,
                load,
                classes=classes,
                colours=voc_colours(len(classes)),
                ignore_label=node.VOID,
            )


@dataclass(frozen=True)
class FolderPart:
    """Loads a part of a folder; two are equal if they load the same."""

    folder: Folder
    part: str

    def __call__(self) -> Pairs:
        return self.folder.part(self.part)
