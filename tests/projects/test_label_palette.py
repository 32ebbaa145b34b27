"""Labels of colours, as a user trains with them."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from auto_seg_loss.data.builtin_datasets import SETS

PALETTE = [[*colour, index] for index, colour in enumerate(SETS["shapes"].classes.values())]
PALETTE.append([224, 224, 192, 255])  # void in VOC's palette


@pytest.fixture
def coloured(shapes_root, tmp_path):
    """A copy of the data set whose labels are RGB."""
    root = tmp_path / "datasets"
    shutil.copytree(shapes_root, root)
    for path in (root / "shapes" / "SegmentationClass").glob("*.png"):
        with Image.open(path) as picture:
            colours = picture.convert("RGB")
        colours.save(path)
    return root


def scores(output):
    """The scores that a training has put down last."""
    *_, last = (output / "metrics.json").read_text().splitlines()
    return {key: value for key, value in json.loads(last).items() if key.startswith("sem_seg/")}


def test_a_palette_gives_the_scores_of_indices(scripts, tiny_config, coloured, tmp_path):
    def train(name, *options, **settings):
        output = ["OUTPUT_DIR", str(tmp_path / name), "SOLVER.MAX_ITER", "2", "SEED", "1"]
        return scripts.run(
            "train_net.py", "--config-file", tiny_config, *output, *options, **settings
        )

    palette = ("INPUT.LABEL_PALETTE", str(PALETTE))
    train("colours", *palette, DETECTRON2_DATASETS=str(coloured)).assert_ok()
    train("indices").assert_ok()
    assert scores(tmp_path / "colours") == scores(tmp_path / "indices")
    assert scores(tmp_path / "colours")["sem_seg/mIoU"] > 0
