"""Convert users' label maps (arrays, tensors or lists) to tensors that can be counted.

N: images; C: classes; H, W (and D): pixels; "...": pixels, of two or three sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoseg_core.void import valid_pixels

Labels = Tensor | NDArray[np.integer[Any]] | NDArray[np.bool_]


def label_maps(
    prediction: Labels, target: Labels, void: tuple[int, ...], num_classes: int
) -> tuple[Tensor, Tensor]:
    """Both as (N, H, W) integers of the types that the kernels read; slices of volumes as images.

    In the target ``void[0]`` replaces the other void labels and masked pixels. Raises
    ``ValueError`` for inputs that ``SegmentationScores.update`` refuses, except for labels.
    """
    given = _one_array(prediction), _one_array(target)
    guess = _label_map(given[0], "prediction", num_classes)
    truth = _label_map(given[1], "target", num_classes)
    _check_pair(guess, truth)
    if len(void) > 1 or any(map(np.ma.isMaskedArray, given)):
        truth = truth.long()
        truth = truth.masked_fill(~valid_pixels(truth, void, *given), void[0])
    return guess.flatten(0, -3), truth.flatten(0, -3)


def class_maps(
    prediction: Labels, target: Labels, void: tuple[int, ...], num_classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Both as maps of 0 and 1 for each class, (N, C, ...) bool or int64, and where they count.

    prediction, target: bool or integer (N, C, H, W) or (N, C, D, H, W); of one class also
    (N, H, W). Raises ``ValueError`` for other shapes and types.
    """
    given = _one_array(prediction), _one_array(target)
    guess = _class_map(given[0], "prediction", num_classes)
    truth = _class_map(given[1], "target", num_classes)
    _check_pair(guess, truth)
    return guess, truth, valid_pixels(truth, void, *given)


def as_tensor(labels: Any) -> Tensor:
    """A tensor of the labels, on their device; it shares NumPy's memory where torch can.

    torch refuses reversed views and foreign byte orders, and warns about read-only arrays: these
    are copied.
    """
    if isinstance(labels, Tensor):
        return labels.detach()
    array = np.asarray(labels)
    return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))


def _one_array(labels: Any) -> Any:
    """Several masked arrays as one: ``np.asarray`` would drop their masks."""
    several = isinstance(labels, list | tuple)
    masked = several and any(isinstance(image, np.ma.MaskedArray) for image in labels)
    return np.ma.stack(labels) if masked else labels


def _check_pair(prediction: Tensor, target: Tensor) -> None:
    of_both = {
        "device": (prediction.device, target.device),
        "shape": (tuple(prediction.shape), tuple(target.shape)),
    }
    for what, (ours, theirs) in of_both.items():
        if ours != theirs:
            raise ValueError(
                f"Expected prediction and target of the same {what}, got {ours} and {theirs}."
            )


def _label_map(labels: Any, name: str, num_classes: int) -> Tensor:
    """(N, H, W) or (N, D, H, W)."""
    maps = as_tensor(labels)
    if maps.dtype == torch.bool and num_classes == 2:
        maps = maps.byte()
    if maps.dtype.is_floating_point or maps.dtype.is_complex or maps.dtype == torch.bool:
        raise ValueError(
            f"The {name} must hold integer labels, got {maps.dtype}. Logits become labels by "
            "logits.argmax(1), floats by labels.long(). Bools are labels of two classes, "
            "num_classes=2; a map of bools for each class needs multilabel=True."
        )
    if maps.ndim not in (2, 3, 4) or 0 in maps.shape[-2:]:
        raise ValueError(
            f"The {name} must have shape (H, W), (N, H, W) or, for volumes, (N, D, H, W), with at "
            f"least one pixel; got {tuple(maps.shape)}."
        )
    if maps.dtype in (torch.uint16, torch.uint32, torch.uint64):
        maps = maps.long()
    return maps[None] if maps.ndim == 2 else maps


def _class_map(labels: Any, name: str, num_classes: int) -> Tensor:
    maps = as_tensor(labels)
    if maps.dtype.is_floating_point or maps.dtype.is_complex:
        raise ValueError(
            f"The {name} must hold bools or integers 0 and 1, got {maps.dtype}; threshold "
            "probabilities first, such as p > 0.5."
        )
    if num_classes == 1 and maps.ndim == 3:
        maps = maps[:, None]
    if maps.ndim not in (4, 5) or maps.shape[1] != num_classes:
        raise ValueError(
            f"The {name} must be (N, C, H, W) or (N, C, D, H, W) with 0 and 1 for each of C = "
            f"{num_classes} classes, got {tuple(maps.shape)}."
        )
    # Wide enough for any ignore_index, which must not wrap around to a value of the maps.
    return maps if maps.dtype == torch.bool else maps.long()
