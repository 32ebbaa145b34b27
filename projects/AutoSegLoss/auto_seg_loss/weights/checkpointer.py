"""Weights of a file -> weights of a network: under its names, and enough of them, or an error."""

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

_HEAD = "sem_seg_head."
"""Where a network has what other classes change."""

_WRAPPERS = re.compile(r"^(?:(?:module|model|_orig_mod|network|net|encoder)\.)+")
"""How the names of a network begin that was wrapped when it was saved."""

_PLACES = ("", "backbone.", "backbone.bottom_up.", "backbone.network.")
"""Where in a network the names of a file may begin; the last is that of timm's networks."""


class Checkpointer(DetectionCheckpointer):
    """Detectron2's, but files are read by ``read_checkpoint``, and must fit by ``fitted``."""

    def _load_file(self, filename: str) -> dict[str, Any]:
        self._file = filename
        return read_checkpoint(Path(filename))

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        checkpoint["model"] = fitted(checkpoint, self.model.state_dict(), self._file)
        checkpoint.pop("matching_heuristics", None)  # done
        return super()._load_model(checkpoint)


class WholeCheckpointer(Checkpointer):
    """For a network to be used as it is: a weight that the file lacks is an error.

    Detectron2 warns and leaves such a weight at random, which is right for a training that starts
    from a backbone, and gives numbers without a meaning where nothing is trained. Weights that the
    network does not have are skipped with a warning, as there.
    """

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        wrong = {
            name: f"{name} is {tuple(file)} in the file, {tuple(model)} here"
            for name, file, model in incompatible.incorrect_shapes
        }
        lacking = {name: f"{name} is not in the file" for name in incompatible.missing_keys}
        if problems := list({**lacking, **wrong}.values()):
            raise ConfigError(
                f"{self._file}: the weights are not those of this network: {_some(problems)}; give "
                "the config that they were trained with, and as MODEL.WEIGHTS a checkpoint of "
                "train_net.py."
            )
        super()._log_incompatible_keys(incompatible)


def fitted(
    checkpoint: Mapping[str, Any], ours: Mapping[str, Tensor], file: str | Path
) -> dict[str, Tensor]:
    """The state dict of a checkpoint under the names of a network.

    checkpoint: of ``read_checkpoint``. ours: the network's state dict, of which names and shapes
    count. file: for the error.

    Raises ``ConfigError`` unless three quarters of the tensors outside the network's head have
    their name and shape in the file. Detectron2 leaves what does not fit at random, with a line in
    the log: right for a last layer with other classes or a new feature pyramid, but else the
    start is not the one asked for.
    """
    try:
        state = _renamed(checkpoint, ours)
    except (AssertionError, ValueError) as error:  # of Detectron2's heuristics
        raise ConfigError(f"{file}: the weights are of another network: {error}") from None
    body = [n for n in ours if not n.startswith(_HEAD) and not n.endswith("num_batches_tracked")]
    lacking = [n for n in body if n not in state or state[n].shape != ours[n].shape]
    if 4 * len(lacking) > len(body):
        unused = {n: t for n, t in state.items() if n not in ours or t.shape != ours[n].shape}
        raise ConfigError(
            f"{file}: the weights are of another network: {len(body) - len(lacking)} of the "
            f"{len(body)} tensors outside its head are in the file with that name and shape. The "
            f"network needs {_some(_shapes(lacking, ours))}; the file has "
            f"{_some(_shapes(list(unused), state)) or 'nothing else'}. Give the config that they "
            "were trained with, or convert them with convert_weights.py."
        )
    return state


def _renamed(checkpoint: Mapping[str, Any], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = checkpoint["model"]
    if checkpoint.get("matching_heuristics"):
        caffe2 = checkpoint.get("__author__") == "Caffe2"
        renamed: dict[str, Tensor] = align_and_update_state_dicts(ours, state, c2_conversion=caffe2)
        return renamed
    return placed(state, ours)


def placed(state: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict without wrappers and below the part of the network that fits its names best.

    ``{"module.conv1.weight": ...}`` -> ``{"backbone.network.conv1.weight": ...}``
    """
    both = (state, unwrapped(state))
    forms = [{place + n: t for n, t in names.items()} for names in both for place in _PLACES]
    return max(forms, key=lambda form: len(form.keys() & ours.keys()))


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with names that do not begin with a wrapper's, such as "module."."""
    return {_WRAPPERS.sub("", name): tensor for name, tensor in state.items()}


def _shapes(names: list[str], state: Mapping[str, Tensor]) -> list[str]:
    return [f"{name} {tuple(state[name].shape)}" for name in names]


def _some(items: list[str]) -> str:
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(items[:_LISTED]) + more
