"""Counts and pictures of several processes are those of one with all images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import Metadata
from detectron2.utils.events import EventStorage
from PIL import Image

from auto_seg_loss.hooks import SamplePictures
from auto_seg_loss.hooks.counts import batch_scores
from autoseg_core import load_loss

HELPER = Path(__file__).parents[2] / "helpers" / "two_processes_hooks.py"


@pytest.fixture
def case(tmp_path):
    """Four images of 6x8, their labels of classes 0 .. 2, and logits."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(3, (4, 6, 8), generator=generator)
    dicts = []
    for index, label in enumerate(target):
        paths = [str(tmp_path / f"{kind}{index}.png") for kind in ("image", "label")]
        Image.fromarray(np.full((6, 8, 3), 50, np.uint8)).save(paths[0])
        Image.fromarray(label.numpy().astype(np.uint8)).save(paths[1])
        dicts.append(dict(zip(("file_name", "sem_seg_file_name"), paths, strict=True)))
    logits = torch.randn(4, 3, 6, 8, generator=generator)
    return {"dicts": dicts, "logits": logits, "target": target}


def test_two_processes_show_what_one_would(case, tmp_path, scripts):
    torch.save(case, tmp_path / "case.pt")
    scripts.run(str(HELPER), tmp_path).assert_ok()
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    loss = load_loss("voc-miou-bezier")
    ((_, score, counts),) = batch_scores(loss, case["logits"], case["target"])
    torch.testing.assert_close(found["score"], score)
    torch.testing.assert_close(found["counts"], torch.stack(counts.tensors()))
    pictures = SamplePictures(case["dicts"], Metadata(stuff_classes=list("abc")), "set", 2)
    with EventStorage() as storage:
        pictures.process(case["dicts"], [{"sem_seg": one} for one in case["logits"]])
        pictures.evaluate()
    assert list(found["images"]) == ["samples/set/image0", "samples/set/image2"]
    for name, image, _ in storage._vis_data:
        np.testing.assert_array_equal(found["images"][name].numpy(), image)
