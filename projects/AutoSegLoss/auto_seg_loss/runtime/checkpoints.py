"""Checkpoints of a training: written whole, with all that going on bit for bit depends on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from detectron2.utils import comm

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.random_states import random_states
from auto_seg_loss.weights import Checkpointer, is_whole
from autoseg_core.files import replacing, save_whole

# What a training was started with, in its OUTPUT_DIR, and where it was last. Not config.yaml: every
# call writes that over, --eval-only too.
RUN_FILE, LAST = "run.json", "last_checkpoint"

logger = logging.getLogger(__name__)


class TrainingCheckpointer(Checkpointer):
    """One whose files are whole whenever a kill strikes.

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
        """See ``Checkpointer``, which empties the file before it writes."""
        with replacing(Path(self.save_dir) / LAST) as partial:
            partial.write_text(last_filename_basename, encoding="utf-8")


def latest_checkpoint(directory: str | Path) -> Path | None:
    """The checkpoint to go on from; None where no training has left one.

    That which last_checkpoint names; where it names no whole file, the newest one of this training,
    with a line in the log. ``ConfigError`` when there is none of those either.
    """
    last = Path(directory) / LAST
    named = last.read_text(encoding="utf-8", errors="replace").strip() if last.is_file() else None
    found = {path.name: path for path in last.parent.glob("*.pth")}.get(named or "")
    if found is not None and is_whole(found):
        return found
    own = sorted(_own(last.with_name(RUN_FILE)), key=_time, reverse=True)
    newest = next(filter(is_whole, own), None)
    if newest is not None:
        logger.warning("%s names no whole checkpoint; going on from the newest, %s", last, newest)
    elif named is not None:
        raise ConfigError(
            f"{last} names {named!r}, which is missing or damaged, and there is no other "
            "checkpoint of this training; begin anew without --resume."
        )
    return newest


def _own(record: Path) -> list[Path]:
    """Checkpoints that are not older than the record of their training."""
    begun = _time(record) if record.is_file() else 0
    return [path for path in record.parent.glob("model_*.pth") if _time(path) >= begun]


def _time(path: Path) -> int:
    return path.stat().st_mtime_ns
