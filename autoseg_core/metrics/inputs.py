"""Label maps as users have them: arrays, tensors or lists. N: images; H, W (and D): pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Labels = Tensor | NDArray[np.integer[Any]] | NDArray[np.bool_]


def as_tensor(labels: Any) -> Tensor:
    """A tensor of the labels, on their device; NumPy's memory is shared where torch can.

    It refuses reversed views and other byte orders, and warns of read-only arrays: these are
    copied.
    """
    if isinstance(labels, Tensor):
        return labels.detach()
    array = np.asarray(labels)
    return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))


def one_array(labels: Any) -> Any:
    """Several masked arrays as one: ``np.asarray`` would drop their masks."""
    several = isinstance(labels, list | tuple)
    masked = several and any(isinstance(image, np.ma.MaskedArray) for image in labels)
    return np.ma.stack(labels) if masked else labels


def device_of(labels: Labels) -> torch.device:
    """Where the labels are; NumPy's are on the CPU."""
    return labels.device if isinstance(labels, Tensor) else torch.device("cpu")


def check_shapes(prediction: tuple[int, ...], target: tuple[int, ...]) -> None:
    """ValueError unless they are equal."""
    if prediction != target:
        raise ValueError(
            f"Prediction and target must have the same shape; got {prediction} and {target}."
        )


def label_batch(labels: Labels, name: str) -> Tensor:
    """Integers (N, H, W) of the types that the kernels read."""
    maps = as_tensor(labels)
    if maps.dtype.is_floating_point or maps.dtype.is_complex or maps.dtype == torch.bool:
        raise ValueError(f"The {name} must hold integer labels, got {maps.dtype}.")
    if maps.ndim not in (2, 3, 4) or 0 in maps.shape[-2:]:
        raise ValueError(
            f"The {name} must have shape (H, W), (N, H, W) or, for volumes, (N, D, H, W), with at "
            f"least one pixel; got {tuple(maps.shape)}."
        )
    unsigned = maps.dtype in (torch.uint16, torch.uint32, torch.uint64)
    return (maps.long() if unsigned else maps).reshape(-1, *maps.shape[-2:])
