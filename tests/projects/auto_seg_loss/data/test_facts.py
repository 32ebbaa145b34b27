"""auto_seg_loss.data.facts: metadata of data sets, and the defaults for what they lack."""

from __future__ import annotations

import numpy as np
import pytest
from detectron2.data import MetadataCatalog

from auto_seg_loss.data.facts import colours_of, ignore_label_of, image_name, label_rule


@pytest.fixture
def bare():
    """A data set of 80 classes without further metadata; Detectron2's map has 74 colours."""
    MetadataCatalog.get("bare").set(stuff_classes=[str(number) for number in range(80)])
    yield "bare"
    MetadataCatalog.remove("bare")


def test_defaults_of_a_set_without_metadata(bare, make_cfg):
    assert ignore_label_of(bare) == 255
    colours = colours_of(bare)
    assert colours.shape == (80, 3) and colours.dtype == np.uint8 and colours.max() > 1
    np.testing.assert_array_equal(colours[74:], colours[:6])
    assert len(np.unique(colours[:10], axis=0)) == 10
    rule = label_rule(make_cfg("INPUT.LABEL_PALETTE", [[0, 0, 0, 1]]), [bare], 254)
    assert rule["palette"] == ((0, 0, 0, 1),)
    assert [*rule.values()][:3] == [80, 255, 254]


def test_the_metadata_of_a_set(make_cfg):
    assert ignore_label_of("camvid_sem_seg_val") == 11
    assert colours_of("camvid_sem_seg_val")[5].tolist() == [128, 128, 0]
    assert (
        label_rule(make_cfg(), ["camvid_sem_seg_train", "camvid_sem_seg_val"])["num_classes"] == 11
    )


def test_names_of_nested_images_differ():
    records = [{"file_name": f"/x/i/{key}.jpg", "image_id": key} for key in ("a/1", "b/1", "1")]
    assert [image_name(record) for record in records] == ["a__1", "b__1", "1"]
    assert image_name({"file_name": "/x/7.jpg", "image_id": 3}) == "7"
