"""Predictions for images that have no labels, as pictures and label files.

H, W: pixels; C: classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from glob import glob
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from numpy.typing import NDArray

from auto_seg_loss.config import changed
from auto_seg_loss.data.catalog import colours_of
from auto_seg_loss.data.lists import IMAGE_SUFFIXES
from auto_seg_loss.data.mapper import build_mapper
from auto_seg_loss.data.verify import check_num_classes
from auto_seg_loss.modeling import build_model
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.weights import WholeCheckpointer, local_weights


class Predictor:
    """The network of a config with MODEL.WEIGHTS; reads images as evaluations do.

    Classes and colours are those of the first of DATASETS.TEST, whose files are not needed.
    """

    def __init__(self, cfg: CfgNode) -> None:
        _check(cfg)
        self.colours = colours_of(cfg.DATASETS.TEST[0])
        # Each image is read once; a folder of them may not fit in memory.
        self._mapper = build_mapper(changed(cfg, {"INPUT.CACHE": False}), False)
        self._model = build_model(cfg).eval()
        WholeCheckpointer(self._model).load(str(local_weights(cfg.MODEL.WEIGHTS)))

    @torch.no_grad()
    def __call__(self, path: Path) -> NDArray[np.uint8]:
        """Labels (H, W) uint8 of an image file, H and W its own; OSError for an unreadable one."""
        (output,) = self._model([self._mapper({"file_name": str(path)})])
        return output["sem_seg"].argmax(dim=0).to(torch.uint8).cpu().numpy()


def _check(cfg: CfgNode) -> None:
    """Raise ``ConfigError`` if the config cannot predict."""
    if not cfg.MODEL.WEIGHTS:
        raise ConfigError(
            "there are no weights to predict with: add --opts MODEL.WEIGHTS FILE, a checkpoint of "
            "train_net.py such as OUTPUT_DIR/model_final.pth."
        )
    if not cfg.DATASETS.TEST or cfg.DATASETS.TEST[0] not in DatasetCatalog.list():
        raise ConfigError(
            "DATASETS.TEST must name a known data set, for its classes and colours; got "
            f"{tuple(cfg.DATASETS.TEST)}."
        )
    check_num_classes(cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES, cfg.DATASETS.TEST[0])


def find_images(inputs: Sequence[str]) -> list[Path]:
    """The files matching the inputs, each once, in order.

    An input is a file, a directory (its images, not those in subfolders), or a pattern such as
    "frames/*.jpg". ``OSError`` names every input without a match, and images with the same name,
    which would get the same output files.
    """
    found = {name: _images(Path(name).expanduser()) for name in inputs}
    if lacking := [name for name, images in found.items() if not images]:
        raise FileNotFoundError(
            f"found no image for {', '.join(lacking)}; an input is a file, a directory of "
            f"images ({', '.join(IMAGE_SUFFIXES)}) or a quoted pattern."
        )
    images = list(dict.fromkeys(path for paths in found.values() for path in paths))
    stems = Counter(path.stem for path in images)
    if twice := [str(path) for path in images if stems[path.stem] > 1]:
        raise FileExistsError(
            f"{', '.join(twice)} would get the same output files; predict them into different "
            "directories."
        )
    return images


def _images(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if path.is_file():
        return [path]
    return sorted(p for p in map(Path, glob(str(path))) if p.is_file())


def write_labels(path: Path, labels: NDArray[np.uint8], colours: NDArray[np.uint8]) -> None:
    """Write labels (H, W) uint8 as a palette PNG: pixels are indices, shown in ``colours`` (C, 3).

    ``data.read_label`` reads the indices back.
    """
    picture = PIL.Image.fromarray(labels)
    picture.putpalette(colours.astype(np.uint8).tobytes())
    picture.save(path)
