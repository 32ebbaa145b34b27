"""A text report about data, to read before training. H, W: pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from os.path import realpath

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from tabulate import tabulate

from .catalog import data_sets, ignore_label_of, records_of, some
from .file_scan import count_values
from .folder import PARTS, Folder
from .neighbours import alike_neighbours
from .pairing import paired_files, unpaired
from .verify import Labels, look_at_data


def data_report(cfg: CfgNode) -> str:
    """Sizes, shares of the classes and of void, classes that never occur and wrong values of all
    data sets of a config; files of DATASETS.FOLDER that are left out; alike images in two parts.

    ``DatasetError``: files are missing, damaged or differ in size.
    """
    sets = {name: look_at_data(cfg, name) for name in data_sets(cfg)}
    tables = [
        summary({name: sets[name] for name in names}, *kind)
        for kind, names in groupby(sets, _classes)
    ]
    parts = {name: DatasetCatalog.get(name) for name in sets}
    notes = [_left_out(cfg) if cfg.DATASETS.FOLDER.IMAGES else "", alike_neighbours(parts)]
    return "\n\n".join([*tables, *(note for note in notes if note)])


def _classes(name: str) -> tuple[tuple[str, ...], int]:
    return tuple(MetadataCatalog.get(name).stuff_classes), ignore_label_of(name)


def _left_out(cfg: CfgNode) -> str:
    """Files of DATASETS.FOLDER that are in none of its parts."""
    folder = Folder.of(cfg)
    parts = records_of(f"{folder.keys.NAME}_sem_seg_{part}" for part in PARTS)
    used = {realpath(item["file_name"]) for item in parts}
    files = [item["file_name"] for item in folder.all_pairs()]
    unused = [file for file in files if realpath(file) not in used]
    alone = [str(path) for path in unpaired(*paired_files(*folder.places))]
    kinds = {"without a counterpart": alone, "in no part": unused}
    return "\n".join(f"{len(fs)} files {words}: {some(fs)}" for words, fs in kinds.items() if fs)


def summary(sets: Mapping[str, Labels], class_names: Sequence[str], ignore_label: int) -> str:
    """Sizes, one class histogram for all sets side by side, and anomalies.

    sets: by name, see `verify.verify_dataset`. ignore_label: void in the files.
    """
    classes = {v: name for v, name in enumerate(class_names) if v != ignore_label}
    parts = [name.rpartition("_sem_seg_")[2] for name in sets]
    short = parts if len(set(parts)) == len(parts) else sets
    headers = ["value", "class", *(head for name in short for head in (f"{name}\n%", "\nimages"))]
    found = [_Histogram(name, labels, ignore_label) for name, labels in sets.items()]
    rows = [
        [value, name, *(cell for one in found for cell in one.cells(value))]
        for value, name in classes.items()
    ]
    lines = [one.head() for one in found]
    lines.append(tabulate(rows, headers=headers, disable_numparse=True))
    return "\n".join([*lines, *(line for one in found for line in one.oddities(classes))])


class _Histogram:
    """Pixels and images of each value of a set's labels, in words."""

    def __init__(self, name: str, labels: Labels, ignore_label: int) -> None:
        self._name, self._labels, self._void = name, labels, ignore_label
        self._pixels = count_values(labels.values())
        self._images = Counter(value for seen in labels.values() for value in seen.counts)

    def cells(self, value: int) -> tuple[str, int]:
        """Percent of the pixels that are not void, and images."""
        valid = self._pixels.total() - self._pixels[self._void]
        percent = f"{100 * self._pixels[value] / valid:.3f}" if self._pixels[value] else "0"
        return percent, self._images[value]

    def head(self) -> str:
        """Number, smallest and largest size by area, and void."""
        sizes = {(seen.height, seen.width) for seen in self._labels.values()}
        ordered = sorted(sizes, key=lambda size: size[0] * size[1])
        ends = " to ".join(f"{height}x{width}" for height, width in ordered[:1] + ordered[1:][-1:])
        many = f" in {len(sizes)} sizes" if len(sizes) > 1 else ""
        void = 100 * self._pixels[self._void] / max(self._pixels.total(), 1)
        number = f"data set {self._name!r}: {len(self._labels)} labels"
        return f"{number}, {ends} (HxW){many}, {void:.3f} % void"

    def oddities(self, classes: Mapping[int, str]) -> Iterator[str]:
        """Classes that never occur, values of no class, and labels that are all void."""
        if absent := [name for value, name in classes.items() if value not in self._images]:
            yield f"{self._name}: classes that never occur: {', '.join(absent)}"
        if odd := sorted(self._images.keys() - classes.keys() - {self._void}):
            words = ", ".join(f"{value} (in {self._images[value]} files)" for value in odd)
            yield f"{self._name}: values that are neither a class nor void: {words}"
        if empty := sum(seen.counts.keys() <= {self._void} for seen in self._labels.values()):
            yield f"{self._name}: {empty} labels hold only void"
