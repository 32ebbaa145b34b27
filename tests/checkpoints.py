"""Checkpoints of trainings, to compare bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def content_of(path: Path) -> dict[str, Any]:
    """A checkpoint, but for the state of the scheduler, which also counts its calls."""
    content: dict[str, Any] = torch.load(path, weights_only=True)
    del content["trainer"]["hooks"]
    return content


def weights_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of its state, but for what its loss keeps."""
    state = network.state_dict()
    return {key: value.clone() for key, value in state.items() if ".loss." not in key}


def equal(one: Any, other: Any) -> bool:
    """Whether two trees hold the same, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)
