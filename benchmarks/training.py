"""Images per second of a training of the CamVid network; run by ``bm_loss``, once per setting.

    python -m benchmarks.training --threads 2 --repeats 9

Prints JSON: images per second by loss. The network, its optimiser and the loop are those of
``train_net.py`` with ``configs/camvid``; the images are made, and their loading is left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
from functools import partial
from pathlib import Path

import auto_seg_loss  # noqa: F401  isort: skip  (before Detectron2: quiets warnings of its import)
import torch
from detectron2.utils.events import EventStorage

from auto_seg_loss.modeling import build_model
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.train_loop import TrainLoop
from benchmarks.timing import median_seconds

CONFIGS = Path(__file__).parents[1] / "projects" / "AutoSegLoss" / "configs" / "camvid"
LOSSES = {"cross entropy": "train-ce.yaml", "mIoU": "train-miou.yaml"}


def training(config: str, device: str, images: int) -> TrainLoop:
    """The training of a config, ready to step, on one batch of noise in 16 x 16 blocks."""
    torch.manual_seed(0)
    cfg = load_config(str(CONFIGS / config), ["MODEL.DEVICE", device])
    model = build_model(cfg)
    height, width = cfg.INPUT.CROP.SIZE
    labels = torch.randint(cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES, (height // 16, width // 16))
    image = {
        "image": torch.randint(256, (3, height, width), dtype=torch.uint8),
        "sem_seg": labels.repeat_interleave(16, 0).repeat_interleave(16, 1),
    }
    batches = itertools.repeat([image] * images)
    return TrainLoop(cfg, model, batches)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--images", type=int, default=8, help="images per iteration")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    loops = {
        name: training(config, options.device, options.images) for name, config in LOSSES.items()
    }
    with EventStorage() as storage:
        for loop in loops.values():
            loop.storage = storage
        steps = {name: partial(TrainLoop.run_step, loop) for name, loop in loops.items()}
        # A bar of 3 % wants more rounds than the others.
        seconds = median_seconds(steps, 3 * options.repeats, warmups=2)
    print(json.dumps({name: options.images / value for name, value in seconds.items()}))


if __name__ == "__main__":
    main()
