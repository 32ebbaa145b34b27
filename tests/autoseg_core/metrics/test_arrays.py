"""What NumPy and torch name differently gives the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autoseg_core.metrics.arrays import (
    as_array,
    as_tensor,
    cast,
    fill,
    full,
    histogram,
    library,
    narrowed,
    positions,
    torch_type,
)

KINDS = [np.asarray, torch.as_tensor]


def test_tensors_on_the_cpu_are_arrays_with_the_same_memory() -> None:
    tensor = torch.zeros(3, dtype=torch.int32)
    array = as_array(tensor)
    array[1] = 5
    assert tensor.tolist() == [0, 5, 0]
    assert library(array) is np
    assert as_tensor(array).dtype == torch.int32


def test_tensors_elsewhere_stay_there() -> None:
    tensor = torch.zeros(3, dtype=torch.int32, device="meta")
    assert as_array(tensor) is tensor
    assert library(tensor) is torch
    assert narrowed(tensor).dtype == torch.int64


@pytest.mark.parametrize("labels", [[], [0, 127]])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", ">u2", ">i4", "int64", "uint64"])
def test_labels_become_uint8_where_they_fit(dtype: str, labels: list[int]) -> None:
    array = narrowed(np.array(labels, dtype=dtype))
    assert array.dtype == np.uint8
    assert array.tolist() == labels


@pytest.mark.parametrize("dtype", ["int8", "int16", ">i4", "int64"])
@pytest.mark.parametrize("labels", [[3, -1], [-128, 127]])
def test_negative_labels_need_int64(dtype: str, labels: list[int]) -> None:
    array = narrowed(np.array(labels, dtype=dtype))
    assert array.dtype == np.int64
    assert array.tolist() == labels


@pytest.mark.parametrize("dtype", ["int16", ">u2", "int64", "uint64"])
def test_large_labels_need_int64(dtype: str) -> None:
    array = narrowed(np.array([0, 256], dtype=dtype))
    assert array.dtype == np.int64
    assert array.tolist() == [0, 256]


def test_every_other_pixel_of_an_array_is_narrowed_too() -> None:
    assert narrowed(np.arange(12, dtype=np.int64)[::-2]).tolist() == [11, 9, 7, 5, 3, 1]


@pytest.mark.parametrize(
    ("dtype", "expected"), [("float32", torch.float32), (">i2", torch.int16), ("bool", torch.bool)]
)
def test_types_are_named_as_torch_does(dtype: str, expected: torch.dtype) -> None:
    assert torch_type(np.zeros(1, dtype=dtype)) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 200])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.5, 1.0])
def test_positions(kind: Any, size: int, share: float) -> None:
    mask = np.random.default_rng(size).random(size) < share
    expected = [i for i in range(size) if mask[i]]
    assert positions(kind(mask)).tolist() == expected


def test_positions_of_a_part_of_an_array() -> None:
    mask = np.zeros(400, dtype=bool)
    mask[[3, 100, 101, 399]] = True
    assert positions(mask[3:]).tolist() == [0, 97, 98, 396]


@pytest.mark.parametrize("kind", KINDS)
def test_histogram_full_and_fill(kind: Any) -> None:
    labels = kind(np.array([2, 0, 2], dtype=np.uint8))
    assert histogram(labels, 4).tolist() == [1, 0, 2, 0]
    assert histogram(labels, 4, kind([5, 6, 7])).tolist() == [6, 0, 12, 0]
    assert histogram(labels, 3, kind([True, False, True])).tolist() == [0, 0, 2]
    assert str(histogram(labels, 3, kind([1, 1, 1])).dtype).endswith("int64")
    array = full((2, 2), 7, "int16", like=labels)
    fill(array, array > 6, 1)
    assert cast(array, "int64").tolist() == [[1, 1], [1, 1]]
