"""Checkpoints of a training: written atomically, with all state for a bit-for-bit resume."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from detectron2.utils import comm

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.random_states import random_states
from auto_seg_loss.weights import Checkpointer, is_whole, weights_digest
from autoseg_core.files import replacing, save_whole

# The settings of a training, in its OUTPUT_DIR, and its latest checkpoint. Not config.yaml, which
# every call overwrites, even --eval-only.
RUN_FILE, LAST = "run.json", "last_checkpoint"

logger = logging.getLogger(__name__)


class TrainingCheckpointer(Checkpointer):
    """A checkpointer whose files are complete even after a kill.

    A checkpoint also has "random", the states of the random generators of each process.
    """

    def save(self, name: str, **extra: Any) -> None:
        """Write ``name``.pth and name it in last_checkpoint. Every process must call it."""
        random = comm.gather(random_states(str(next(self.model.parameters()).device)))
        if not self.save_to_disk:
            return
        parts = {key: part.state_dict() for key, part in self.checkpointables.items()}
        path = Path(self.save_dir) / f"{name}.pth"
        self.logger.info("Saving checkpoint to %s", path)
        save_whole({"model": self.model.state_dict(), **parts, "random": random, **extra}, path)
        self.tag_last_checkpoint(path.name)

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """See ``Checkpointer``, which truncates the file before it writes."""
        with replacing(Path(self.save_dir) / LAST) as partial:
            partial.write_text(last_filename_basename, encoding="utf-8")


def latest_checkpoint(directory: str | Path) -> Path | None:
    """The checkpoint to resume from; None if no training has left one.

    The one that last_checkpoint names; if that is not a complete file, the newest one that is not
    older than the record of the training, with a log line. ``ConfigError`` without any.
    """
    last, record = Path(directory) / LAST, Path(directory) / RUN_FILE
    begun = _time(record) if record.is_file() else 0
    own = [path for path in last.parent.glob("model_*.pth") if _time(path) >= begun]
    order = sorted(own, key=_time, reverse=True)
    if last.is_file():
        order.insert(0, last.parent / last.read_text(encoding="utf-8", errors="replace").strip())
    found = next(filter(is_whole, order), None)
    if found is None and last.is_file():
        raise ConfigError(
            f"{order[0]}, which {last} names, is missing or damaged, and there is no other "
            "checkpoint of this training; start again without --resume."
        )
    if found is not None and (found != order[0] or not last.is_file()):
        logger.warning("%s names no whole checkpoint; continuing from the newest, %s", last, found)
    return found


def check_same_everywhere(weights: str) -> None:
    """``ConfigError`` unless all processes are about to load a file of this content, or "", none.

    Otherwise networks that differ would be trained, or scored, as one. Every process must call it.
    """
    if comm.get_world_size() > 1 and len(set(comm.all_gather(weights_digest(weights)))) > 1:
        raise ConfigError(
            f"The processes do not start from the same weights, this one from {weights or 'none'}: "
            "OUTPUT_DIR must be the same folder on all machines, and MODEL.WEIGHTS the same file."
        )


def _time(path: Path) -> int:
    return path.stat().st_mtime_ns
