"""What the labels of data sets hold, as text for people. H, W: pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tabulate import tabulate

from .verify import Labels, count_values


def summary(sets: Mapping[str, Labels], class_names: Sequence[str], ignore_label: int) -> str:
    """Sizes, one histogram of the classes for all sets side by side, and what is odd.

    Args:
        sets: by name, such as "msrc_sem_seg_train"; see `verify.verify_dataset`.
        class_names: in the order of the indices.
        ignore_label: the value that means "void" in the files.
    """
    histograms = {name: _histogram(labels, ignore_label) for name, labels in sets.items()}
    classes = {v: name for v, name in enumerate(class_names) if v != ignore_label}
    headers = ["value", "class", *(h for n in _short(list(sets)) for h in (f"{n}\n%", "\nimages"))]
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
    counts, images = count_values(labels.values()), _images_with(labels)
    valid = max(counts.total() - counts[ignore_label], 1)
    return {value: (f"{100 * counts[value] / valid:.3f}", n) for value, n in images.items()}


def _short(names: list[str]) -> list[str]:
    """Without the data set's name where that leaves different names: "train", "test"."""
    parts = [name.rpartition("_sem_seg_")[2] for name in names]
    return parts if len(set(parts)) == len(parts) else names


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


def _images_with(labels: Labels) -> dict[int, int]:
    found: dict[int, int] = {}
    for seen in labels.values():
        for value in seen.counts:
            found[value] = found.get(value, 0) + 1
    return found


def _sizes(labels: Labels) -> str:
    """The sizes, (H, W), from the smallest to the largest area."""
    sizes = sorted(
        {(seen.height, seen.width) for seen in labels.values()}, key=lambda s: s[0] * s[1]
    )
    ends = [f"{height}x{width}" for height, width in (sizes[:1] + sizes[1:][-1:])]
    return f"{' to '.join(ends)} (HxW)" + (f" in {len(sizes)} sizes" if len(sizes) > 1 else "")
