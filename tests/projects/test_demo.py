"""demo.py as a user runs it: files, directories and patterns in, overlays and label files out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import detection_utils
from PIL import Image

from auto_seg_loss.data import read_label
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
    """``demo(input, ..., output=...)`` with the tiny network's weights and no data set at all."""

    def run(*inputs, output=tmp_path / "out", options=(), arguments=()):
        return scripts.run(
            *("demo.py", "--config-file", tiny_config, "--input", *inputs, "--output", output),
            *(*arguments, "--opts", "MODEL.WEIGHTS", weights, *options),
            DETECTRON2_DATASETS=str(tmp_path / "nowhere"),
        )

    return run


def written(output: Path) -> list[str]:
    return sorted(path.name for path in output.iterdir())


def both(*stems: str) -> list[str]:
    return sorted(f"{stem}_{kind}.png" for stem in stems for kind in ("labels", "overlay"))


STEMS = ("test_00000", "test_00001", "test_00002")


# --- what is written ---


def test_labels_are_those_of_the_evaluation(demo, images, make_cfg, shapes, weights, tmp_path):
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.data import DatasetCatalog
    from detectron2.modeling import build_model

    from auto_seg_loss.evaluation import build_test_loader

    demo(images).assert_ok()
    cfg = make_cfg()
    model = build_model(cfg).eval()
    DetectionCheckpointer(model).load(str(weights))
    dicts = DatasetCatalog.get("shapes_sem_seg_test")
    with torch.no_grad():
        for (item,) in build_test_loader(cfg, dicts):
            expected = model([item])[0]["sem_seg"].argmax(0).numpy()
            path = tmp_path / "out" / f"{Path(item['file_name']).stem}_labels.png"
            found = read_label(path, num_classes=7, ignore_label=255)
            np.testing.assert_array_equal(found, expected)
    assert len(np.unique(expected)) > 1


def test_pictures_show_the_data_sets_colours(demo, images, tmp_path):
    from detectron2.data import MetadataCatalog

    demo(images / "test_00000.jpg", arguments=("--alpha", 0.25)).assert_ok()
    colours = MetadataCatalog.get("shapes_sem_seg_test").stuff_colors
    with Image.open(tmp_path / "out" / "test_00000_labels.png") as picture:
        assert picture.mode == "P"
        assert picture.getpalette()[:21] == np.array(colours).ravel().tolist()
        labels = np.asarray(picture)
    image = detection_utils.read_image(str(images / "test_00000.jpg"), "RGB")
    drawn = detection_utils.read_image(str(tmp_path / "out" / "test_00000_overlay.png"), "RGB")
    np.testing.assert_array_equal(drawn, overlay(image, labels, colours, 0.25))


# --- what a user may get wrong ---


def test_unreadable_images_are_named_and_the_others_done(demo, images, tmp_path):
    (images / "a.jpg").write_text("no image")
    (images / "z.png").write_bytes((images / "test_00000.jpg").read_bytes()[:300])
    run = demo(images)
    refusal = run.refusal()
    lines = refusal.splitlines()
    assert lines[0] == "error: these images cannot be read:" and len(lines) == 3
    unreadable = f"  cannot read image {images}"
    assert lines[1].startswith(f"{unreadable}/a.jpg: not an image of a known format")
    assert lines[2].startswith(f"{unreadable}/z.png: ") and "truncated" in lines[2].lower()
    assert "3 of 5 images" in run.stdout
    assert written(tmp_path / "out") == both(*STEMS)
