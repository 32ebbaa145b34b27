"""Loading a network to be used as it is: all of its weights, or an error."""

from __future__ import annotations

from typing import Any

from detectron2.checkpoint import DetectionCheckpointer

from auto_seg_loss.preflight import ConfigError

_LISTED = 3


class WholeCheckpointer(DetectionCheckpointer):
    """Detectron2's, but a weight that the file lacks is an error.

    Detectron2 warns and leaves such a weight at random, which is right for a training that starts
    from a backbone, and gives numbers without a meaning where nothing is trained. Weights that the
    network does not have are skipped with a warning, as there.
    """

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        wrong = [
            f"{name} is {file} in the file, {model} here"
            for name, file, model in shapes(incompatible)
        ]
        lacking = [f"{name} is not in the file" for name in incompatible.missing_keys]
        if problems := wrong + lacking:
            more = f" and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
            raise ConfigError(
                "the weights are not those of this network: "
                f"{', '.join(problems[:_LISTED])}{more}; give the config that they were "
                "trained with, and as MODEL.WEIGHTS a checkpoint of train_net.py."
            )
        super()._log_incompatible_keys(incompatible)


def shapes(incompatible: Any) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """(name, shape in the file, shape in the network) of weights that differ in shape."""
    return [(n, tuple(file), tuple(model)) for n, file, model in incompatible.incorrect_shapes]
