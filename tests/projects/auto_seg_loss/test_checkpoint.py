"""checkpoint.py: a network to be used as it is gets all of its weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from auto_seg_loss.checkpoint import WholeCheckpointer
from auto_seg_loss.preflight import ConfigError


class Network(nn.Module):
    """Two layers; ``head`` is as wide as asked for."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, width)


@pytest.fixture
def saved(tmp_path):
    """``saved(network, without=...)``: the path of its weights, but for those so named."""

    def save(network: nn.Module, without: str = "nothing") -> str:
        state = {name: w for name, w in network.state_dict().items() if without not in name}
        torch.save({"model": state}, tmp_path / "weights.pth")
        return str(tmp_path / "weights.pth")

    return save


def test_all_weights_are_loaded(saved):
    source, network = Network(), Network()
    WholeCheckpointer(network).load(saved(source))
    assert all(map(torch.equal, network.parameters(), source.parameters()))


def test_further_weights_do_not_matter(saved):
    source, network = Network(), Network()
    source.auxiliary = nn.Linear(1, 1)
    WholeCheckpointer(network).load(saved(source))
    assert torch.equal(network.head.weight, source.head.weight)


@pytest.mark.parametrize(
    "source, without, words",
    [
        (Network(), "head.bias", "head.bias is not in the file"),
        (Network(), "head", "head.weight is not in the file, head.bias is not in the file"),
        (Network(4), "nothing", r"head.weight is \(4, 2\) in the file, \(3, 2\) here"),
        (nn.Linear(1, 1), "nothing", r"not in the file, .* and 1 more"),
    ],
    ids=["a weight", "a head", "another shape", "everything"],
)
def test_missing_weights_are_an_error(saved, source, without, words):
    with pytest.raises(ConfigError, match=f"not those of this network.*{words}.*give the config"):
        WholeCheckpointer(Network()).load(saved(source, without))
