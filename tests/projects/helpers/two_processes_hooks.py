"""Counts and sample pictures of two processes with a half of the images each.

two_processes_hooks.py DIRECTORY     DIRECTORY holds case.pt, see test_two_processes.py; rank 0
writes found.pt.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from detectron2.data import Metadata
from detectron2.utils.events import EventStorage
from torch import distributed, multiprocessing

from auto_seg_loss.hooks import SamplePictures
from auto_seg_loss.hooks.counts import batch_scores
from autoseg_core import load_loss


def look(rank: int, directory: Path) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{directory / 'meeting-point'}", rank=rank, world_size=2
    )
    case = torch.load(directory / "case.pt", weights_only=True)
    logits, target = (case[name].chunk(2)[rank] for name in ("logits", "target"))
    ((_, score, counts),) = batch_scores(load_loss("voc-miou-bezier", sync=True), logits, target)
    pictures = SamplePictures(case["dicts"], Metadata(stuff_classes=list("abc")), "set", 2)
    with EventStorage() as storage:
        for item, one in list(zip(case["dicts"], case["logits"], strict=True))[
            rank * 2 : rank * 2 + 2
        ]:
            pictures.process([item], [{"sem_seg": one}])
        pictures.evaluate()
    if rank == 0:
        images = {name: torch.from_numpy(image) for name, image, _ in storage._vis_data}
        found = {"score": score, "counts": torch.stack(counts.tensors()), "images": images}
        torch.save(found, directory / "found.pt")
    else:
        assert not storage._vis_data
    distributed.destroy_process_group()


if __name__ == "__main__":
    multiprocessing.start_processes(look, (Path(sys.argv[1]),), nprocs=2, start_method="fork")
