"""Features of a frozen backbone, computed once for each image and kept in files.

    FEATURES.CACHE/<digest of backbone, weights and geometry>/<digest of an image>.npy

A file holds the features of an image and of its mirror image in half precision, and is written in
one step, so that processes may share the folder.

V: 2, the image and its mirror; K: channels of a feature; h, w: its pixels; H, W: FEATURES.SIZE.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import transforms as T
from detectron2.layers import ShapeSpec
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from auto_seg_loss.data.images import check_image, read_image
from auto_seg_loss.features.network import feature_shapes, frozen_backbone
from auto_seg_loss.features.whitening import Whitening
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.random_states import undisturbed
from auto_seg_loss.weight_files import local_weights
from auto_seg_loss.weight_names import converted
from auto_seg_loss.weights import read_checkpoint
from autoseg_core.files import replacing

logger = logging.getLogger(__name__)

SAMPLE = 64
"""Images of the training set that whitening looks at."""

_KEY = "FEATURES.WEIGHTS"


class FeatureStore:
    """Reads features of image files, and computes those that are missing.

    cfg: MODEL describes the backbone, FEATURES its weights, the geometry and where files are kept.
    ``ConfigError`` for weights that are missing or of another network.
    """

    def __init__(self, cfg: CfgNode) -> None:
        self._cfg = cfg
        self.shapes: dict[str, ShapeSpec] = feature_shapes(cfg)
        self.finest = min(shape.stride for shape in self.shapes.values())
        self.size = _whole(cfg.FEATURES.SIZE, max(shape.stride for shape in self.shapes.values()))
        self.channels = cfg.FEATURES.CHANNELS
        self.folder = Path(cfg.FEATURES.CACHE) / _digest(cfg, list(self.shapes))

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) that an image takes of the finest feature's pixels, scaled to SIZE."""
        scale = min(self.size[0] / height, self.size[1] / width)
        rows, columns = (max(1, round(side * scale / self.finest)) for side in (height, width))
        return rows, columns

    def prepare(self, paths: Iterable[str]) -> None:
        """Compute the features of the images that have none yet; a bar on a terminal."""
        missing = [path for path in dict.fromkeys(paths) if not self._file(path).is_file()]
        if not missing:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        logger.info("Computing features of %d images into %s", len(missing), self.folder)
        backbone = self._backbone()
        for path in tqdm(missing, "features", unit="image", disable=None, dynamic_ncols=True):
            with replacing(self._file(path)) as partial, open(partial, "wb") as file:
                np.save(file, self._compute(backbone, path))

    def read(self, path: str, mirrored: bool) -> dict[str, Tensor]:
        """Features (K, h, w) float16 of one image by name."""
        flat, start, found = self._open(path)[int(mirrored)], 0, {}
        for name, shape in self.shapes.items():
            height, width = (side // shape.stride for side in self.size)
            end = start + shape.channels * height * width
            feature = torch.from_numpy(np.array(flat[start:end]))
            found[name] = feature.view(shape.channels, height, width)
            start = end
        return found

    def whitening(self, paths: Sequence[str]) -> dict[str, Whitening]:
        """Of each feature, from SAMPLE images evenly spaced among ``paths``."""
        return _whitening(self, tuple(paths[:: max(1, len(paths) // SAMPLE)]))

    def _open(self, path: str) -> NDArray[np.float16]:
        try:
            return _opened(str(self._file(path)))
        except FileNotFoundError:
            self.prepare([path])
            return _opened(str(self._file(path)))

    def _file(self, path: str) -> Path:
        return self.folder / f"{_file_digest(path)}.npy"

    @torch.inference_mode()
    def _compute(self, backbone: Any, path: str) -> NDArray[np.float16]:
        """(V, all features of all channels) of one image."""
        model = self._cfg.MODEL
        image = read_image(path, self._cfg.INPUT.FORMAT)
        rows, columns = (side * self.finest for side in self.grid(*image.shape[:2]))
        image = T.ResizeTransform(*image.shape[:2], rows, columns).apply_image(image)
        both = torch.from_numpy(np.stack([image, image[:, ::-1]])).permute(0, 3, 1, 2)
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (model.PIXEL_MEAN, model.PIXEL_STD))
        padded = torch.zeros(2, 3, *self.size)
        padded[..., :rows, :columns] = (both - mean) / std
        features = backbone(padded.to(model.DEVICE))
        return np.concatenate(
            [features[name].flatten(1).half().cpu().numpy() for name in self.shapes], axis=1
        )

    def _backbone(self) -> Any:
        cfg = self._cfg
        with undisturbed(cfg.MODEL.DEVICE):
            backbone = frozen_backbone(cfg)
        ours = {f"backbone.{name}": tensor for name, tensor in backbone.state_dict().items()}
        if not cfg.FEATURES.WEIGHTS:
            raise ConfigError(
                "FEATURES.WEIGHTS is missing: features of a backbone without trained weights would "
                "mean nothing. configs/README.md says where weights come from."
            )
        _, found = converted(
            read_checkpoint(local_weights(cfg.FEATURES.WEIGHTS, _KEY))["model"], ours
        )
        backbone.load_state_dict(
            {n.removeprefix("backbone."): t for n, t in found.items()}, strict=False
        )
        return backbone.eval().to(cfg.MODEL.DEVICE)


@lru_cache(maxsize=4)
def _store(text: str) -> FeatureStore:
    return FeatureStore(CfgNode.load_cfg(text))


def feature_store(cfg: CfgNode) -> FeatureStore:
    """The store of a config, one per process, whatever a head is trained with."""
    own = CfgNode({name: cfg[name].clone() for name in ("MODEL", "FEATURES", "INPUT")})
    own.defrost()
    own.MODEL.SEM_SEG_HEAD.LOSS_TYPE, own.MODEL.SEM_SEG_HEAD.LOSS_SPEC = "cross_entropy", ""
    return _store(own.dump())


@cache
def image_size(path: str) -> tuple[int, int]:
    """(height, width) of an image file, turned as its EXIF tag says."""
    return check_image(path)


@cache
def _opened(file: str) -> NDArray[np.float16]:
    features: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return features


@lru_cache(maxsize=8)
def _whitening(store: FeatureStore, paths: tuple[str, ...]) -> dict[str, Whitening]:
    pixels: dict[str, list[Tensor]] = {name: [] for name in store.shapes}
    for path in paths:
        rows, columns = store.grid(*image_size(path))
        for name, feature in store.read(path, False).items():
            part = store.shapes[name].stride // store.finest
            own = feature[:, : -(-rows // part), : -(-columns // part)]
            pixels[name].append(own.flatten(1))
    channels = store.channels
    return {name: Whitening.of(torch.cat(own, 1), channels) for name, own in pixels.items()}


def _whole(size: Iterable[int], stride: int) -> tuple[int, int]:
    height, width = size
    if height % stride or width % stride:
        raise ConfigError(
            f"FEATURES.SIZE must be multiples of the coarsest feature's stride, {stride}, got "
            f"{(height, width)}."
        )
    return height, width


def _digest(cfg: CfgNode, names: list[str]) -> str:
    """Of all that features depend on beside the image."""
    with torch.device("meta"):
        backbone = repr(frozen_backbone(cfg))
    parts = {
        "backbone": backbone,
        "weights": _content(str(local_weights(cfg.FEATURES.WEIGHTS, _KEY))),
        "names": names,
        "size": list(cfg.FEATURES.SIZE),
        "pixels": [cfg.INPUT.FORMAT, list(cfg.MODEL.PIXEL_MEAN), list(cfg.MODEL.PIXEL_STD)],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@lru_cache
def _content(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


@cache
def _file_digest(path: str) -> str:
    """Of an image file, by its place, size and time: reading all of it would cost seconds."""
    status = os.stat(path)
    text = f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]
