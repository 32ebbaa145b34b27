"""auto_seg_loss.data.cityscapes: our entries in place of Detectron2's, on a tree as downloaded."""

from __future__ import annotations

import numpy as np
import prepare_cityscapes
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from trees import CITYSCAPES, label_of, make_cityscapes, write_label

from auto_seg_loss.data import read_label, verify_dataset

NAMES = {split: f"cityscapes_fine_sem_seg_{split}" for split in CITYSCAPES}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return tmp_path


def put_labels(folder):
    """Training ids beside the annotations, as prepare_cityscapes.py would put them."""
    for split, names in CITYSCAPES.items():
        for name in names:
            path = folder / "gtFine" / split / name.split("_")[0]
            label = label_of(name, (24, 48), [*range(19), 255])
            write_label(path / f"{name}_gtFine_labelTrainIds.png", label)
    return folder


@pytest.mark.parametrize("name", NAMES.values())
def test_the_sets_are_registered_for_our_evaluation(name):
    metadata = MetadataCatalog.get(name)
    assert len(metadata.stuff_classes) == len(metadata.stuff_colors) == 19
    assert (metadata.stuff_classes[0], metadata.stuff_colors[0]) == ("road", [128, 64, 128])
    assert (metadata.stuff_classes[18], metadata.stuff_colors[18]) == ("bicycle", [119, 11, 32])
    assert (metadata.ignore_label, metadata.evaluator_type) == (255, "sem_seg")


@pytest.mark.parametrize("split", CITYSCAPES)
def test_pairs_are_sorted_by_city_sequence_and_frame(root, split):
    folder = put_labels(make_cityscapes(root))
    pairs = DatasetCatalog.get(NAMES[split])
    assert [pair["image_id"] for pair in pairs] == CITYSCAPES[split]
    verify_dataset(split, pairs)
    name = CITYSCAPES[split][0]
    stem = f"{split}/{name.split('_')[0]}/{name}"
    assert pairs[0]["file_name"] == str(folder / f"leftImg8bit/{stem}_leftImg8bit.png")
    label = read_label(pairs[0]["sem_seg_file_name"], num_classes=19, ignore_label=255)
    np.testing.assert_array_equal(label, label_of(name, (24, 48), [*range(19), 255]))


def test_the_script_makes_what_is_read(root):
    pytest.importorskip("cityscapesscripts", reason="needs the extra [datasets]")
    make_cityscapes(root)
    words = r"3 images and labels .*do not pair up.*python datasets/prepare_cityscapes\.py --root "
    with pytest.raises(FileNotFoundError, match=words):
        DatasetCatalog.get(NAMES["train"])
    assert prepare_cityscapes.main(["--root", str(root), "--partial", "--workers", "1"]) == 0
    pairs = DatasetCatalog.get(NAMES["train"])
    verify_dataset("train", pairs)
    for pair in pairs:
        read_label(pair["sem_seg_file_name"], num_classes=19, ignore_label=255)


def test_missing_images_and_a_missing_set(root):
    with pytest.raises(FileNotFoundError, match=r"cityscapes is no directory .*leftImg8bit/, gtF"):
        DatasetCatalog.get(NAMES["val"])
    folder = put_labels(make_cityscapes(root))
    for path in (folder / "leftImg8bit" / "val").rglob("*.png"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no images like .*val/<city>/\*_leftImg8bit\.png"):
        DatasetCatalog.get(NAMES["val"])
