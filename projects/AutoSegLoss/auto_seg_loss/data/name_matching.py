"""Names of images and labels -> which label belongs to which image; no files are read.

A name is a key, see `pairing`: the path of a file below its folder without suffix.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator

SIGNS = "/._- "  # where a name may be cut


def owners_by_end(images: Collection[str], labels: Collection[str]) -> dict[str, str]:
    """The image of each label that has the commonest end; {} if an image has several labels."""
    by_end = labels_by_end(images, labels)
    counts = Counter(image for owners in by_end.values() for image in owners.values())
    if max(counts.values(), default=0) > 1:
        return {}
    return max(by_end.values(), key=len, default={})


def labels_by_end(images: Collection[str], labels: Collection[str]) -> dict[str, dict[str, str]]:
    """End -> label -> image, of labels that are named as an image and an end without digits."""
    for names in _without_ends(images):
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for label in labels:
            heads = [label[:at] for at, sign in enumerate(label) if sign in SIGNS]
            whole = [] if label in images else [label]  # in one folder an image is not its label
            known = [head for head in heads + whole if head in names]
            if known and not re.search(r"\d", end := label.removeprefix(known[-1])):
                found[end][label] = names[known[-1]]
        if found:
            return found
    return {}


def _without_ends(keys: Collection[str]) -> Iterator[dict[str, str]]:
    """Short name -> key: first as they are, then without the last part as long as all share it."""
    names = {key: key for key in keys}
    while True:
        yield names
        cuts = {name: max(name.rfind(sign) for sign in SIGNS) for name in names}
        if min(cuts.values()) < 1 or len({name[at:] for name, at in cuts.items()}) > 1:
            return
        names = {name[:at]: names[name] for name, at in cuts.items()}


def owners_by_own_parts(images: Collection[str], labels: Collection[str]) -> dict[str, str]:
    """The image of each label that has its name but for what all images, or all labels, share."""
    (begin, end), (label_begin, label_end) = _shared(images), _shared(labels)
    if _numbers_differ(begin[::-1], label_begin[::-1]) or _numbers_differ(end, label_end):
        return {}
    own = {key[len(begin) : len(key) - len(end)]: key for key in images}
    parts = {key: key[len(label_begin) : len(key) - len(label_end)] for key in labels}
    return {key: own[part] for key, part in parts.items() if part in own}


def _shared(keys: Collection[str]) -> tuple[str, str]:
    """The begin and the end that all have in common, up to a sign."""
    begin = _common(list(keys))
    return begin, _common([key[len(begin) :][::-1] for key in keys])[::-1]


def _common(names: list[str]) -> str:
    common = os.path.commonprefix(names)  # noqa: RUF071  (of characters)
    return common[: 1 + max(common.rfind(sign) for sign in SIGNS)]


def _numbers_differ(one: str, other: str) -> bool:
    """Whether numbers at the same place differ; where one has more, these may be of anything."""
    numbers = zip(re.findall(r"\d+", one), re.findall(r"\d+", other), strict=False)
    return any(first != second for first, second in numbers)
