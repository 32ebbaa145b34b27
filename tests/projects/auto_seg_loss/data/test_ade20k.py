"""auto_seg_loss.data.ade20k: our entries in place of Detectron2's, on a tree as prepared."""

from __future__ import annotations

import numpy as np
import prepare_ade20k
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from trees import ADE20K, label_of, make_ade20k

from auto_seg_loss.data import read_label, verify_dataset

NAMES = {"training": "ade20k_sem_seg_train", "validation": "ade20k_sem_seg_val"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", NAMES.values())
def test_the_sets_are_registered_with_colours(name):
    metadata = MetadataCatalog.get(name)
    assert len(metadata.stuff_classes) == 150
    assert len({tuple(colour) for colour in metadata.stuff_colors}) == 150
    assert metadata.stuff_classes[:3] == ["wall", "building", "sky"]
    assert (metadata.ignore_label, metadata.evaluator_type) == (255, "sem_seg")


@pytest.mark.parametrize("split", NAMES)
def test_the_script_makes_what_is_read(root, split):
    make_ade20k(root)
    words = r"annotations_detectron2.*made by: python datasets/prepare_ade20k\.py --root "
    with pytest.raises(FileNotFoundError, match=words):
        DatasetCatalog.get(NAMES[split])
    assert prepare_ade20k.main(["--root", str(root), "--partial", "--workers", "1"]) == 0
    pairs = DatasetCatalog.get(NAMES[split])
    assert [pair["image_id"] for pair in pairs] == ADE20K[split]
    verify_dataset(split, pairs)
    for index, pair in enumerate(pairs):
        source = label_of(pair["image_id"], (32 + 8 * index, 48), range(151)).astype(int)
        label = read_label(pair["sem_seg_file_name"], num_classes=150, ignore_label=255)
        np.testing.assert_array_equal(label, np.where(source == 0, 255, source - 1))
