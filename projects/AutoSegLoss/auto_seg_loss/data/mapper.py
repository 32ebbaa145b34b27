"""From a data set's dict to the tensors of a semantic segmentation model.

Letters: H, W size after the augmentations, px; C number of classes.

Why not detectron2.data.DatasetMapper: it reads labels as grey levels, so a palette PNG becomes the
brightness of its colours, and it does not convert a data set's own void value.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T

from .catalog import label_rule
from .images import read_image
from .labels import read_label


class SemSegMapper:
    """Reads, augments and tensorises one image and, for training, its label.

    Called with a data set dict ("file_name", "sem_seg_file_name", …), which it does not change, it
    returns a copy with

        image    (3, H, W) uint8, 0..255, channels as INPUT.FORMAT says
        sem_seg  (H, W) int64, 0..C-1 or the ignore value; in training, and of centre crops
        height, width  of the file, before augmentation; of centre crops their own

    The ignore value is MODEL.SEM_SEG_HEAD.IGNORE_VALUE in training, else 255. Images smaller than
    the crop stay smaller: the model pads the batch, images with zeros and labels with its ignore
    value.

    INPUT.CACHE keeps decoded files in memory, so that many short trainings in one process decode
    each file once. The cache is shared by all mappers of the process and bounded by the data set: 4
    bytes per pixel, 480x360 pixels x 367 images = 250 MB. Each worker process of a loader has its
    own and loses it when the loader ends, so it helps with DATALOADER.NUM_WORKERS 0. Files must not
    change meanwhile.
    """

    def __init__(self, cfg: CfgNode, is_train: bool = True, crop: int = 0):
        """is_train: augment as in training, and read labels. crop: side of a centre crop in
        inference, on which the model's output and the ground truth are compared; 0 is none."""
        augmentations = build_augmentations(cfg, is_train, crop)
        self._augmentations = T.AugmentationList(augmentations)
        self._format, self._cache, self._crop = cfg.INPUT.FORMAT, cfg.INPUT.CACHE, crop
        self._labelled = is_train or crop > 0
        self._rule: dict[str, Any] = {}
        if self._labelled:  # only the hold-out has centre crops
            held_out = () if is_train else cfg.SEARCH.HOLDOUT.DATASETS
            void = cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE if is_train else 255
            self._rule = label_rule(cfg, held_out or cfg.DATASETS.TRAIN, void)
        mode = "training" if is_train else "inference"
        logging.getLogger(__name__).info("Augmentations used in %s: %s", mode, augmentations)

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """See the class. Raises OSError on unreadable files, ValueError on invalid labels."""
        result, label = dict(dataset_dict), None
        image = self._read(read_image, result["file_name"], self._format)
        utils.check_image_size(result, image)  # also fills in height and width
        if self._labelled:
            label = self._read(read_label, result["sem_seg_file_name"], **self._rule)
            utils.check_image_size(result, label)
        inputs = T.AugInput(image, sem_seg=label)
        self._augmentations(inputs)
        result["image"] = torch.from_numpy(np.array(inputs.image.transpose(2, 0, 1), order="C"))
        if label is not None:
            result["sem_seg"] = torch.from_numpy(inputs.sem_seg.astype(np.int64))
        if self._crop:
            result["height"], result["width"] = inputs.image.shape[:2]
        return result

    def _read(self, read: Callable[..., np.ndarray], path: str, *how: Any, **rule: Any) -> Any:
        return _kept(read, path, *how, **rule) if self._cache else read(path, *how, **rule)


@cache
def _kept(read: Callable[..., np.ndarray], *arguments: Any, **keywords: Any) -> np.ndarray:
    array = read(*arguments, **keywords)
    array.flags.writeable = False  # an in-place augmentation would change the cache
    return array


class CenterCrop(T.Augmentation):
    """The central `size` x `size` pixels, or as many as there are; Detectron2's crop is random."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def get_transform(self, image: np.ndarray) -> T.Transform:
        height, width = (min(side, self.size) for side in image.shape[:2])
        y, x = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        return T.CropTransform(x, y, width, height)


def build_augmentations(cfg: CfgNode, is_train: bool, crop: int = 0) -> list[T.Augmentation]:
    """Detectron2's DeepLab recipe: resize, crop, flip in training; resize only in inference.

    A size of 0 (INPUT.MIN_SIZE_TRAIN, MIN_SIZE_TEST) leaves images as they are. crop: side of a
    centre crop after the resize, in inference; 0 is none.
    """
    augmentations = utils.build_augmentation(cfg, is_train)
    if is_train and cfg.INPUT.CROP.ENABLED:
        random_crop = T.RandomCrop_CategoryAreaConstraint(
            cfg.INPUT.CROP.TYPE,
            cfg.INPUT.CROP.SIZE,
            cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA,
            cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
        )
        augmentations.insert(1, random_crop)
    return [*augmentations, CenterCrop(crop)] if crop and not is_train else augmentations


def build_mapper(
    cfg: CfgNode, is_train: bool, crop: int = 0, dicts: Sequence[dict[str, Any]] = ()
) -> Callable[[dict[str, Any]], Any]:
    """The mapper from records to the inputs of the network of MODEL.META_ARCHITECTURE.

    crop: side of a centre crop in inference; 0 is none. dicts: the records to map, if known.
    """
    if cfg.MODEL.META_ARCHITECTURE == "FrozenFeatures":
        from auto_seg_loss.features.mapper import FeatureMapper  # reads labels in the same way

        return FeatureMapper(cfg, is_train, crop, dicts)
    return SemSegMapper(cfg, is_train, crop)
