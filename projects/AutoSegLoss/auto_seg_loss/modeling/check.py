"""Whether a config's network can be built, before data is read or weights are fetched."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    SEM_SEG_HEADS_REGISTRY,
    build_model,
)
from torch import Tensor, nn


def check_model(cfg: CfgNode) -> None:
    """Refuse a network that cannot be built with a ``ValueError``; the loss is not looked at.

    It is built on the device ``meta``: no memory is taken and nothing is computed or downloaded.
    """
    try:
        _on_meta(cfg)
    except (AssertionError, LookupError, RuntimeError, TypeError) as error:
        # How Detectron2, timm and torch refuse.
        reason = str(error.args[0]) if error.args else type(error).__name__
        raise ValueError(f"MODEL cannot be built: {reason}{_known(reason)}") from error


def check_start(cfg: CfgNode, path: Path) -> None:
    """Refuse weights of another network with a ``ValueError``.

    Detectron2 leaves what does not fit at random, with a line in the log for each: right for the
    few tensors of a last layer with other classes, but else the start is not the one asked for.
    Looked at are files of PyTorch that name tensors as the network does.
    """
    if path.suffix != ".pth":
        return
    try:
        state = torch.load(path, map_location="meta", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError):  # of before PyTorch 1.6, or with more than data
        return
    state = state.get("model", state) if isinstance(state, dict) else {}
    ours = _on_meta(cfg).state_dict()
    common = [name for name in ours if isinstance(state.get(name), Tensor)]
    other = [name for name in common if state[name].shape != ours[name].shape]
    if 2 * len(other) > len(common):
        name = other[0]
        raise ValueError(
            f"MODEL.WEIGHTS {path} are of another network: {len(other)} of the {len(common)} "
            f"tensors that both have differ in shape, such as {name}, {tuple(state[name].shape)} "
            f"there and {tuple(ours[name].shape)} here; give the config they were trained with."
        )


def _on_meta(cfg: CfgNode) -> nn.Module:
    trial = cfg.clone()
    trial.defrost()
    trial.MODEL.DEVICE = "meta"
    trial.MODEL.TIMM.PRETRAINED = False
    trial.MODEL.SEM_SEG_HEAD.LOSS_TYPE = "cross_entropy"
    with torch.device("meta"):
        model: nn.Module = build_model(trial)
    return model


def _known(reason: str) -> str:
    """What a name that a registry lacks could have been."""
    for registry in (META_ARCH_REGISTRY, BACKBONE_REGISTRY, SEM_SEG_HEADS_REGISTRY):
        if reason.endswith(f"in '{registry._name}' registry!"):
            return f" Known: {', '.join(sorted(name for name, _ in registry))}."
    return ""
