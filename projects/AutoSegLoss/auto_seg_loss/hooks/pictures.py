"""Pictures of a training: the surfaces of its loss, and predictions of the network.

H, W: pixels; C: classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from detectron2.engine import HookBase
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage

from auto_seg_loss.data import read_image, read_label
from auto_seg_loss.data.catalog import Pairs, colours_of, image_name
from auto_seg_loss.hooks.counts import searched_loss
from auto_seg_loss.visualize import Image, Labels, boundary_overlay, grid, overlay, shrunk
from autoseg_core.plot import draw_losses
from rl.figures import figure_to_image


class Surfaces(HookBase):
    """Logs the figure of the head's AutoSegLoss as image "surfaces" (``draw_losses``) at the start.

    A resumed training has it already. Main process only.
    """

    def before_train(self) -> None:
        loss = searched_loss(self.trainer.model)
        if loss is not None and self.trainer.start_iter == 0:
            put_image("surfaces", figure_to_image(draw_losses([loss.spec])))


class SamplePictures(DatasetEvaluator):
    """Logs a few images of a data set, the same at every evaluation, as samples/<data set>/<image>:

        image | truth over it | prediction over it | edges of both

    It uses the predictions of the regular evaluation. Colours: ``visualize``.

    Args:
        dicts: the data set's records with "file_name" and "sem_seg_file_name".
        name: of the data set, whose colours are those of its metadata.
        count: number of images, evenly spread over ``dicts``.
        rule: the data set's ``label_rule``.
        longest: pixels of the longer side; larger images are reduced.
    """

    def __init__(
        self, dicts: Pairs, name: str, count: int, rule: dict[str, Any], longest: int = 320
    ) -> None:
        self._chosen = {item["file_name"]: item for item in evenly_spread(dicts, count)}
        self._colours = colours_of(name)
        self._name, self._rule, self._longest = name, rule, longest
        self.reset()

    def reset(self) -> None:
        """Forget the predictions seen."""
        self._predictions: dict[str, Labels] = {}

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Keep the predictions of the chosen images: ``outputs[i]["sem_seg"]`` is (C, H, W)."""
        for item, output in zip(inputs, outputs, strict=True):
            if item["file_name"] in self._chosen:
                labels = output["sem_seg"].argmax(dim=0).cpu().numpy()
                self._predictions[item["file_name"]] = shrunk(labels, self._longest)

    def evaluate(self) -> None:
        """Draw the predictions of all processes on the main one; adds no result."""
        comm.synchronize()
        shares = comm.gather(self._predictions)
        predictions = {path: labels for share in shares for path, labels in share.items()}
        for path, item in self._chosen.items():
            if path in predictions:
                tag = f"samples/{self._name}/{image_name(item)}"
                put_image(tag, self._draw(item, predictions[path]))

    def _draw(self, item: dict[str, Any], prediction: Labels) -> Image:
        image = shrunk(read_image(item["file_name"], "RGB"), self._longest)
        target = shrunk(read_label(item["sem_seg_file_name"], **self._rule), self._longest)
        row = [image, *(overlay(image, labels, self._colours) for labels in (target, prediction))]
        return grid([[*row, boundary_overlay(image, prediction, target, len(self._colours))]])


def evenly_spread(items: list[Any], count: int) -> list[Any]:
    """``count`` of the items, or all, evenly spaced and including the first."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def put_image(name: str, image: Image) -> None:
    """Put (H, W, 3) uint8 RGB into the current EventStorage, which expects channels first."""
    get_event_storage().put_image(name, np.ascontiguousarray(image.transpose(2, 0, 1)))
