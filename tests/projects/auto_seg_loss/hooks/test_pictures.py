"""hooks/pictures.py: sample predictions. The figure of a loss: ../../test_train_net.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.utils.events import EventStorage
from PIL import Image

from auto_seg_loss.hooks.pictures import SamplePictures
from auto_seg_loss.visualize import BOTH, overlay

COLOURS = [[0, 0, 0], [255, 0, 0], [0, 0, 255]]
RULE = {"num_classes": 3, "ignore_label": 9}


@pytest.fixture(autouse=True)
def colours():
    MetadataCatalog.get("set").set(stuff_colors=COLOURS)
    yield
    MetadataCatalog.remove("set")


@pytest.fixture
def dicts(tmp_path):
    """Six grey images of 12x20 whose left half is class 0, the right 1, the last row void (9)."""
    label = np.zeros((12, 20), np.uint8)
    label[:, 10:], label[-1] = 1, 9
    Image.fromarray(label).save(tmp_path / "label.png")
    records = []
    for index in range(6):
        path = tmp_path / f"image{index}.png"
        Image.fromarray(np.full((12, 20, 3), 100, np.uint8)).save(path)
        records.append({"file_name": str(path), "sem_seg_file_name": str(tmp_path / "label.png")})
    return records


def shown(evaluator, dicts, label=1):
    """Tag -> (H, W, 3) of what an evaluation that predicts one class everywhere puts."""
    evaluator.reset()
    logits = torch.zeros(3, 12, 20)
    logits[label] = 1
    with EventStorage(5) as storage:
        for item in dicts:
            evaluator.process([item], [{"sem_seg": logits}])
        assert evaluator.evaluate() is None
        assert all(step == 5 for _, _, step in storage._vis_data)
        return {name: image.transpose(1, 2, 0) for name, image, _ in storage._vis_data}


def test_the_same_images_every_time(dicts):
    evaluator = SamplePictures(dicts, "set", 3, RULE)
    tags = ["samples/set/image0", "samples/set/image2", "samples/set/image4"]
    assert list(shown(evaluator, dicts)) == list(shown(evaluator, dicts[::-1])) == tags


def test_a_picture_is_image_truth_prediction_and_edges(dicts):
    (picture,) = shown(SamplePictures(dicts, "set", 1, RULE), dicts).values()
    image, truth, prediction, edges = (picture[:, i * 24 : i * 24 + 20] for i in range(4))
    assert picture.shape == (12, 4 * 20 + 3 * 4, 3)
    assert (image == 100).all()
    label = np.zeros((12, 20), np.uint8)
    label[:, 10:], label[-1] = 1, 255
    np.testing.assert_array_equal(truth, overlay(image, label, COLOURS))
    np.testing.assert_array_equal(prediction, overlay(image, np.ones_like(label), COLOURS))
    assert (edges[:-1, 9:11] == (0, 255, 0)).all()  # the truth's edge is missed
    assert not (edges == BOTH).all(-1).any()
