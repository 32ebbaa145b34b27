"""From a data set's dict to the features of its image and the label at their resolution."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from numpy.typing import NDArray

from auto_seg_loss.data.catalog import label_rule, records_of
from auto_seg_loss.data.images import image_size
from auto_seg_loss.data.labels import read_label
from auto_seg_loss.features.store import feature_store
from auto_seg_loss.features.whitening import whitening_of
from auto_seg_loss.runtime.errors import ConfigError


class FeatureMapper:
    """Reads the features of one image and, in training, its label; see ``FrozenFeatures``.

    Called with a data set dict, it returns a copy with

        features  (P, h, w) float32 each, by name, whitened over DATASETS.TRAIN; in training those
                  at a random scale of FEATURES.SCALES, half of the time the mirror image's where
                  INPUT.RANDOM_FLIP is "horizontal"
        size      (rows, columns) of the finest feature's pixels that the image fills
        sem_seg   (h, w) int64, 0..C-1 or MODEL.SEM_SEG_HEAD.IGNORE_VALUE: the label at the centres
                  of the finest feature's pixels, void beside the image; in training

    Missing features of ``dicts``, the records to be mapped, are computed at once, those of other
    records one by one.
    """

    def __init__(
        self,
        cfg: CfgNode,
        is_train: bool = True,
        crop: int = 0,
        dicts: Iterable[dict[str, Any]] = (),
    ) -> None:
        _check(cfg, crop)
        self.is_train = is_train
        self._store = feature_store(cfg)
        self._scales = tuple(cfg.FEATURES.SCALES) if is_train else (1.0,)
        self._store.prepare([record["file_name"] for record in dicts], self._scales)
        paths = [record["file_name"] for record in records_of(cfg.DATASETS.TRAIN)]
        self._whitening = whitening_of(self._store, paths)
        self._flips = is_train and cfg.INPUT.RANDOM_FLIP == "horizontal"
        void = cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE
        self._rule = label_rule(cfg, cfg.DATASETS.TRAIN, void)

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """See the class. OSError for a file that cannot be read."""
        result, path = dict(dataset_dict), dataset_dict["file_name"]
        mirrored = bool(self._flips and np.random.random() < 0.5)
        scale = np.random.choice(self._scales) if len(self._scales) > 1 else self._scales[0]
        raw, window = self._store.read(path, mirrored, scale), self._store.window(path, scale)
        result["features"] = {name: self._whitening[name](raw[name]) for name in raw}
        result["height"], result["width"] = image_size(path)
        result["size"] = window.size
        if self.is_train:
            height, width = (side // self._store.finest for side in self._store.size)
            whole = _small_label(result["sem_seg_file_name"], window.cells, **self._rule)
            small = whole[window.shown]
            label = np.full((height, width), self._rule["ignore_value"], dtype=np.int64)
            label[: small.shape[0], : small.shape[1]] = small[:, ::-1] if mirrored else small
            result["sem_seg"] = torch.from_numpy(label)
        return result


@cache  # a search reads each label thousands of times
def _small_label(path: str, size: tuple[int, int], **rule: Any) -> NDArray[np.uint8]:
    """The label, read by a ``label_rule``, at the centres of (rows, columns) equal cells."""
    label = read_label(path, **rule)
    rows, columns = (
        ((np.arange(cells) + 0.5) * side / cells).astype(np.int64)
        for cells, side in zip(size, label.shape, strict=True)
    )
    return label[np.ix_(rows, columns)]


def _check(cfg: CfgNode, crop: int) -> None:
    """``ConfigError`` for settings that features of whole images do not support."""
    flips = ("none", "horizontal")
    if crop or cfg.INPUT.CROP.ENABLED or cfg.INPUT.RANDOM_FLIP not in flips:
        raise ConfigError(
            "MODEL.META_ARCHITECTURE FrozenFeatures takes whole images: set INPUT.CROP.ENABLED "
            "False, SEARCH.HOLDOUT.CROP 0, and INPUT.RANDOM_FLIP to 'none' or 'horizontal'."
        )
    if not cfg.FEATURES.SCALES or min(cfg.FEATURES.SCALES) <= 0:
        raise ConfigError(f"Expected FEATURES.SCALES > 0, one or more; got {cfg.FEATURES.SCALES}.")
