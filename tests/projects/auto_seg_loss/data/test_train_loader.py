"""data/train_loader.py: the order of the images is one, wherever and by whomever it is read."""

from __future__ import annotations

from itertools import chain, islice

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.utils import comm
from PIL import Image

from auto_seg_loss.data.train_loader import TrainLoader, build_train_loader

RECORDS = [{"file_name": f"{index}.png"} for index in range(5)]


def named(count: int, **settings: object) -> list[list[str]]:
    """Names of the first batches of a loader that reads nothing."""
    loader = TrainLoader(RECORDS, lambda record: record["file_name"], 2, seed=3, **settings)
    return list(islice(loader, count))


def order(count: int, length: int, seed: int) -> list[int]:
    """Shuffles of one generator, one after the other."""
    generator = torch.Generator().manual_seed(seed)
    shuffles = [torch.randperm(length, generator=generator) for _ in range(count // length)]
    return torch.cat(shuffles).tolist()


def by_hand(images: int) -> list[str]:
    return [f"{index}.png" for index in order(images, length=5, seed=3)]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_order_is_that_of_the_seed_whatever_the_number_of_workers(workers):
    names = named(10, workers=workers)
    assert list(chain(*names)) == by_hand(20) and {len(batch) for batch in names} == {2}


@pytest.mark.parametrize(("workers", "start"), [(0, 1), (2, 7)])
def test_it_begins_at_any_batch(workers, start):
    assert named(3, workers=workers, start=start) == named(10)[start : start + 3]


def test_what_is_skipped_is_not_read_and_nothing_is_read_ahead():
    read = []
    loader = TrainLoader(RECORDS, lambda record: read.append(record) or record, 2, 3, start=1000)
    batches = iter(loader)
    assert not read
    next(batches)
    assert len(read) == 2


def images(cfg, workers: int, start: int, count: int) -> list[torch.Tensor]:
    np.random.seed(1)
    loader = build_train_loader(cfg, DatasetCatalog.get("shapes_sem_seg_train"))
    loader.workers, loader.start = workers, start
    return [item["image"] for batch in islice(loader, count) for item in batch]


def test_workers_augment_by_place(shapes, make_cfg):
    cfg = make_cfg()
    whole = images(cfg, 1, 0, 6)
    assert all(map(torch.equal, images(cfg, 2, 0, 6), whole))
    assert all(map(torch.equal, images(cfg, 2, 4, 2), whole[16:]))
    np.random.seed(1)
    crops, seed = {}, int(np.random.randint(2**31))
    for place, index in enumerate(order(24, length=8, seed=seed)):
        crops.setdefault(index, []).append(whole[place])
    assert all(not torch.equal(first, second) for first, second, *_ in crops.values())


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_share_the_order(rank, monkeypatch):
    monkeypatch.setattr(comm, "get_rank", lambda: rank)
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)
    assert list(chain(*named(5))) == by_hand(20)[rank::2]


@pytest.fixture
def mixed(tmp_path) -> list[dict[str, str]]:
    """Wide, high and square images; the last is stored lying and shown standing."""
    records = []
    for number, size in enumerate([(6, 4), (4, 6), (5, 5), (8, 2), (6, 4)]):
        path = tmp_path / f"{number}.jpg"
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 4 else 1
        Image.new("RGB", size).save(path, exif=exif)
        records.append({"file_name": str(path)})
    return records


def test_wide_images_are_batched_with_wide_ones(mixed):
    wide = [True, False, False, True, False]
    loader = TrainLoader(mixed, lambda record: record["file_name"], 2, seed=3, grouped=True)
    batches = list(islice(loader, 12))
    names = [record["file_name"] for record in mixed]
    kinds = [[wide[names.index(name)] for name in batch] for batch in batches]
    assert all(one == other for one, other in kinds) and {one for one, _ in kinds} == {True, False}
    loader.start = 5
    assert list(islice(loader, 7)) == batches[5:]
