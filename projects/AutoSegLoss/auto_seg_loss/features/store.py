"""Features of a frozen backbone, computed once for each image and kept in files.

    FEATURES.CACHE/<digest of backbone, weights and geometry>/<digest of an image>[_<scale>].npy

A file holds the features of an image and of its mirror image in half precision, and is written
atomically, so that processes may share the folder. Names without a scale have scale 1.

V: 2, the image and its mirror; K: channels of a feature; h, w: its pixels; H, W: FEATURES.SIZE.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import transforms as T
from detectron2.layers import ShapeSpec
from detectron2.utils import comm
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info
from tqdm import tqdm

from auto_seg_loss.config import changed
from auto_seg_loss.data.images import image_size, read_image
from auto_seg_loss.features.backbone import features_digest, image_digest, trained_backbone
from auto_seg_loss.features.geometry import Window, whole_size, window_of
from auto_seg_loss.features.network import feature_shapes
from autoseg_core.files import replacing
from rl.executors.processes import available_cores

logger = logging.getLogger(__name__)

GPU_IMAGES, GPU_READERS = 8, 8
"""Images, each with its mirror, per pass of the backbone on a GPU; processes that read them."""


class FeatureStore:
    """Reads features of image files, and computes those that are missing.

    cfg: MODEL describes the backbone, FEATURES its weights, the geometry and where files are kept.
    ``ConfigError`` for weights that are missing or of another network.
    """

    def __init__(self, cfg: CfgNode) -> None:
        self._cfg = cfg
        self.shapes: dict[str, ShapeSpec] = feature_shapes(cfg)
        strides = [shape.stride for shape in self.shapes.values()]
        self.finest, self.size = min(strides), whole_size(cfg.FEATURES.SIZE, max(strides))
        self.channels = cfg.FEATURES.CHANNELS
        self.folder = Path(cfg.FEATURES.CACHE) / features_digest(cfg, list(self.shapes))

    def window(self, path: str, scale: float = 1.0) -> Window:
        """Placement of the image in SIZE."""
        return window_of(image_size(path), self.size, self.finest, scale)

    def prepare(self, paths: Iterable[str], scales: Sequence[float] = (1.0,)) -> None:
        """Compute the missing features; with a progress bar on a terminal.

        On a CPU with one single-threaded process per core, if there are enough images; on a GPU in
        batches, whose images at most 8 processes read. Concurrent calls share the work.
        """
        wanted = [(path, scale) for path in dict.fromkeys(paths) for scale in scales]
        missing = [one for one in wanted if not self.file(*one).is_file()]
        if not missing:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        logger.info("Computing %d files of features into %s", len(missing), self.folder)
        random.SystemRandom().shuffle(missing)  # other processes start elsewhere
        on_cpu = torch.device(self._cfg.MODEL.DEVICE).type == "cpu"
        compute = partial(self._compute, trained_backbone(self._cfg))
        workers = worker_count(len(missing), on_cpu)
        loader: Iterable[Any] = DataLoader(
            _Images(self, missing),
            batch_size=1 if on_cpu else GPU_IMAGES,
            num_workers=workers,
            prefetch_factor=1 if workers else None,  # what waits takes shared memory
            collate_fn=compute if on_cpu else list,
            generator=torch.Generator(),  # else the loader draws from a training's generator
        )
        with tqdm(total=len(missing), desc="features", disable=None, dynamic_ncols=True) as bar:
            for batch in loader:
                bar.update(batch if on_cpu else compute(batch))

    def read(self, path: str, mirrored: bool, scale: float = 1.0) -> dict[str, Tensor]:
        """Features (K, h, w) float16 of one image by name."""
        flat, start, found = self._open(path, scale)[int(mirrored)], 0, {}
        for name, shape in self.shapes.items():
            height, width = (side // shape.stride for side in self.size)
            end = start + shape.channels * height * width
            feature = torch.from_numpy(np.array(flat[start:end]))
            found[name] = feature.view(shape.channels, height, width)
            start = end
        return found

    def pixels(self, path: str, scale: float) -> Tensor:
        """(V, 3, H, W) float32, the backbone's input for an image."""
        model, window = self._cfg.MODEL, self.window(path, scale)
        image = read_image(path, self._cfg.INPUT.FORMAT)
        rows, columns = (count * self.finest for count in window.cells)
        image = T.ResizeTransform(*image.shape[:2], rows, columns).apply_image(image)
        image = image[window.pixels(self.finest)]
        both = torch.from_numpy(np.stack([image, image[:, ::-1]])).permute(0, 3, 1, 2)
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (model.PIXEL_MEAN, model.PIXEL_STD))
        padded = torch.zeros(2, 3, *self.size)
        padded[..., : image.shape[0], : image.shape[1]] = (both - mean) / std
        return padded

    def file(self, path: str, scale: float) -> Path:
        """The file of an image's features."""
        name = image_digest(path) + ("" if scale == 1.0 else f"_{scale:g}")
        return self.folder / f"{name}.npy"

    def _open(self, path: str, scale: float) -> NDArray[np.float16]:
        try:
            return _mapped(self.file(path, scale))
        except FileNotFoundError as error:
            if get_worker_info() is not None:  # a fork, which cannot use a GPU
                raise OSError(
                    f"{error.filename} was deleted, or {path} has changed, since this run started; "
                    "run it again to compute the missing features."
                ) from None
            self.prepare([path], [scale])
            return _mapped(self.file(path, scale))

    @torch.inference_mode()
    def _compute(self, backbone: Any, images: Sequence[tuple[Path, Tensor | None]]) -> int:
        """Write the missing files of images (V, 3, H, W); returns the number of images."""
        rest = [
            (path, pixels) for path, pixels in images if pixels is not None and not path.is_file()
        ]
        if not rest:
            return len(images)
        found = backbone(torch.cat([pixels for _, pixels in rest]).to(self._cfg.MODEL.DEVICE))
        flat = torch.cat([found[name].flatten(1).half() for name in self.shapes], dim=1)
        kinds = flat.cpu().numpy().reshape(len(rest), 2, -1)
        for (path, _), features in zip(rest, kinds, strict=True):
            if path.is_file():  # another process wrote it, and a reader may have mapped it
                continue
            with replacing(path) as partial_file, open(partial_file, "wb") as file:
                np.save(file, features)
        return len(images)


