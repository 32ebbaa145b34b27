"""Checkpoints of a training: written whole, with all that going on bit for bit depends on."""

from __future__ import annotations

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
    """The checkpoint that last_checkpoint names, to go on from; None where no training left one.

    ``ConfigError`` where that file is missing or damaged.
    """
    last = Path(directory) / LAST
    if not last.is_file():
        return None
    path = last.parent / last.read_text(encoding="utf-8", errors="replace").strip()
    if not is_whole(path):
        raise ConfigError(
            f"{path}, which {last} names, is missing or damaged; put the name of an earlier "
            "checkpoint there, or begin anew without --resume."
        )
    return path
