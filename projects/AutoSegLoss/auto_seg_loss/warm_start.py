"""The shared start of all proxies: one cross-entropy training, made once and kept in a file.

From scratch a surrogate of mIoU learns far more slowly than cross entropy; from a common start,
short trainings already distinguish losses.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from torch import Tensor, nn

from auto_seg_loss.config import changed, plain
from auto_seg_loss.data.catalog import Pairs
from auto_seg_loss.data.splits import files_digest
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.log_levels import logs_off
from auto_seg_loss.runtime.random_states import undisturbed
from auto_seg_loss.runtime.resume import UNTRAINED_KEYS, changed_keys
from auto_seg_loss.train_loop import train
from auto_seg_loss.weights import read_checkpoint, weights_digest
from autoseg_core.files import save_whole

logger = logging.getLogger(__name__)

# Settings that the weights depend on; a file made with other ones is refused. Exceptions are the
# second list and the settings of losses: it is trained with cross entropy.
_SECTIONS = ("MODEL", "INPUT", "SOLVER", "DATASETS", "DATALOADER", "SEED")
_LOSS_KEYS = ("LOSS_BACKEND", "LOSS_CLASS_WEIGHTS", "LOSS_SYNC")
_FREE_KEYS = (*UNTRAINED_KEYS, "MODEL.DEVICE", *(f"MODEL.SEM_SEG_HEAD.{k}" for k in _LOSS_KEYS))


def warm_start(cfg: CfgNode, model: nn.Module, dicts: Pairs) -> dict[str, Tensor]:
    """The state dict that proxies start from.

    Trains ``model``, whose loss is cross entropy, for SEARCH.WARM_START.MAX_ITER iterations on
    ``dicts``; the result is saved in SEARCH.WARM_START.WEIGHTS and reused from there.
    Raises ``ConfigError`` if that file was made with other settings, or by another program.
    """
    node = cfg.SEARCH.WARM_START
    if node.MAX_ITER == 0:
        return {key: value.detach().clone() for key, value in model.state_dict().items()}
    path = Path(node.WEIGHTS or Path(cfg.OUTPUT_DIR) / "warm_start.pth")
    training = changed(cfg, {"SOLVER.MAX_ITER": node.MAX_ITER, "SOLVER.BASE_LR": node.BASE_LR})
    settings = {
        "config": {key: value for key, value in plain(training).items() if key in _SECTIONS},
        "images": [Path(item["file_name"]).name for item in dicts],
        "digests": [files_digest(dicts), weights_digest(cfg.MODEL.WEIGHTS)],
    }
    if not path.is_file():
        logger.info("Training the shared warm start into %s", path)
        with logs_off(), undisturbed(cfg.MODEL.DEVICE):
            _train(training, model, dicts)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Atomic: two searches may write it.
        save_whole({"model": model.state_dict(), "settings": settings}, path)
    content = read_checkpoint(path)
    if changes := _changes(content.get("settings", {}), settings):
        raise ConfigError(
            f"The warm start {path} was made with other settings:\n"
            + "".join(f"  {change}\n" for change in changes)
            + "Delete it to remake it, or set SEARCH.WARM_START.WEIGHTS to another file. To "
            "start from a checkpoint of train_net.py: SEARCH.WARM_START.MAX_ITER 0, MODEL.WEIGHTS."
        )
    return content["model"]


def state_digest(state: dict[str, Tensor]) -> str:
    """sha256 of a state dict's names and values."""
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _train(cfg: CfgNode, model: nn.Module, dicts: Pairs) -> None:
    try:
        train(cfg, model, dicts, cfg.SEED)
    except FloatingPointError as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"The warm start diverged: {reason} Lower "
            f"SEARCH.WARM_START.BASE_LR, which is {cfg.SOLVER.BASE_LR:g}."
        ) from error


def _changes(made_with: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    if not {"config", "images"} <= made_with.keys():
        return ["it is not a warm start made by search_net.py"]
    changes = changed_keys(made_with["config"], settings["config"], _FREE_KEYS)
    before, now = made_with["images"], settings["images"]
    if before != now:
        new = len(set(now) - set(before))
        changes.append(f"images (SEARCH.HOLDOUT): {len(before)} -> {len(now)}, {new} of them new")
    elif made_with.get("digests", settings["digests"]) != settings["digests"]:
        changes.append("lengths of images or labels, or the content of MODEL.WEIGHTS")
    return changes
