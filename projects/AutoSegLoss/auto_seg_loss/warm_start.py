"""The shared start of all proxies: one cross-entropy training, made once and kept in a file.

From scratch a surrogate of mIoU learns far slower than cross entropy; from a common start, short
trainings already tell losses apart.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from torch import Tensor, nn

from auto_seg_loss.preflight import ConfigError
from auto_seg_loss.quiet import quiet
from auto_seg_loss.random_states import undisturbed
from auto_seg_loss.trainer import Dicts
from auto_seg_loss.training import train

logger = logging.getLogger(__name__)

# What the weights depend on; a file made under other settings is refused.
_SECTIONS = ("MODEL", "INPUT", "SOLVER", "DATASETS", "SEED")


def warm_start(cfg: CfgNode, model: nn.Module, dicts: Dicts) -> dict[str, Tensor]:
    """State dict that proxies start from.

    Loads MODEL.WEIGHTS (if any) into ``model``, whose loss is cross entropy, and trains it for
    SEARCH.WARM_START.MAX_ITER iterations on ``dicts``; the result is kept in
    SEARCH.WARM_START.WEIGHTS and used from there the next time. Raises ``ConfigError`` if that
    file was made with other settings.
    """
    DetectionCheckpointer(model).load(cfg.MODEL.WEIGHTS)
    if cfg.SEARCH.WARM_START.MAX_ITER == 0:
        return _copy(model)
    path = warm_start_file(cfg)
    settings = _settings(cfg, dicts)
    if not path.is_file():
        iterations = cfg.SEARCH.WARM_START.MAX_ITER
        logger.info("Training the shared warm start, %d iterations, into %s", iterations, path)
        with quiet(), undisturbed(cfg.MODEL.DEVICE):
            train(_training_config(cfg), model, dicts, cfg.SEED)
        _save(path, {"model": model.state_dict(), "settings": settings})
    made_with, state = read_warm_start(path)
    if made_with != settings:
        raise ConfigError(
            f"The warm start {path} was made with other SEARCH.WARM_START, "
            "SEARCH.HOLDOUT, MODEL, INPUT, SOLVER, DATASETS or SEED settings; delete it to make it "
            "again, or set SEARCH.WARM_START.WEIGHTS to another file."
        )
    return state


def warm_start_file(cfg: CfgNode) -> Path:
    """Where the warm start is kept."""
    return Path(cfg.SEARCH.WARM_START.WEIGHTS or Path(cfg.OUTPUT_DIR) / "warm_start.pth")


def _training_config(cfg: CfgNode) -> CfgNode:
    warm = cfg.clone()
    warm.defrost()
    warm.SOLVER.MAX_ITER = cfg.SEARCH.WARM_START.MAX_ITER
    warm.SOLVER.BASE_LR = cfg.SEARCH.WARM_START.BASE_LR
    warm.freeze()
    return warm


def _settings(cfg: CfgNode, dicts: Dicts) -> str:
    warm = _training_config(cfg)
    parts = [f"{name}: {getattr(warm, name)}" for name in _SECTIONS]
    names = [Path(item["file_name"]).name for item in dicts]
    return hashlib.sha256("\n".join(parts + names).encode()).hexdigest()


def _save(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")  # two searches may make one
    torch.save(content, partial)
    partial.replace(path)


def read_warm_start(path: Path) -> tuple[str, dict[str, Tensor]]:
    """A file that ``warm_start`` wrote: a digest of the settings it was made with, and the weights.

    ``ConfigError`` for any other file.
    """
    try:
        # weights_only: a weights file is data and executes nothing.
        content = torch.load(path, map_location="cpu", weights_only=True)
        return content["settings"], dict(content["model"])
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"{path} is not a warm start made by search_net.py ({type(error).__name__}); delete it "
            "to make it again, or set SEARCH.WARM_START.WEIGHTS to another file."
        ) from None


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in model.state_dict().items()}


def state_digest(state: dict[str, Tensor]) -> str:
    """sha256 of a state dict's names and values."""
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
