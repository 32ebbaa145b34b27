"""demo.py as a user runs it: files, directories and patterns in, overlays and label files out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.detection_utils import read_image
from detectron2.modeling import build_model
from PIL import Image

from auto_seg_loss.data import read_label
from auto_seg_loss.evaluation import build_test_loader
from auto_seg_loss.visualize import overlay


@pytest.fixture
def images(shapes_root, tmp_path) -> Path:
    """A directory of three images; DETECTRON2_DATASETS is not looked at."""
    directory = tmp_path / "images"
    directory.mkdir()
    for path in sorted((shapes_root / "shapes" / "JPEGImages").glob("test_*.jpg")):
        shutil.copy(path, directory)
    return directory


@pytest.fixture
def demo(scripts, tiny_config, weights, tmp_path):
    """``demo(input, ...)`` with the tiny network's weights and no data set at all."""

    def run(*inputs, arguments=()):
        files = ("--input", *inputs, "--output", tmp_path / "out")
        return scripts.run(
            *("demo.py", "--config-file", tiny_config, *files, *arguments),
            *("--opts", "MODEL.WEIGHTS", weights),
            DETECTRON2_DATASETS=str(tmp_path / "nowhere"),
        )

    return run


def test_labels_are_those_of_the_evaluation_in_the_data_sets_colours(
    demo, images, make_cfg, shapes, weights, tmp_path
):
    demo(images, arguments=("--alpha", 0.25)).assert_ok()
    cfg, output = make_cfg(), tmp_path / "out"
    model = build_model(cfg).eval()
    DetectionCheckpointer(model).load(str(weights))
    colours = MetadataCatalog.get("shapes_sem_seg_test").stuff_colors
    for (item,) in build_test_loader(cfg, DatasetCatalog.get("shapes_sem_seg_test")):
        with torch.no_grad():
            expected = model([item])[0]["sem_seg"].argmax(0).numpy()
        name = Path(item["file_name"]).stem
        found = read_label(output / f"{name}_labels.png", num_classes=7, ignore_label=255)
        np.testing.assert_array_equal(found, expected)
        with Image.open(output / f"{name}_labels.png") as picture:
            assert picture.mode == "P"
            assert picture.getpalette()[:21] == np.array(colours).ravel().tolist()
        image = read_image(item["file_name"], "RGB")
        drawn = read_image(str(output / f"{name}_overlay.png"), "RGB")
        np.testing.assert_array_equal(drawn, overlay(image, expected, colours, 0.25))
    assert len(np.unique(expected)) > 1


def test_unreadable_images_are_named_and_the_others_done(demo, images, tmp_path):
    (images / "a.jpg").write_text("no image")
    (images / "z.png").write_bytes((images / "test_00000.jpg").read_bytes()[:300])
    run = demo(images)
    lines = run.refusal().splitlines()
    assert lines[0] == "error: these images cannot be read:" and len(lines) == 3
    unreadable = f"  cannot read image {images}"
    assert lines[1].startswith(f"{unreadable}/a.jpg: not an image of a known format")
    assert lines[2].startswith(f"{unreadable}/z.png: ") and "truncated" in lines[2].lower()
    assert "3 of 5 images" in run.stdout
    kinds = [
        f"test_0000{number}_{kind}.png" for number in range(3) for kind in ("labels", "overlay")
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == kinds
