"""weights/reading.py: what a file holds is told by its bytes, and none of it is executed."""

from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.weights import read_checkpoint

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.steps": torch.tensor(7)}
ARRAYS = {name: tensor.numpy() for name, tensor in STATE.items()}


def old_torch(content, path: Path) -> None:
    """The format of torch.save before PyTorch 1.6."""
    torch.save(content, path, _use_new_zipfile_serialization=False)


def pickled(content, path: Path, protocol: int = 2) -> None:
    path.write_bytes(pickle.dumps(content, protocol))


class Executes:
    """Leaves a file behind when it is unpickled as pickle does it."""

    def __init__(self, path: Path, call) -> None:
        self.call, self.argument = call, f"{path}"

    def __reduce__(self):
        return self.call, (self.argument,)


def same(state) -> bool:
    return state.keys() == STATE.keys() and all(torch.equal(state[n], STATE[n]) for n in STATE)


@pytest.mark.parametrize("save", [torch.save, old_torch])
@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": STATE, "epoch": 3, "callbacks": {"best": torch.tensor(0.5)}},
        {"model": {"state_dict": STATE}},
        {"model": STATE, "model_ema": {"conv.weight": torch.zeros(2, 3)}},
        {**STATE, "note": "not a tensor", 3: 4},
    ],
    ids=lambda content: ",".join(map(str, content)),
)
def test_a_state_dict_may_be_nested(tmp_path, save, content):
    path = tmp_path / "weights.safetensors"  # the suffix says nothing
    save(content, path)
    assert same(read_checkpoint(path)["model"])


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickles_of_the_model_zoo(tmp_path, protocol):
    zoo = {"model": ARRAYS, "__author__": "Zoo", "matching_heuristics": True}
    pickled(zoo, tmp_path / "R-50.pkl", protocol)
    content = read_checkpoint(tmp_path / "R-50.pkl")
    assert same(content.pop("model"))
    assert content == {"__author__": "Zoo", "matching_heuristics": True}


def test_objects_beside_the_weights_are_left_out(tmp_path):
    beside = {"args": argparse.Namespace(lr=1), "path": Path("x"), "best": np.float64(0.5)}
    torch.save({"model": STATE, **beside}, tmp_path / "weights.pth")
    content = read_checkpoint(tmp_path / "weights.pth")
    assert same(content["model"]) and not hasattr(content["args"], "lr")


DAMAGED = "is damaged or not a weight file"


def test_a_flipped_bit_in_a_zip(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(STATE, path)
    data, weight = bytearray(path.read_bytes()), STATE["conv.weight"].numpy().tobytes()
    data[data.index(weight)] ^= 1
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=DAMAGED):
        read_checkpoint(path)


@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
def test_numbers_that_are_not_finite(tmp_path, value):
    save_file({**STATE, "b": torch.tensor([0.0, value])}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match=r"w\.pth holds NaN or infinity, first in b: "):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("version https://git-lfs.github.com"),
        lambda path: torch.save(torch.nn.Linear(1, 1), path),
        Path.touch,
    ],
    ids=["pointer", "module", "empty"],
)
def test_files_of_no_state_dict(tmp_path, write):
    write(tmp_path / "w.pth")
    with pytest.raises(ConfigError, match=rf"w\.pth {DAMAGED}"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("save", [torch.save, old_torch, pickled])
@pytest.mark.parametrize("call", [os.mkdir, eval])
def test_nothing_is_executed(tmp_path, save, call):
    """As the file, as its weights, beside them, and before a zip that a check would look at."""
    mark, path = tmp_path / "executed", tmp_path / "weights.pth"
    argument = {os.mkdir: f"{mark}", eval: f"open('{mark}', 'w')"}
    bad = Executes(argument[call], call)
    state = ARRAYS if save is pickled else STATE
    contents = [bad, {"model": bad}, {"model": state, "args": bad}]
    for content in contents:
        save(content, path)
        try:
            state = read_checkpoint(path)["model"]
            assert same(state) and content is contents[2]
        except ConfigError as error:
            assert str(path) in str(error)
    torch.save(STATE, tmp_path / "tail.zip")
    save(bad, path)
    path.write_bytes(path.read_bytes() + (tmp_path / "tail.zip").read_bytes())
    with pytest.raises(ConfigError):
        read_checkpoint(path)
    assert not mark.exists()
