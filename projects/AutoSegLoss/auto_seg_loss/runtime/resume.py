"""The settings of a training: saved in its folder, and compared before it resumes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from filelock import FileLock, Timeout
from pydantic import BaseModel

from auto_seg_loss.config import plain, project_defaults
from auto_seg_loss.data.splits import images_digest
from auto_seg_loss.runtime.checkpoints import LAST, RUN_FILE
from auto_seg_loss.runtime.errors import ConfigError
from autoseg_core import LossSpec, load_spec
from autoseg_core.files import naming, read_json, replacing
from rl.settings_diff import differences, flat

logger = logging.getLogger(__name__)

# Keys that do not change what is trained. For the loss the content counts, not the name.
UNTRAINED_KEYS = (
    "DATALOADER.NUM_WORKERS",
    "INPUT.CACHE",
    "MODEL.SEM_SEG_HEAD.LOSS_SPEC",
    "OUTPUT_DIR",
    "SEARCH",
    "SOLVER.CHECKPOINT_PERIOD",
    "STUDY",
    "VIS_PERIOD",
)

FREE_KEYS = (
    *UNTRAINED_KEYS,
    *("DATASETS.TEST", "TEST"),
    *("MODEL.DEVICE", "MODEL.SEM_SEG_HEAD.LOSS_BACKEND", "MODEL.WEIGHTS"),
    *("SOLVER.BASE_LR", "SOLVER.MAX_ITER", "SOLVER.STEPS"),
)
"""What a resumed run may change: also the schedule, which continues as if it had always been like
that, the device, and the weights that it started from."""


def loss_text(cfg: CfgNode) -> str | None:
    """The spec that MODEL.SEM_SEG_HEAD.LOSS_SPEC names, as JSON; None for losses without one."""
    head = cfg.MODEL.SEM_SEG_HEAD
    return load_spec(head.LOSS_SPEC).to_json() if head.LOSS_TYPE == "auto_seg_loss" else None


def _content(loss: str | None) -> dict[str, Any] | None:
    """A ``loss_text`` without names and notes."""
    if loss is None:
        return None
    spec = LossSpec.from_json(loss, "the recorded loss")
    return spec.model_dump(exclude={"name", "provenance"})


@contextmanager
def sole_run(cfg: CfgNode, kind: str) -> Iterator[None]:
    """Prevent a second run of a kind, such as "training" or "study", in OUTPUT_DIR.

    ``ConfigError`` if one is running there. Warns if the file system has no locks.
    """
    path = Path(cfg.OUTPUT_DIR)
    path.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held, naming(path):
        try:
            held.enter_context(FileLock(path / f"{kind}.lock", blocking=False))
        except Timeout:
            raise ConfigError(
                f"Another {kind} is running in {path}; wait for it, stop it, or choose another "
                "OUTPUT_DIR."
            ) from None
        except OSError as error:
            logger.warning("No lock prevents a second %s in %s: %s", kind, path, error)
        yield


def begin_training(cfg: CfgNode, resume: bool) -> None:
    """Record the settings of this training; a new one removes the pointer to older checkpoints.

    Call it on the main process, after ``check_resume`` when resuming, inside ``sole_run``.
    """
    path = Path(cfg.OUTPUT_DIR) / RUN_FILE
    for left in path.parent.glob("*.partial"):  # left by a kill: as large as a checkpoint
        left.unlink()
    if resume and path.is_file():
        for change in changed_keys(_read(path).config, plain(cfg), UNTRAINED_KEYS):
            logger.info("The training continues with a changed %s", change)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if not resume:
        _replace_older(path.parent)
    images = images_digest(cfg.DATASETS.TRAIN)
    record = {"config": plain(cfg), "loss": loss_text(cfg), "images": images}
    with replacing(path) as partial:
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")


def _replace_older(directory: Path) -> None:
    last = directory / LAST
    (directory / "metrics.json").unlink(missing_ok=True)  # Detectron2 appends to it
    if last.is_file():
        logger.warning(
            "%s holds a training that ended with %s: this one starts over and replaces it "
            "(metrics.json, the curves in TensorBoard, checkpoints of the same names); --resume "
            "would have continued it.",
            *(directory, last.read_text(encoding="utf-8").strip()),
        )
        last.unlink()


def check_resume(cfg: CfgNode) -> None:
    """Refuse to resume in an ``OUTPUT_DIR`` whose training had another config or another loss.

    Keys that start with one of FREE_KEYS may differ. A directory without a training passes.
    """
    path = Path(cfg.OUTPUT_DIR) / RUN_FILE
    if not path.is_file():
        return
    record = _read(path)
    changes = changed_keys(record.config, plain(cfg), FREE_KEYS)
    if _content(record.loss) != _content(loss_text(cfg)):
        changes.append("MODEL.SEM_SEG_HEAD.LOSS_SPEC: names a loss with other content")
    if record.images not in ("", images_digest(cfg.DATASETS.TRAIN)):
        changes.append("DATASETS.TRAIN: other images, by names and lengths of their files")
    if changes:
        raise ConfigError(
            f"{path.parent} holds a training with another config:\n"
            + "".join(f"  {change}\n" for change in changes)
            + "Resume with the old values, or choose another OUTPUT_DIR."
        )


class _Record(BaseModel):
    config: dict[str, Any]
    loss: str | None
    images: str = ""


def _read(path: Path) -> _Record:
    return read_json(path, _Record, "choose another OUTPUT_DIR.")


def changed_keys(
    recorded: dict[str, Any], now: dict[str, Any], free: tuple[str, ...] = ()
) -> list[str]:
    """Differences between a recorded config, or sections of it, and the current one.

    One "SOLVER.MAX_ITER: 4 -> 9" per key, except keys that start with one of ``free``. A key that
    did not exist at the time of the record counts as its default.
    """
    names = flat(now)
    before = {
        name: value for name, value in flat(plain(project_defaults())).items() if name in names
    }
    changes = differences({**before, **flat(recorded)}, names)
    return [change for change in changes if not change.startswith(free)]
