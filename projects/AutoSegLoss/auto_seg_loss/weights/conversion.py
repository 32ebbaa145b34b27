"""Weights of a backbone from other libraries, under the names of our network."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.weights.checkpointer import placed, unwrapped

_RESNET = (
    (r"^(conv1|bn1)\.", r"stem.\1."),
    (r"^layer1\.", "res2."),
    (r"^layer2\.", "res3."),
    (r"^layer3\.", "res4."),
    (r"^layer4\.", "res5."),
    (r"\bbn(\d)\.", r"conv\1.norm."),
    (r"\bdownsample\.0\.", "shortcut."),
    (r"\bdownsample\.1\.", "shortcut.norm."),
)
"""Names in a ResNet: of torchvision and timm -> of Detectron2."""


def converted(
    state: Mapping[str, Tensor], ours: Mapping[str, Tensor]
) -> tuple[str, dict[str, Tensor]]:
    """How the weights of a file match those of a network's backbone, and the matched weights.

    It tries the original names, those of torchvision's ResNets, and finally the order: the n-th
    tensor of the file is the n-th of the backbone if all have the same last name ("weight",
    "running_mean", ...) and shape. A file may have more tensors, such as a classifier's; for the
    order only at its end.

    state: of a file of weights, in its order. ours: the network's state dict, of which names and
    shapes count.

    Raises ``ConfigError`` unless every tensor of the backbone is found.
    """
    body = _backbone(ours)
    plain = unwrapped(state)
    ways = {
        "by name": placed(state, body),
        "by the names of torchvision's ResNets": placed(_resnet(plain), body),
        "by order and shape": _in_order(plain, body),
    }
    for way, found in ways.items():
        if all(n in found and found[n].shape == tensor.shape for n, tensor in body.items()):
            return way, {name: found[name] for name in body}
    place = len(ways["by order and shape"])
    raise ConfigError(
        f"The {len(plain)} tensors of the file have neither the names nor the order of the "
        f"{len(body)} of the backbone; in order, the first difference is number {place + 1}: "
        f"the backbone needs {_nth(body, place)}, the file has {_nth(_counted(plain), place)}. "
        "Use a config with the network that they were trained with."
    )


def _backbone(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Its tensors, without a feature pyramid."""
    pyramid = any(name.startswith("backbone.bottom_up.") for name in ours)
    place = "backbone.bottom_up." if pyramid else "backbone."
    return _counted({name: t for name, t in ours.items() if name.startswith(place)})


def _counted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without batch norm counters: old files have none, and nothing depends on them."""
    return {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}


def _resnet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = dict(state)
    for pattern, ours in _RESNET:
        renamed = {re.sub(pattern, ours, name): tensor for name, tensor in renamed.items()}
    return renamed


def _in_order(state: Mapping[str, Tensor], body: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name in ``body`` -> tensor of ``state``, up to the first mismatch."""
    found: dict[str, Tensor] = {}
    for (name, tensor), (ours, mine) in zip(_counted(state).items(), body.items(), strict=False):
        if tensor.shape != mine.shape or name.rpartition(".")[2] != ours.rpartition(".")[2]:
            break
        found[ours] = tensor
    return found


def _nth(state: Mapping[str, Tensor], place: int) -> str:
    items = list(state.items())[place : place + 1]
    return "".join(f"{name} {tuple(tensor.shape)}" for name, tensor in items) or "no more"
