"""weights/checkpointer.py: weights come under a network's names, enough of them, or not at all."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.weights.checkpointer import Checkpointer, WholeCheckpointer, placed


class Network(nn.Module):
    """A body of four tensors and a head of two, which is as wide as asked for."""

    def __init__(self, width: int = 3, inner: int = 2) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, inner), nn.Linear(inner, 2))
        self.sem_seg_head = nn.Linear(2, width)


def arrays(network: nn.Module) -> dict[str, object]:
    return {name: weight.numpy() for name, weight in network.state_dict().items()}


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, one.parameters(), other.parameters()))


def prefixed(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: weight for name, weight in network.state_dict().items()}


def zoo(content, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


SAVED = {
    "train_net.pth": lambda n, path: torch.save({"model": n.state_dict(), "iteration": 3}, path),
    "compiled.pth": lambda n, path: torch.save(prefixed("module._orig_mod.", n), path),
    "lightning.ckpt": lambda n, path: torch.save(
        {"state_dict": {**prefixed("model.", n), "criterion.weight": torch.ones(3)}}, path
    ),
    "ema.pth": lambda n, path: torch.save(
        {"model_ema": {**prefixed("module.", n), "n_averaged": torch.tensor(3)}}, path
    ),
    "n.safetensors": lambda n, path: save_file(n.state_dict(), path),
    "heuristics.pkl": lambda n, path: zoo(
        {"model": arrays(n), "__author__": "Zoo", "matching_heuristics": True}, path
    ),
}


@pytest.mark.parametrize("name", SAVED)
def test_all_weights_are_loaded(tmp_path, name):
    source, network = Network(), Network()
    SAVED[name](source, tmp_path / name)
    assert not same(source, network)
    WholeCheckpointer(network).load(str(tmp_path / name))
    assert same(source, network)


@pytest.mark.parametrize(
    "names, ours",
    [
        (["module.model.a.w"], ["a.w"]),
        (["conv1.w", "bn1.w"], ["backbone.network.conv1.w", "backbone.network.bn1.w", "head.w"]),
        (["encoder.conv1.w", "decoder.w"], ["backbone.conv1.w"]),
        (["model.res2.w"], ["backbone.bottom_up.res2.w", "backbone.fpn.w"]),
        (["model.a.w"], ["backbone.model.a.w"]),  # a wrapper's name that is the network's own
    ],
)
def test_names_are_placed_where_most_of_them_fit(names, ours):
    state = {name: torch.tensor(float(place)) for place, name in enumerate(names)}
    found = placed(state, dict.fromkeys(ours, torch.zeros(())))
    assert found.keys() & set(ours) == set(ours[: len(found.keys() & set(ours))])
    assert list(found.values()) == list(state.values()) and found.keys() & set(ours)


def test_blobs_of_caffe2_get_detectron2s_names(tmp_path):
    class Stem(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Module()
            self.backbone.stem = nn.Module()
            self.backbone.stem.conv1 = nn.Conv2d(1, 2, 1, bias=False)

    network, blob = Stem(), torch.rand(2, 1, 1, 1)
    zoo({"conv1_w": blob.numpy(), "conv1_w_momentum": blob.numpy()}, tmp_path / "R-50.pkl")
    Checkpointer(network).load(str(tmp_path / "R-50.pkl"))
    assert torch.equal(network.backbone.stem.conv1.weight, blob)


@pytest.mark.parametrize("source", [Network(4), Network().backbone], ids=["classes", "no head"])
def test_a_start_may_lack_the_head(tmp_path, source):
    network = Network()
    head = network.sem_seg_head.weight.clone()
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    Checkpointer(network).load(str(tmp_path / "weights.pth"))
    assert same(getattr(source, "backbone", source), network.backbone)
    assert torch.equal(network.sem_seg_head.weight, head)


def test_what_a_start_lacks_is_said(tmp_path, caplog):
    torch.save({**Network(4).state_dict(), "other": torch.ones(1)}, tmp_path / "weights.pth")
    Checkpointer(Network()).load(str(tmp_path / "weights.pth"))
    assert "'sem_seg_head.weight' to the model due to incompatible shapes: (4, 2)" in caplog.text
    assert "not found in the checkpoint:\nsem_seg_head.{bias, weight}" in caplog.text
    assert "not used by the model:\n  other" in caplog.text


@pytest.mark.parametrize(
    "source, words",
    [
        (Network().sem_seg_head, "0 of the 4"),
        (Network(inner=5), r"1 of the 4 .*needs .*\(2, 2\).* file has .*0\.weight \(5, 2\)"),
        (nn.Sequential(Network().backbone[0]), "2 of the 4 required tensors are in the"),
    ],
    ids=["the head", "other shapes", "half"],
)
def test_a_start_of_another_network_is_refused(tmp_path, source, words):
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    network, before = Network(), Network()
    before.load_state_dict(network.state_dict())
    with pytest.raises(
        ConfigError, match=rf"weights\.pth: the weights are of another network: {words}"
    ):
        Checkpointer(network).load(str(tmp_path / "weights.pth"))
    assert same(network, before)
