"""What the labels of a data set hold, as text for people. H, W: pixels."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from .verify import Labels, count_values


def summary(name: str, labels: Labels, class_names: Sequence[str], ignore_label: int) -> str:
    """Sizes, a histogram of the classes, and what is odd.

    Args:
        name: of the data set.
        labels: see `verify.verify_dataset`.
        class_names: in the order of the indices.
        ignore_label: the value that means "void" in the files.
    """
    counts, images = count_values(labels.values()), _images_with(labels)
    valid = sum(n for value, n in counts.items() if value != ignore_label)
    rows = [
        (value, class_name, f"{100 * counts[value] / max(valid, 1):.3f}", images.get(value, 0))
        for value, class_name in enumerate(class_names)
        if value != ignore_label
    ]
    absent = [class_name for value, class_name, _, count in rows if not count]
    known = {*range(len(class_names)), ignore_label}
    odd = [f"{value} (in {images[value]} files)" for value in sorted(counts.keys() - known)]
    void = 100 * counts[ignore_label] / max(counts.total(), 1)
    lines = [
        f"data set {name!r}: {len(labels)} labels, {_sizes(labels)}, {void:.3f} % void",
        tabulate(rows, headers=["value", "class", "% of pixels", "images"], disable_numparse=True),
        f"classes that never occur: {', '.join(absent)}" if absent else "",
        f"values that are neither a class nor void: {', '.join(odd)}" if odd else "",
    ]
    return "\n".join(line for line in lines if line)


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
