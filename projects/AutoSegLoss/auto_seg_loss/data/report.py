"""What a person wants to know about data before training, as text. H, W: pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from tabulate import tabulate

from auto_seg_loss.runtime.checks import look_at_data

from .catalog import some
from .folder import PARTS, folder_of
from .neighbours import alike_neighbours
from .verify import Labels, count_values


def data_sets(cfg: CfgNode) -> list[str]:
    """The names in DATASETS.TRAIN, SEARCH.HOLDOUT.DATASETS and DATASETS.TEST, each once."""
    names = (*cfg.DATASETS.TRAIN, *cfg.SEARCH.HOLDOUT.DATASETS, *cfg.DATASETS.TEST)
    return list(dict.fromkeys(names))


def data_report(cfg: CfgNode) -> str:
    """Sizes, shares of the classes and of void, classes that never occur and odd values of all
    data sets of a config; files of DATASETS.FOLDER that are left out; alike images in two parts.

    ``DatasetError``: files are missing, damaged or of unequal sizes.
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
    metadata = MetadataCatalog.get(name)
    return tuple(metadata.stuff_classes), metadata.get("ignore_label", 255)


def _left_out(cfg: CfgNode) -> str:
    """Files of DATASETS.FOLDER that are in none of its parts."""
    folder = folder_of(cfg)
    used = {item["file_name"] for part in PARTS for item in folder.part(part)}
    unused = [i["file_name"] for i in folder.all_pairs() if i["file_name"] not in used]
    kinds = {"without partner": [*map(str, folder.unpaired())], "in no part": unused}
    return "\n".join(f"{len(fs)} files {words}: {some(fs)}" for words, fs in kinds.items() if fs)


def summary(sets: Mapping[str, Labels], class_names: Sequence[str], ignore_label: int) -> str:
    """Sizes, one histogram of the classes for all sets side by side, and what is odd.

    Args:
        sets: by name, such as "msrc_sem_seg_train"; see `verify.verify_dataset`.
        class_names: in the order of the indices.
        ignore_label: the value that means "void" in the files.
    """
    histograms = {name: _histogram(labels, ignore_label) for name, labels in sets.items()}
    classes = {v: name for v, name in enumerate(class_names) if v != ignore_label}
    parts = [name.rpartition("_sem_seg_")[2] for name in sets]
    short = parts if len(set(parts)) == len(parts) else sets
    headers = ["value", "class", *(head for name in short for head in (f"{name}\n%", "\nimages"))]
    rows = [
        [value, name, *(cell for h in histograms.values() for cell in h.get(value, ("0", 0)))]
        for value, name in classes.items()
    ]
    lines = [_head(name, labels, ignore_label) for name, labels in sets.items()]
    lines.append(tabulate(rows, headers=headers, disable_numparse=True))
    for name, histogram in histograms.items():
        lines += _oddities(name, sets[name], histogram, classes, ignore_label)
    return "\n".join(lines)


Histogram = dict[int, tuple[str, int]]
"""Of each value that occurs: percent of the pixels that are not void, and images."""


def _histogram(labels: Labels, ignore_label: int) -> Histogram:
    counts = count_values(labels.values())
    images = Counter(value for seen in labels.values() for value in seen.counts)
    valid = max(counts.total() - counts[ignore_label], 1)
    return {value: (f"{100 * counts[value] / valid:.3f}", n) for value, n in images.items()}


def _head(name: str, labels: Labels, ignore_label: int) -> str:
    counts = count_values(labels.values())
    void = 100 * counts[ignore_label] / max(counts.total(), 1)
    return f"data set {name!r}: {len(labels)} labels, {_sizes(labels)}, {void:.3f} % void"


def _oddities(
    name: str, labels: Labels, histogram: Histogram, classes: Mapping[int, str], ignore_label: int
) -> Iterator[str]:
    absent = [class_name for value, class_name in classes.items() if value not in histogram]
    if absent:
        yield f"{name}: classes that never occur: {', '.join(absent)}"
    odd = sorted(histogram.keys() - classes.keys() - {ignore_label})
    if odd:
        words = ", ".join(f"{value} (in {histogram[value][1]} files)" for value in odd)
        yield f"{name}: values that are neither a class nor void: {words}"
    empty = sum(seen.counts.keys() <= {ignore_label} for seen in labels.values())
    if empty:
        yield f"{name}: {empty} labels hold nothing but void"


def _sizes(labels: Labels) -> str:
    """The sizes, (H, W), from the smallest to the largest area."""
    sizes = sorted(
        {(seen.height, seen.width) for seen in labels.values()}, key=lambda s: s[0] * s[1]
    )
    ends = [f"{height}x{width}" for height, width in (sizes[:1] + sizes[1:][-1:])]
    return f"{' to '.join(ends)} (HxW)" + (f" in {len(sizes)} sizes" if len(sizes) > 1 else "")
