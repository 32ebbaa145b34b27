"""Checks of numbers and devices that every script makes; each raises ``ValueError``."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from detectron2.config import CfgNode


def check_device(cfg: CfgNode) -> None:
    """Refuse a MODEL.DEVICE that is no device, or a CUDA device that is not here."""
    name = cfg.MODEL.DEVICE
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(
            f"MODEL.DEVICE must be a device of PyTorch such as cpu or cuda, got {name!r}."
        ) from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"MODEL.DEVICE is {name}, but PyTorch sees {torch.cuda.device_count()} CUDA devices "
            "here; set MODEL.DEVICE cpu."
        )
    backend = cfg.MODEL.SEM_SEG_HEAD.LOSS_BACKEND
    needed = {"triton": "CUDA", "native": "CPU"}.get(backend)
    if needed and device.type != needed.lower():
        raise ValueError(
            f"MODEL.SEM_SEG_HEAD.LOSS_BACKEND {backend} needs a {needed} device, and MODEL.DEVICE "
            f"is {name}; set LOSS_BACKEND auto."
        )


def check_gpus(count: int, cfg: CfgNode) -> None:
    """Refuse more processes a machine, --num-gpus, than it has GPUs; one needs none."""
    if count > 1 and count > torch.cuda.device_count():
        raise ValueError(
            f"--num-gpus {count} trains with a GPU for each process, but PyTorch sees "
            f"{torch.cuda.device_count()} here; leave it out to train in one process."
        )


def check_output(cfg: CfgNode) -> None:
    """Refuse an OUTPUT_DIR that is no folder and cannot become one."""
    if not cfg.OUTPUT_DIR:
        raise ValueError("OUTPUT_DIR is empty; name the folder that results are written to.")
    path = Path(cfg.OUTPUT_DIR).absolute()
    existing = next(place for place in (path, *path.parents) if place.exists())
    if not existing.is_dir():
        raise ValueError(f"OUTPUT_DIR {cfg.OUTPUT_DIR}: {existing} is a file; name a folder.")
    if not os.access(existing, os.W_OK):
        raise ValueError(f"OUTPUT_DIR {cfg.OUTPUT_DIR}: {existing} may not be written to.")


def check_schedule(cfg: CfgNode) -> None:
    """Refuse trainings of no iterations and batches of no images."""
    for key in ("MAX_ITER", "IMS_PER_BATCH", "ACCUMULATE"):
        if cfg.SOLVER[key] < 1:
            raise ValueError(f"SOLVER.{key} must be 1 or more, got {cfg.SOLVER[key]}.")
