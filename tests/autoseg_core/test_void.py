"""Void labels: one or several, of Python, NumPy or torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autoseg_core.void import void_labels


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
