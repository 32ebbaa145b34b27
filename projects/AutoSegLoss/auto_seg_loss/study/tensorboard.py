"""A study in TensorBoard: one folder of events, in it a run for each cell.

A cell's run holds its row of the HPARAMS tab, with the keys of HPARAMS in every row; under the same
tags in all runs, so that they overlay, its losses over iterations and its scores, scores/<name>, at
every evaluation; and pictures of the same test images in all runs: prediction/<n>, truth/<n>,
borders/<n>. All else that a training writes is in the events of the cell's own folder: every scalar
of a run is a column of the HPARAMS tab.

Everything is taken from the cells' folders, so a study that goes on writes the events anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch.utils.tensorboard.summary import hparams, image, scalar
from torch.utils.tensorboard.writer import FileWriter

from auto_seg_loss.hooks.writers import read_rows
from auto_seg_loss.study.finished import CellResult
from auto_seg_loss.study.images import pictures_of
from auto_seg_loss.study.matrix import Cell, Study
from auto_seg_loss.study.results import value_of
from auto_seg_loss.study.settings import TENSORBOARD

HPARAMS = ("dataset", "network", "loss", "seed", "lr", "iterations", "batch")

_EVALUATED = "sem_seg/"
"""What a training's metrics.json has before the names of scores."""


class StudyBoard:
    """Writes a run for each cell below OUTPUT_DIR/tensorboard; older events there are removed."""

    def __init__(self, study: Study) -> None:
        self._folder = study.output / TENSORBOARD
        self._names = study.score_names
        for old in self._folder.rglob("events.out.tfevents.*"):
            old.unlink()

    def add(self, result: CellResult) -> None:
        """Write the run of a cell; its file is closed at once: there may be thousands."""
        cell = result.cell
        step = cell.config.SOLVER.MAX_ITER
        scores = {f"scores/{n}": result.scores.get(n, math.nan) for n in self._names}
        # The summary of the experiment is left out: see rl/tensorboard.py.
        _, begin, end = hparams(hparams_of(cell), scores)
        writer = FileWriter(str(self._folder / cell.run))
        try:
            writer.add_summary(begin)
            for tag, value, at in training_scalars(cell.directory, self._names):
                if at < step:
                    writer.add_summary(scalar(tag, value), at)
            for name in self._names:
                writer.add_summary(scalar(f"scores/{name}", value_of(result, name)), step)
            for number, shown in enumerate(pictures_of(result)):
                for kind, picture in vars(shown).items():
                    summary = image(f"{kind}/{number}", picture, dataformats="HWC")
                    writer.add_summary(summary, step)
            if not result.reason:
                writer.add_summary(end)  # says "success"; without it the status is "unknown"
        finally:
            writer.close()


def hparams_of(cell: Cell) -> dict[str, str | float]:
    """What tells the cell from the others, under the keys of HPARAMS."""
    cfg, setting = cell.config, cell.setting
    head = cfg.MODEL.SEM_SEG_HEAD.NAME
    values = (
        setting.dataset or cfg.DATASETS.TRAIN[0],
        setting.network or f"{head} on {cfg.MODEL.BACKBONE.NAME}",
        cell.loss,
        float(cell.seed),
        float(cfg.SOLVER.BASE_LR),
        float(cfg.SOLVER.MAX_ITER),
        float(cfg.SOLVER.IMS_PER_BATCH * cfg.SOLVER.ACCUMULATE),
    )
    return dict(zip(HPARAMS, values, strict=True))


def training_scalars(directory: Path, names: Sequence[str]) -> Iterator[tuple[str, float, int]]:
    """Tag, value and iteration of losses and of these scores, from the cell's metrics.json."""
    tags = {_EVALUATED + name: f"scores/{name}" for name in names}
    for record in read_rows(directory / "metrics.json"):
        for key, value in record.items():
            tag = key if key.startswith(("total_loss", "loss_")) else tags.get(key)
            if tag is not None:
                yield tag, value, int(record["iteration"])
