"""The few array functions that NumPy and torch name differently.

Exact counts are written once, for both: a tensor on the CPU is counted as its NumPy array, since
NumPy's functions start in less than a microsecond and wait for no other thread; a tensor on another
device is counted there, by torch. ``as_array`` is the one place that decides.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = Any  # a NumPy array, or a tensor


def as_array(labels: Any) -> Array:
    """A tensor on the CPU, or anything that NumPy takes, as a NumPy array; other tensors as is."""
    if isinstance(labels, Tensor):
        return labels.detach().numpy() if labels.device.type == "cpu" else labels
    return np.asarray(labels)


def as_tensor(array: Array) -> Tensor:
    """The tensor that shares the array's memory."""
    return array if isinstance(array, Tensor) else torch.from_numpy(array)


def torch_type(array: Array) -> torch.dtype:
    """The type of its numbers as torch names it, whatever their byte order."""
    if isinstance(array, Tensor):
        return array.dtype
    return torch.from_numpy(np.empty(0, array.dtype.newbyteorder("="))).dtype


def narrowed(array: Array) -> Array:
    """The same integers as uint8 where they fit, else as int64; off the CPU always int64."""
    if isinstance(array, Tensor):
        return array.long()
    # Read without its sign, a negative number is a large one: one pass instead of two.
    unsigned = array.view(array.dtype.str.replace("i", "u"))
    most = min(255, np.iinfo(array.dtype).max)
    fits = array.dtype == np.uint8 or not array.size or unsigned.max() <= most
    return array.astype(np.uint8 if fits else np.int64, copy=False)


def library(array: Array) -> ModuleType:
    """The module whose functions take this array: ``torch`` or ``numpy``."""
    return torch if isinstance(array, Tensor) else np


def cast(array: Array, dtype: str) -> Array:
    """The array with numbers of the named type; itself when it has them."""
    if isinstance(array, Tensor):
        return array.to(getattr(torch, dtype))
    return array.astype(dtype, copy=False)


def full(shape: tuple[int, ...], value: int, dtype: str, like: Array) -> Array:
    """A new array of one value, of ``like``'s library and on its device."""
    if isinstance(like, Tensor):
        return torch.full(shape, value, dtype=getattr(torch, dtype), device=like.device)
    return np.full(shape, value, dtype=dtype)


def fill(array: Array, mask: Array, value: int) -> None:
    """Write the value where the mask is true, in place."""
    if isinstance(array, Tensor):
        array.masked_fill_(mask, value)
    else:
        np.copyto(array, value, where=mask)


def empty(size: int, like: Array) -> Array:
    """A new flat array of ``like``'s library, type and device, whose numbers are still unset."""
    return like.new_empty(size) if isinstance(like, Tensor) else np.empty(size, like.dtype)


def positions(mask: Array) -> Array:
    """Places of the true ones in a flat mask, int64, rising."""
    if isinstance(mask, Tensor):
        return mask.nonzero()[:, 0]
    if np.count_nonzero(mask) * 8 < mask.size:
        return _few_positions(mask)
    return np.flatnonzero(mask)


def _few_positions(mask: Array) -> Array:
    """Look for words of eight pixels first: NumPy's search is slow where few pixels are true."""
    words = np.append(mask, np.zeros(-mask.size % 8, dtype=bool)).view(np.uint64)
    places = np.flatnonzero(words != 0)
    found = np.flatnonzero(words[places].view(bool))
    shifts = 8 * (places - np.arange(len(places)))
    return found + shifts[found >> 3]


def histogram(labels: Array, bins: int, weights: Array | None = None) -> Array:
    """How often (or with what weight) each of the labels 0..bins-1 occurs; (bins,) int64.

    labels: flat integers in [0, bins). weights: flat, whole numbers; sums are exact to 2^53.
    """
    return cast(library(labels).bincount(labels, weights, bins), "int64")
