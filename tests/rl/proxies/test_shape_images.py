"""The generated images: fixed, disjoint, and with every class in both sets."""

from __future__ import annotations

import pytest
import torch

from rl.proxies.shape_images import CLASSES, SIDE, TRAIN, VALIDATION, VOID, image_sets


def test_shapes_types_and_ranges() -> None:
    for images, count in zip(image_sets(), (TRAIN, VALIDATION), strict=True):
        assert images.pixels.shape == (count, 3, SIDE, SIDE)
        assert images.pixels.dtype == torch.float32
        assert images.labels.shape == (count, SIDE, SIDE)
        assert images.labels.dtype == torch.int64
        assert images.pixels.std() == pytest.approx(0.8, abs=0.3)


def test_every_class_and_void_occur_and_background_rules() -> None:
    for images in image_sets():
        assert set(images.labels.unique().tolist()) == {*range(len(CLASSES)), VOID}
        share = [float((images.labels == c).float().mean()) for c in range(len(CLASSES))]
        assert share[0] > 0.6
        assert sorted(share, reverse=True) == share  # from frequent to rare


def test_no_validation_image_is_trained_on() -> None:
    train, validation = image_sets()
    same = (train.pixels[:, None] == validation.pixels[None]).flatten(2).all(dim=2)
    assert not same.any()


def test_made_again_they_are_the_same() -> None:
    again = image_sets.__wrapped__()
    for images, others in zip(image_sets(), again, strict=True):
        assert torch.equal(images.pixels, others.pixels)
        assert torch.equal(images.labels, others.labels)