class _Images(Dataset[tuple[Path, Tensor | None]]):
    """The file to write and the pixels (V, 3, H, W), None if it exists, of each (path, scale)."""

    def __init__(self, store: FeatureStore, wanted: Sequence[tuple[str, float]]) -> None:
        self._store, self._wanted = store, wanted

    def __len__(self) -> int:
        return len(self._wanted)

    def __getitem__(self, number: int) -> tuple[Path, Tensor | None]:
        file = self._store.file(*self._wanted[number])
        return file, None if file.is_file() else self._store.pixels(*self._wanted[number])


@lru_cache(maxsize=4)
def _store(text: str) -> FeatureStore:
    return FeatureStore(CfgNode.load_cfg(text))


def feature_store(cfg: CfgNode) -> FeatureStore:
    """The store of a config, one per process, independent of the head's training."""
    own = CfgNode({name: cfg[name].clone() for name in ("MODEL", "FEATURES", "INPUT")})
    head = "MODEL.SEM_SEG_HEAD."
    alike = {head + "LOSS_TYPE": "cross_entropy", head + "LOSS_SPEC": ""}
    return _store(changed(own, alike).dump())


def worker_count(files: int, on_cpu: bool) -> int:
    """Worker processes for a number of missing files; the processes of a training share the cores.

    0, for none, where there would be only one.
    """
    cores = available_cores()
    limit = cores if on_cpu else GPU_READERS
    count = min(cores // comm.get_local_size(), files // 8, limit)
    return count if count > 1 else 0


def _mapped(file: Path) -> NDArray[np.float16]:
    # Not cached: each holds an open file, and the limit of a process may be 1024.
    return np.load(file, mmap_mode="r")
