"""From a data set's dict to the tensors of a semantic segmentation model.

Letters: H, W size after the augmentations, px; C number of classes.

Why not detectron2.data.DatasetMapper: it reads labels as grey levels, so a palette PNG turns into
the brightness of its colours, and it leaves a data set's own void value as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import MetadataCatalog
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T

from .images import read_image
from .labels import Palette, read_label
from .verify import DatasetError, size_mismatch

# Decoded files of this process, by all that their content depends on. See SemSegMapper, `cache`.
_DECODED: dict[tuple[Any, ...], np.ndarray] = {}


class SemSegMapper:
    """Reads, augments and tensorises one image and, for training, its label.

    Called with a data set dict ("file_name", "sem_seg_file_name", …), which stays untouched, it
    returns a copy with

        image    (3, H, W) uint8, 0..255, channels as `image_format` says
        sem_seg  (H, W) int64, 0..C-1 or `ignore_value`; in training, and of centre crops
        height, width  of the file, before augmentation; of centre crops their own

    Images smaller than the crop stay smaller: the model pads the batch, images with zeros and
    labels with its ignore value.
    """

    @configurable
    def __init__(
        self,
        is_train: bool,
        *,
        augmentations: list[T.Augmentation | T.Transform],
        image_format: str,
        num_classes: int,
        ignore_label: int,
        ignore_value: int = 255,
        palette: Palette = (),
        cache: bool = False,
        crop: int = 0,
    ):
        """
        Args:
            is_train: labels are read in training, and for `crop`.
            augmentations: applied to image and label alike.
            image_format: "BGR" or a mode of Pillow, as in detection_utils.read_image.
            num_classes: C.
            ignore_label: the value that means "void" in the label files.
            ignore_value: the value that means "void" in `sem_seg`.
            palette: INPUT.LABEL_PALETTE, see `labels.read_values`.
            cache: keep decoded files in memory, so that many short trainings in one process decode
                each once. The store is shared by all mappers of the process and bounded by the
                data set: 4 bytes a pixel, 480x360 pixels x 367 images = 250 MB. Each worker
                process of a loader has its own and loses it when the loader ends; so it pays with
                DATALOADER.NUM_WORKERS 0. Files must not change meanwhile.
            crop: not 0 in inference: `augmentations` end with a centre crop, which is what the
                model's output and the truth are compared on.
        """
        self.is_train = is_train
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.ignore_value = ignore_value
        self.palette = tuple(tuple(row) for row in palette)
        self.cache = cache
        self.crop = crop
        mode = "training" if is_train else "inference"
        logging.getLogger(__name__).info("Augmentations used in %s: %s", mode, augmentations)

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True, crop: int = 0) -> dict[str, Any]:
        """Reads INPUT, DATASETS and MODEL.SEM_SEG_HEAD.IGNORE_VALUE; the rest is metadata."""
        num_classes, ignore_label = labels_of(cfg.DATASETS.TRAIN if is_train else cfg.DATASETS.TEST)
        return {
            "is_train": is_train,
            "augmentations": build_augmentations(cfg, is_train, crop),
            "image_format": cfg.INPUT.FORMAT,
            "num_classes": num_classes,
            "ignore_label": ignore_label,
            # The model's in training; that of SegmentationScoresEvaluator else.
            "ignore_value": cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE if is_train else 255,
            "palette": cfg.INPUT.LABEL_PALETTE,
            "cache": cfg.INPUT.CACHE,
            "crop": crop,
        }

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """See the class. Raises OSError on unreadable files, ValueError on unfit labels."""
        result = dict(dataset_dict)
        image = self._image(result["file_name"])
        utils.check_image_size(result, image)  # also fills in height and width
        labelled = self.is_train or self.crop
        label = self._label(result, (image.shape[0], image.shape[1])) if labelled else None
        inputs = T.AugInput(image, sem_seg=label)
        self.augmentations(inputs)
        result["image"] = torch.from_numpy(np.array(inputs.image.transpose(2, 0, 1), order="C"))
        if label is not None:
            result["sem_seg"] = torch.from_numpy(inputs.sem_seg.astype(np.int64))
        if self.crop:
            result["height"], result["width"] = inputs.image.shape[:2]
        return result

    def _image(self, path: str) -> np.ndarray:
        key = (path, self.image_format)
        if (image := _DECODED.get(key)) is not None:
            return image
        return self._keep(key, read_image(path, self.image_format))

    def _label(self, item: dict[str, Any], image_size: tuple[int, int]) -> np.ndarray:
        path = item["sem_seg_file_name"]
        key = (path, self.num_classes, self.ignore_label, self.ignore_value, self.palette)
        label = _DECODED.get(key)
        if label is None:
            label = read_label(
                path,
                num_classes=self.num_classes,
                ignore_label=self.ignore_label,
                ignore_value=self.ignore_value,
                palette=self.palette,
            )
            self._keep(key, label)
        height, width = label.shape
        if (height, width) != image_size:
            raise DatasetError(size_mismatch(item["file_name"], image_size, path, (height, width)))
        return label

    def _keep(self, key: tuple[Any, ...], array: np.ndarray) -> np.ndarray:
        if self.cache:
            array.flags.writeable = False  # an augmentation in place would spoil it for everyone
            _DECODED[key] = array
        return array


class CenterCrop(T.Augmentation):
    """The middle `size` x `size` pixels, or as many as there are; Detectron2 has random ones."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """The crop of an image (H, W, ...)."""
        height, width = (min(side, self.size) for side in image.shape[:2])
        y, x = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        return T.CropTransform(x, y, width, height)


def build_augmentations(cfg: CfgNode, is_train: bool, crop: int = 0) -> list[T.Augmentation]:
    """Detectron2's DeepLab recipe: resize, crop, flip in training; resize only in inference.

    A size of 0 (INPUT.MIN_SIZE_TRAIN, MIN_SIZE_TEST) leaves images as they are. crop: side of a
    centre crop after the resize, in inference; 0 is none.
    """
    if not is_train:
        resize = T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST, "choice")
        return [resize, CenterCrop(crop)] if crop else [resize]
    augmentations: list[T.Augmentation] = [
        T.ResizeShortestEdge(
            cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING
        )
    ]
    if cfg.INPUT.CROP.ENABLED:
        augmentations.append(
            T.RandomCrop_CategoryAreaConstraint(
                cfg.INPUT.CROP.TYPE,
                cfg.INPUT.CROP.SIZE,
                cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA,
                cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
            )
        )
    if cfg.INPUT.RANDOM_FLIP != "none":
        augmentations.append(
            T.RandomFlip(
                horizontal=cfg.INPUT.RANDOM_FLIP == "horizontal",
                vertical=cfg.INPUT.RANDOM_FLIP == "vertical",
            )
        )
    return augmentations


def labels_of(names: tuple[str, ...]) -> tuple[int, int]:
    """(number of classes, ignore label) that all named data sets share."""
    found = {}
    for name in names:
        metadata = MetadataCatalog.get(name)
        found[name] = (len(metadata.stuff_classes), metadata.get("ignore_label", 255))
    if len(set(found.values())) > 1:
        raise ValueError(
            f"data sets used together must agree in (number of classes, ignore label), got {found}"
        )
    return found[names[0]]


def build_mapper(
    cfg: CfgNode, is_train: bool, crop: int = 0, dicts: Sequence[dict[str, Any]] = ()
) -> Callable[[dict[str, Any]], Any]:
    """What makes records into the inputs of the network of MODEL.META_ARCHITECTURE.

    crop: side of a centre crop in inference; 0 is none. dicts: the records to come, if known.
    """
    if cfg.MODEL.META_ARCHITECTURE == "FrozenFeatures":
        from auto_seg_loss.features.mapper import FeatureMapper  # which reads labels as this does

        return FeatureMapper(cfg, is_train, crop, dicts)
    return SemSegMapper(cfg, is_train, crop=crop)
