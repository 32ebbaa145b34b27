"""checkpoints.py: checkpoints are whole, and the one to go on from is found."""

from __future__ import annotations

import os
import random
import resource

import pytest
import torch
from torch import nn

from auto_seg_loss.runtime.checkpoints import TrainingCheckpointer, latest_checkpoint
from auto_seg_loss.runtime.errors import ConfigError


@pytest.fixture
def checkpointer(tmp_path) -> TrainingCheckpointer:
    return TrainingCheckpointer(nn.Linear(20, 1000), str(tmp_path))


def test_a_checkpoint_is_found_with_all_that_is_in_it(checkpointer, tmp_path):
    checkpointer.save("model_0000004", iteration=4)
    path = latest_checkpoint(tmp_path)
    assert path == tmp_path / "model_0000004.pth"
    content = torch.load(path, weights_only=True)
    assert content.keys() == {"model", "random", "iteration"} and content["iteration"] == 4
    (states,) = content["random"]
    assert tuple(states["python"][1]) == random.getstate()[1]
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_a_full_disk_leaves_the_last_checkpoint_and_names_the_path(checkpointer, tmp_path):
    checkpointer.save("model_0000004")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*model_0000009\.pth'"):
            checkpointer.save("model_0000009")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert latest_checkpoint(tmp_path) == tmp_path / "model_0000004.pth"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model_0000004.pth", "last_checkpoint"}


@pytest.mark.parametrize("text", [None, b"\xff\xfe\x00", b"model_0000019.pth"])
def test_else_the_newest_whole_one_of_this_training(tmp_path, text, caplog):
    for age, name in enumerate(["model_final.pth", "run.json", "model_0000009.pth", "other.pth"]):
        torch.save({}, tmp_path / name)
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    flipped = (tmp_path / "model_0000009.pth").read_bytes().replace(b"}q", b"}r")  # of data.pkl
    (tmp_path / "model_0000019.pth").write_bytes(flipped)
    if text is not None:
        (tmp_path / "last_checkpoint").write_bytes(text)
    assert latest_checkpoint(tmp_path) == tmp_path / "model_0000009.pth"
    assert "names no whole checkpoint; continuing from the newest" in caplog.text
    (tmp_path / "model_0000009.pth").unlink()  # that of an earlier training does not count
    (tmp_path / "last_checkpoint").write_text("model_0000009.pth")
    with pytest.raises(ConfigError, match="there is no other checkpoint of this training; start"):
        latest_checkpoint(tmp_path)
