"""Evaluates a set in two processes with unequal shares; rank 0 writes what each of them got.

two_processes.py DIRECTORY SHARE     DIRECTORY holds case.json, see test_evaluation.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from detectron2.utils import comm
from torch import distributed, multiprocessing

from auto_seg_loss.evaluation import SegmentationScoresEvaluator


def evaluate(rank: int, directory: Path, share: int) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{directory / 'meeting-point'}", rank=rank, world_size=2
    )
    case: dict[str, Any] = json.loads((directory / "case.json").read_text())
    evaluator = SegmentationScoresEvaluator(case["class_names"], case["rule"], also=case["also"])
    evaluator.reset()
    logits = torch.load(directory / "logits.pt", weights_only=True)
    for index in range(share) if rank == 0 else range(share, len(logits)):
        evaluator.process([case["dicts"][index]], [{"sem_seg": logits[index]}])
    results = [evaluator.evaluate(), evaluator.evaluate()]  # a second call must not count twice
    everyone = comm.gather(results)
    if rank == 0:
        (directory / "results.json").write_text(json.dumps(everyone))
    distributed.destroy_process_group()


if __name__ == "__main__":
    arguments = (Path(sys.argv[1]), int(sys.argv[2]))
    # Forks: they have Detectron2 imported already.
    multiprocessing.start_processes(evaluate, arguments, nprocs=2, start_method="fork")
