"""The drawn images: the same bytes every time, and what they are to hold."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch

from rl.proxies.shape_images import CLASSES, VERSION, VOID, draw_sample
from rl.proxies.shape_network import SIDE, TRAIN, VALIDATION, image_sets


@pytest.fixture(scope="module")
def labels() -> Any:
    """Labels of 60 images of 96 x 128, (N, H, W)."""
    return np.stack([draw_sample(96, 128, [0, 0, index])[1] for index in range(60)])


def test_pixels_have_not_changed() -> None:
    # Made with VERSION 1. When a pixel changes on purpose, raise VERSION and renew the digests.
    image, label = draw_sample(96, 128, [0, 0, 0])
    assert VERSION == 1 and image.dtype == label.dtype == np.uint8
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == "8cbaabad7edaac75"
    assert hashlib.sha256(label.tobytes()).hexdigest()[:16] == "64e8a18a17b42690"


def test_frequencies_differ_by_orders_of_magnitude(labels: Any) -> None:
    assert set(np.unique(labels).tolist()) == {*range(len(CLASSES)), VOID}
    share = np.bincount(labels.ravel(), minlength=256) / labels.size
    assert 0.7 < share[0] < 0.9  # background
    assert share[1] > 0.04 and share[2] > 0.04  # large and common
    assert 0.002 < share[5] < 0.02  # tiny
    assert share[6] < 0.006  # rare and small
    assert 0.01 < share[VOID] < 0.05
    assert 0.08 < (labels == 6).any((1, 2)).mean() < 0.2


def test_the_sets_of_the_proxy_are_disjoint_and_have_every_class() -> None:
    train, validation = image_sets()
    for images, count in ((train, TRAIN), (validation, VALIDATION)):
        assert images.pixels.shape == (count, 3, SIDE, SIDE)
        assert images.pixels.dtype == torch.float32 and images.labels.dtype == torch.int64
        assert images.pixels.std() == pytest.approx(0.8, abs=0.3)
        assert set(images.labels.unique().tolist()) == {*range(len(CLASSES)), VOID}
    same = (train.pixels[:, None] == validation.pixels[None]).flatten(2).all(dim=2)
    assert not same.any()
