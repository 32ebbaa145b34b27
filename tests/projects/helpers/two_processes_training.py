"""Trains in two processes, then once more from the middle; leaves both final checkpoints.

two_processes_training.py CONFIG DIRECTORY WEIGHTS     writes DIRECTORY/1.pth and DIRECTORY/2.pth,
the last scores to scores.json, and why each process refuses to go on with a folder of its own to
0.txt and 1.txt
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import auto_seg_loss  # noqa: F401  isort: skip
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from torch import distributed, multiprocessing, nn

from auto_seg_loss import trainer as trainer_module
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.trainer import Trainer


def on_a_cpu(model: nn.Module, **settings: object) -> nn.Module:
    """What Detectron2 makes for GPUs alone."""
    return nn.parallel.DistributedDataParallel(model, **settings)


def train(rank: int, config: str, directory: Path, weights: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{directory / 'meeting-point'}", rank=rank, world_size=2
    )
    comm._LOCAL_PROCESS_GROUP = distributed.new_group([0, 1])
    trainer_module.create_ddp_model = on_a_cpu  # type: ignore[assignment]
    options = ["SOLVER.MAX_ITER", "4", "SOLVER.CHECKPOINT_PERIOD", "2", "TEST.SAMPLES", "0"]
    options += ["MODEL.WEIGHTS", weights]
    cfg = load_config(config, ["OUTPUT_DIR", str(directory), *options])
    for number in (1, 2):
        seed_all_rng(10 * number + rank)
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=number == 2)
        scores = trainer.train()
        if rank == 0:
            (directory / "scores.json").write_text(json.dumps(scores["sem_seg"]))
            (directory / "model_final.pth").rename(directory / f"{number}.pth")
            (directory / "last_checkpoint").write_text("model_0000001.pth")
        comm.synchronize()
    own = directory if rank == 0 else directory / "another machine's"
    try:
        Trainer(load_config(config, ["OUTPUT_DIR", str(own), *options])).resume_or_load()
    except ConfigError as error:
        (directory / f"{rank}.txt").write_text(str(error))
    distributed.destroy_process_group()


if __name__ == "__main__":
    arguments = (sys.argv[1], Path(sys.argv[2]), sys.argv[3])
    multiprocessing.start_processes(train, arguments, nprocs=2, start_method="fork")
