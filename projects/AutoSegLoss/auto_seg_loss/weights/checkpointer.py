"""Weights of a file -> weights of a network, under its names; an error if too many are missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.checkpoint.c2_model_loading import align_and_update_state_dicts
from torch import Tensor

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.weights.reading import read_checkpoint

_LISTED = 3

_HEAD, _LOSS, _COUNTER = "sem_seg_head.", "sem_seg_head.loss.", "num_batches_tracked"
"""Names that depend on the classes; that are never read from a file; that old files lack and
nothing depends on."""

_WRAPPERS = re.compile(r"^(?:(?:module|model|_orig_mod|network|net|encoder)\.)+")
"""Prefixes of names in a network that was wrapped when it was saved."""

_PLACES = ("", "backbone.", "backbone.bottom_up.", "backbone.network.")
"""Prefixes in a network for the names of a file; the last is for timm's networks."""


class Checkpointer(DetectionCheckpointer):
    """Detectron2's, but files are read by ``read_checkpoint``, and must fit the network.

    ``ConfigError`` unless three quarters of the tensors outside the network's head have their name
    and shape in the file. Detectron2 keeps random values where nothing fits, with a log line: fine
    for a last layer with other classes or a new feature pyramid, but otherwise not the requested
    start weights.
    """

    _required, _optional = 0.75, _HEAD

    def _load_file(self, filename: str) -> dict[str, Any]:
        self._file = filename
        return read_checkpoint(Path(filename))

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        ours = self.model.state_dict()
        try:
            checkpoint["model"] = state = _renamed(checkpoint, ours)
        except (AssertionError, ValueError) as error:  # from Detectron2's heuristics
            raise ConfigError(
                f"{self._file}: the weights are of another network: {error}"
            ) from None
        self._check(state, ours)
        checkpoint.pop("matching_heuristics", None)  # done
        return super()._load_model(checkpoint)

    def _check(self, state: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> None:
        body = [n for n in ours if not n.startswith(self._optional) and not n.endswith(_COUNTER)]
        lacking = [n for n in body if n not in state or state[n].shape != ours[n].shape]
        if len(lacking) > (1 - self._required) * len(body):
            unused = [n for n in state if n not in ours or state[n].shape != ours[n].shape]
            raise ConfigError(
                f"{self._file}: the weights are of another network: {len(body) - len(lacking)} of "
                f"the {len(body)} required tensors are in the file with that name and shape."
                f" The network needs {_some(lacking, ours)}; the file has "
                f"{_some(unused, state) or 'nothing else'}. Use the config that they were trained "
                "with, or convert them with convert_weights.py."
            )


class WholeCheckpointer(Checkpointer):
    """For a network that is not trained: the file must have every weight, including the head's.

    Random weights would give meaningless results.
    """

    _required, _optional = 1.0, _LOSS


def _renamed(checkpoint: Mapping[str, Any], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a checkpoint of ``read_checkpoint`` under the names of a network."""
    state: dict[str, Tensor] = checkpoint["model"]
    if checkpoint.get("matching_heuristics"):
        caffe2 = checkpoint.get("__author__") == "Caffe2"
        return align_and_update_state_dicts(ours, state, c2_conversion=caffe2)
    return placed(state, ours)


def placed(state: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict without wrapper prefixes, moved to the best matching part of the network.

    ``{"module.conv1.weight": ...}`` -> ``{"backbone.network.conv1.weight": ...}``
    """
    both = (state, unwrapped(state))
    forms = [{place + n: t for n, t in names.items()} for names in both for place in _PLACES]
    return max(forms, key=lambda form: len(form.keys() & ours.keys()))


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict without wrapper prefixes, such as "module."."""
    return {_WRAPPERS.sub("", name): tensor for name, tensor in state.items()}


def _some(names: list[str], state: Mapping[str, Tensor]) -> str:
    shown = ", ".join(f"{name} {tuple(state[name].shape)}" for name in names[:_LISTED])
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
