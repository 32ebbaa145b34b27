"""Void labels: one or several, of Python or NumPy, and what masks hide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autoseg_core.void import valid_pixels, void_labels, with_one_void


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (255, (255,)),
        (-1, (-1,)),
        (np.int64(255), (255,)),
        (np.uint8(7), (7,)),
        (np.array(7), (7,)),
        (torch.tensor(3), (3,)),
        ([254, 255], (254, 255)),
        ((np.int16(-1), 255), (-1, 255)),
        (np.array([0, 255]), (0, 255)),
    ],
    ids=repr,
)
def test_any_whole_numbers_are_labels(given: Any, labels: tuple[int, ...]) -> None:
    assert void_labels(given) == labels
    assert all(type(label) is int for label in void_labels(given))


def test_several_become_the_first() -> None:
    target = torch.tensor([[0, 254], [255, 253]])
    assert with_one_void(target, (254, 255)).tolist() == [[0, 254], [254, 253]]
    assert with_one_void(target, (254,)) is target


def test_what_is_masked_is_void() -> None:
    labels = np.array([[0, 1], [255, 7]])
    masked = np.ma.masked_equal(labels, 1)
    valid = valid_pixels(torch.from_numpy(labels), (255, 7), labels, masked)
    assert valid.tolist() == [[True, False], [False, False]]
