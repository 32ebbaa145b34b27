"""Small networks of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_networks import PARAMETERS, small_network
from torch import nn

CONFIGS = Path(__file__).parents[4] / "projects" / "AutoSegLoss" / "configs"


@pytest.fixture(params=PARAMETERS)
def network_name(request: pytest.FixtureRequest) -> str:
    """Name of each small network in turn."""
    return str(request.param)


@pytest.fixture
def make_network(network_name: str) -> Callable[..., nn.Module]:
    """``make_network(KEY, VALUE, ...)``: the network in turn, with weights of seed 0."""
    from detectron2.modeling import build_model

    from auto_seg_loss.runtime.configs import load_config

    def make(*options: Any) -> nn.Module:
        torch.manual_seed(0)
        pairs = small_network(network_name) + [str(option) for option in options]
        return build_model(load_config(str(CONFIGS / "shapes" / "Base-Shapes.yaml"), pairs))

    return make


def batch_of(images: int = 2, height: int = 64, width: int = 64) -> list[dict[str, Any]]:
    """Noise with labels in vertical stripes of seven classes."""
    generator = torch.Generator().manual_seed(0)
    size = (images, 3, height, width)
    pictures = torch.randint(256, size, generator=generator, dtype=torch.uint8)
    labels = (torch.arange(width) // 8 % 7).expand(height, width)
    return [
        {"image": picture, "sem_seg": labels.clone(), "height": height, "width": width}
        for picture in pictures
    ]


@pytest.fixture
def make_batch() -> Callable[..., list[dict[str, Any]]]:
    """``make_batch(images, height, width)``: see ``batch_of``."""
    return batch_of
