"""Splitting the search set and the hold-out set from the training images; protecting the test set.

A search trains on the first and is rewarded on the second; the test set must overlap neither, or
the search would have optimised the reported score.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from .catalog import Pairs, records_of, some

FILE_KEYS = ("file_name", "sem_seg_file_name")


class SplitError(ValueError):
    """Two sets that must be disjoint share files."""


def carve(dicts: Pairs, fraction: float, seed: int, block: int = 1) -> tuple[Pairs, Pairs]:
    """Splits a set in two, by blocks of consecutive images; equal arguments give equal results.

    Consecutive means sorted by file name. In a film (CamVid) neighbouring frames are nearly equal:
    with single images held out, the hold-out set would test memory. With blocks of a few seconds
    only their two ends are next to training images.

    fraction: share of the blocks to hold out, in (0, 1); at least one block goes to each side.
    seed: of the choice of blocks. block: images per block, >= 1; the last may be shorter. Returns
    search and hold-out, each sorted by file name; ``ValueError`` for an argument out of range, or
    fewer than two blocks.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"the fraction to hold out must lie in (0, 1), got {fraction}")
    if block < 1:
        raise ValueError(f"a block must hold at least 1 image, got {block}")
    items = sorted(dicts, key=lambda item: str(item["file_name"]))
    blocks = [items[start : start + block] for start in range(0, len(items), block)]
    if len(blocks) < 2:
        raise ValueError(
            f"{len(items)} images in blocks of {block} make {len(blocks)} block(s); "
            "a search set and a hold-out set need two: use smaller blocks or more images"
        )
    count = min(max(round(fraction * len(blocks)), 1), len(blocks) - 1)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(blocks))
    held = set(order[:count].tolist())
    search = [item for i, part in enumerate(blocks) if i not in held for item in part]
    holdout = [item for i, part in enumerate(blocks) if i in held for item in part]
    return search, holdout


def split_record(search: Pairs, holdout: Pairs) -> dict[str, Any]:
    """Sizes, digests of the files, and the held-out names, as plain JSON types.

    Names and lengths of files count, not folders: the same files elsewhere give the same record.
    """
    return {
        "search_images": len(search),
        "search_digest": files_digest(search),
        "holdout_images": len(holdout),
        "holdout_digest": files_digest(holdout),
        "holdout_names": _names(holdout),
    }


def split_lists(search: Pairs, holdout: Pairs, rule: dict[str, Any]) -> dict[str, Any]:
    """The split image by image, for the folder of a run; rule: how it was made, JSON types."""
    return {"rule": rule, **split_record(search, holdout), "search_names": _names(search)}


def assert_disjoint(sets: Mapping[str, Pairs]) -> None:
    """``SplitError``, with the names of two sets, if they share an image or label file or a link to
    one."""
    files = {name: _real_files(dicts) for name, dicts in sets.items()}
    for first, second in combinations(files, 2):
        if shared := sorted(files[first] & files[second]):
            raise SplitError(
                f"{first} and {second} share {len(shared)} files: {some(shared)}; "
                "scores on a test set that the search has seen mean nothing: use disjoint sets"
            )


def _real_files(dicts: Pairs) -> set[str]:
    return {os.path.realpath(item[key]) for item in dicts for key in FILE_KEYS if item.get(key)}


def _names(dicts: Pairs) -> list[str]:
    return [os.path.basename(item["file_name"]) for item in dicts]


def files_digest(dicts: Pairs) -> str:
    """sha256 of the names and lengths of images and labels: detects replaced files."""
    paths = [item[key] for item in dicts for key in FILE_KEYS if item.get(key)]
    lines = [f"{os.path.basename(path)} {os.path.getsize(path)}" for path in paths]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def images_digest(names: Iterable[str]) -> str:
    """``files_digest`` of data sets by name, one after the other."""
    return files_digest(records_of(names))
