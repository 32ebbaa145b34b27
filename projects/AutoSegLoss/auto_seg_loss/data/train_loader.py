"""Endless batches for training, which can start at any batch without reading earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetFromList, MapDataset, get_detection_dataset_dicts
from detectron2.data.samplers import GroupedBatchSampler, TrainingSampler
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from torch.utils.data import BatchSampler, DataLoader, Dataset, get_worker_info

from .images import image_size
from .mapper import build_mapper

Place = tuple[int, int]
"""Place of an image in a process's batches: its number, and its index in the data set."""


@dataclass
class TrainLoader:
    """Detectron2's shuffled, endless batches of mapped records, lists of ``batch_size``.

    The images of a batch depend only on ``seed`` and the number of processes, and ``start`` is the
    first batch of the iteration: a resumed training skips indices, not images. Detectron2's own
    loader distributes the indices to its workers, so batches would change with the number of
    workers, and restart with each iterator.

    Without workers augmentations draw from the global generators, whose states a training saves.
    Workers read ahead, so their states at a checkpoint are meaningless: a worker seeds its
    generators for each image from ``seed`` and the image's place.

    mapper: record -> item of a batch. batch_size: images per batch of this process. seed: of the
    order; equal in all processes. grouped: batch wide images with wide ones, and high images with
    high ones. workers: processes that read and augment; 0 for this one. start: batches to skip.
    """

    dicts: list[dict[str, Any]]
    mapper: Callable[[dict[str, Any]], Any]
    batch_size: int
    seed: int
    grouped: bool = False
    workers: int = 0
    start: int = 0

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        """Nothing is read, and no worker started, before the first batch is requested."""
        records = MapDataset(DatasetFromList(self.dicts, copy=False), self.mapper)
        yield from DataLoader(
            _Placed(records, self.seed),
            batch_sampler=islice(self._places(), self.start, None),
            num_workers=self.workers,
            collate_fn=list,
            generator=torch.Generator(),  # else the loader draws from the training's generator
        )

    def _places(self) -> Iterator[list[Place]]:
        sampler = TrainingSampler(len(self.dicts), seed=self.seed)
        batches: Iterable[list[int]] = BatchSampler(sampler, self.batch_size, drop_last=True)
        if self.grouped:
            sizes = (image_size(record["file_name"]) for record in self.dicts)
            kinds = [width > height for height, width in sizes]
            batches = GroupedBatchSampler(sampler, kinds, self.batch_size)
        for number, batch in enumerate(batches):
            yield [(number * self.batch_size + i, index) for i, index in enumerate(batch)]


class _Placed(Dataset[Any]):
    def __init__(self, dataset: Dataset[Any], seed: int) -> None:
        self._dataset, self._key = dataset, (seed, comm.get_rank())

    def __getitem__(self, place: Place) -> Any:
        number, index = place
        if get_worker_info() is not None:
            (seed,) = np.random.SeedSequence((*self._key, number)).generate_state(1)
            seed_all_rng(int(seed))
        return self._dataset[index]


def build_train_loader(cfg: CfgNode, dicts: list[dict[str, Any]] | None = None) -> TrainLoader:
    """Loader of SOLVER, DATALOADER and INPUT over ``dicts``, or DATASETS.TRAIN when None.

    Draws the seed of the order, the same in all processes. ValueError: SOLVER.IMS_PER_BATCH is not
    a multiple of the number of processes, or an unknown sampler.
    """
    batch_size, rest = divmod(cfg.SOLVER.IMS_PER_BATCH, comm.get_world_size())
    if rest:
        raise ValueError(
            f"SOLVER.IMS_PER_BATCH {cfg.SOLVER.IMS_PER_BATCH} must be a multiple of the number of "
            f"processes, {comm.get_world_size()}."
        )
    if (name := cfg.DATALOADER.SAMPLER_TRAIN) != "TrainingSampler":
        raise ValueError(f"DATALOADER.SAMPLER_TRAIN must be TrainingSampler, got {name!r}.")
    seed = comm.shared_random_seed()
    torch.empty((), dtype=torch.int64).random_()  # as torch's loader does: dropout draws next
    if dicts is None:
        dicts = get_detection_dataset_dicts(cfg.DATASETS.TRAIN)
    return TrainLoader(
        dicts,
        build_mapper(cfg, True, dicts=dicts),
        batch_size,
        seed,
        grouped=cfg.DATALOADER.ASPECT_RATIO_GROUPING,
        workers=cfg.DATALOADER.NUM_WORKERS,
    )
