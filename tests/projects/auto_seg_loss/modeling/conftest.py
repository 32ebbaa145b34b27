"""Small networks of every kind, from the configs that ship."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

CONFIGS = Path(__file__).parents[4] / "projects" / "AutoSegLoss" / "configs" / "shapes"
TIMM = pytest.mark.skipif(find_spec("timm") is None, reason="needs timm: extra [baselines]")
NETWORKS = {
    "Base-Shapes": (),
    "Base-Shapes-DeepLabV3": (),
    "Base-Shapes-PSPNet": (),
    "Base-Shapes-SemanticFPN": (),
    "Base-Shapes-HRNet": TIMM,
}


@pytest.fixture(params=[pytest.param(name, marks=marks) for name, marks in NETWORKS.items()])
def network_name(request: pytest.FixtureRequest) -> str:
    """Name of each small network's config in turn."""
    return str(request.param)


@pytest.fixture
def make_network(network_name: str) -> Callable[..., nn.Module]:
    """``make_network(KEY, VALUE, ...)``: the network in turn, with weights of seed 0."""
    from detectron2.modeling import build_model

    from auto_seg_loss.preflight import load_config

    def make(*options: Any) -> nn.Module:
        torch.manual_seed(0)
        path = CONFIGS / f"{network_name}.yaml"
        return build_model(load_config(str(path), [str(option) for option in options]))

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
