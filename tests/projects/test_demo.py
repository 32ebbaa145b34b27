"""demo.py as a user runs it: files, directories and patterns in, overlays and label files out."""

from __future__ import annotations

import re
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


def sizes(output: Path) -> list[tuple[int, int]]:
    return [detection_utils.read_image(str(output / name)).shape[1::-1] for name in written(output)]


def both(*stems: str) -> list[str]:
    return sorted(f"{stem}_{kind}.png" for stem in stems for kind in ("labels", "overlay"))


STEMS = ("test_00000", "test_00001", "test_00002")


# --- what is written ---


def test_it_writes_an_overlay_and_labels_for_every_image(demo, images, tmp_path):
    run = demo(images).assert_ok()
    assert written(tmp_path / "out") == both(*STEMS)
    assert f"3 of 3 images are in {tmp_path / 'out'}" in run.stdout
    assert "Warning" not in run.stderr


def test_files_and_patterns_are_inputs_too_and_each_counts_once(demo, images, tmp_path):
    demo(images / "test_00001.jpg", f"{images}/*1.jpg", f"{images}/*2.jpg").assert_ok()
    assert written(tmp_path / "out") == both("test_00001", "test_00002")


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


@pytest.mark.parametrize(
    "mode, suffix", [("L", "png"), ("RGBA", "png"), ("P", "png"), ("CMYK", "jpg")]
)
def test_images_of_any_mode_and_size(demo, images, tmp_path, mode, suffix):
    path = tmp_path / f"odd.{suffix}"
    with Image.open(images / "test_00000.jpg") as image:
        image.resize((51, 33)).convert(mode).save(path)
    demo(path).assert_ok()
    assert sizes(tmp_path / "out") == [(51, 33)] * 2


def test_an_image_is_turned_as_its_camera_says(demo, images, tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(images / "test_00000.jpg") as image:
        image.save(path, exif=exif)
    demo(path).assert_ok()
    assert sizes(tmp_path / "out") == [(48, 64)] * 2


# --- what a user may get wrong ---


def test_unreadable_images_are_named_and_the_others_done(demo, images, tmp_path):
    (images / "a.jpg").write_text("no image")
    (images / "z.png").write_bytes((images / "test_00000.jpg").read_bytes()[:300])
    run = demo(images)
    refusal = run.refusal()
    lines = refusal.splitlines()
    assert lines[0] == "error: these images cannot be read:" and len(lines) == 3
    unreadable = f"  cannot read image {images}"
    assert lines[1].startswith(f"{unreadable}/a.jpg: not an image of a known format; restore")
    assert lines[2].startswith(f"{unreadable}/z.png: ") and "truncated" in lines[2].lower()
    assert "3 of 5 images" in run.stdout
    assert written(tmp_path / "out") == both(*STEMS)


def test_inputs_that_are_not_there_are_all_named_before_anything_is_done(demo, images, tmp_path):
    (tmp_path / "empty").mkdir()
    text = demo(images, "none.jpg", f"{images}/*.gif", tmp_path / "empty").refusal()
    assert f"none.jpg, {images}/*.gif, {tmp_path / 'empty'}" in text
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused(demo, images, tmp_path):
    (tmp_path / "file").write_text("mine")
    text = demo(images, output=tmp_path / "file").refusal()
    assert "file is a file; name a directory" in text
    assert (tmp_path / "file").read_text() == "mine"


def test_two_images_of_one_name_are_refused(demo, images, tmp_path):
    (tmp_path / "more").mkdir()
    other = Path(shutil.copy(images / "test_00000.jpg", tmp_path / "more"))
    text = demo(images, other).refusal()
    assert str(images / "test_00000.jpg") in text and f"{other} would both become" in text


def test_an_input_is_never_written_over(demo, images):
    path = Path(shutil.copy(images / "test_00000.jpg", images / "test_00000_labels.png"))
    before = path.read_bytes()
    text = demo(images, output=images).refusal()
    assert f"{path}, which is an input" in text
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "options, words",
    [
        (("MODEL.WEIGHTS", ""), "no weights to predict with: add --opts MODEL.WEIGHTS"),
        (("MODEL.WEIGHTS", "none.pth"), "none.pth does not exist"),
        (("DATASETS.TEST", "('shape',)"), r"DATASETS.TEST must name a known .*'shape'"),
        (("DATASETS.TEST", "('camvid_sem_seg_val',)"), "7 classes.* 11 "),
        (("MODEL.SEM_SEG_HEAD.ASPP_CHANNELS", 4), "not those of this network: .*in the file.*here"),
        (("MODEL.BACKBONE.NAMES", 4), r"MODEL\.BACKBONE\.NAME"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_mistake_in_the_options_is_one_line(demo, images, tmp_path, options, words):
    text = demo(images, options=options).refusal()
    assert text.count("\n") == 1
    assert re.search(words, text), text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_said(demo, images):
    text = demo(images, options=("MODEL.DEVICE", "cuda")).refusal()
    assert "PyTorch sees 0 CUDA devices here; set MODEL.DEVICE cpu" in text


def test_an_alpha_out_of_range_is_refused(demo, images):
    text = demo(images, arguments=("--alpha", 2)).refusal()
    assert "expected a share in [0, 1], got 2" in text
