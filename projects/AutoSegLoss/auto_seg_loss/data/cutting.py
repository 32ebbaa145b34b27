"""Splitting a set into parts by groups, stratified by class.

Letters: P parts; U units, groups of images or single ones; C classes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from auto_seg_loss.runtime.errors import ConfigError

from .catalog import Pairs, some

_file_name = itemgetter("file_name")


def cut(
    dicts: Pairs,
    classes: Sequence[Collection[int]],
    shares: Sequence[float],
    seed: int,
    groups: str = "",
) -> list[Pairs]:
    """P parts of a set, sorted by file name; the order of ``dicts`` does not matter.

    classes: those in each image. shares: (P,), of the images, and of those with each class; sum 1.
    No part is empty. seed: of the order in which units are assigned. groups: a regular expression,
    see ``groups_of``; the images of a group stay together. "" for single images.

    ``ValueError``: fewer units than parts, an image of no group, or a share that is not above 0.
    """
    if min(shares) <= 0:
        raise ValueError(f"each part needs a share above 0, and the sum must be 1; got {shares}")
    units = _units(dicts, groups)
    if len(units) < len(shares):
        raise ValueError(
            f"{len(dicts)} images make {len(units)} {'groups' if groups else 'units'}, which "
            f"cannot be split into {len(shares)} parts; provide lists, or more images"
        )
    columns = {value: 1 + i for i, value in enumerate(sorted(set().union(*classes)))}
    sizes = np.zeros((len(units), 1 + len(columns)))
    for row, unit in zip(sizes, units, strict=True):
        for index in unit:
            row[[0, *(columns[value] for value in classes[index])]] += 1
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(units))
    order = order[np.argsort(-sizes[order, 0], kind="stable")]  # large groups first
    places = _deal(sizes[order], np.array(shares))
    parts: list[Pairs] = [[] for _ in shares]
    for unit, part in zip(order, places, strict=True):
        parts[part] += [dicts[index] for index in units[unit]]
    return [sorted(part, key=_file_name) for part in parts]


def _deal(sizes: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """(U,) the part of each unit, by iterative stratification.

    K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the stratification of multi-label data", ECML PKDD
    2011: the units with the rarest class are assigned first, each to the part that lacks most of
    it. So a class reaches the part with the largest share before any other.

    sizes: (U, 1 + C) images of each unit, and of these with each class. shares: (P,), sum 1.
    """
    places = np.full(len(sizes), -1)
    lacking = shares[:, None] * sizes.sum(0)
    empty = set(range(len(shares)))
    while (left := np.flatnonzero(places < 0)).size:
        column = _rarest(sizes[left])
        for number, unit in enumerate(left[sizes[left, column] > 0]):
            open_parts = empty if len(empty) >= len(left) - number else range(len(shares))
            wants = {part: (lacking[part, column], lacking[part, 0]) for part in sorted(open_parts)}
            places[unit] = part = max(wants, key=wants.__getitem__)
            lacking[part] -= sizes[unit]
            empty.discard(part)
    return places


def _rarest(sizes: NDArray[np.float64]) -> int:
    """The column of the class in the fewest images of (U, 1 + C); 0 if there is none."""
    images = sizes[:, 1:].sum(0)
    seen = np.flatnonzero(images)
    return 1 + int(seen[np.argmin(images[seen])]) if seen.size else 0


def _units(dicts: Pairs, groups: str) -> list[list[int]]:
    """Indices of the images of each group, in the order of the first file names."""
    names = groups_of(dicts, groups) if groups else [_file_name(item) for item in dicts]
    units: dict[str, list[int]] = {}
    for index in sorted(range(len(dicts)), key=lambda index: _file_name(dicts[index])):
        units.setdefault(names[index], []).append(index)
    return list(units.values())


def groups_of(dicts: Pairs, groups: str) -> list[str]:
    """The group of each image: the match of the first parenthesised group of the regular expression
    in its name or else, where folders are nested, in its path in the folder of images; or of the
    whole expression if it has none.

    ConfigError: an image whose name does not match, or an invalid regular expression.
    """
    try:
        found = [
            re.search(groups, os.path.basename(_file_name(item)))
            or re.search(groups, str(item.get("image_id", "")))
            for item in dicts
        ]
    except re.error as error:
        words = f"DATASETS.FOLDER.GROUPS '{groups}' is not a regular expression: {error}"
        raise ConfigError(words) from None
    if lonely := [_file_name(item) for item, match in zip(dicts, found, strict=True) if not match]:
        words = f"DATASETS.FOLDER.GROUPS '{groups}' finds no group in {len(lonely)} names"
        raise ConfigError(f"{words}: {some(lonely)}")
    return [match[1 if match.re.groups else 0] or "" for match in found if match]
