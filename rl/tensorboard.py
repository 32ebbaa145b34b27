"""A search in TensorBoard.

Tags, each over the number of the evaluation unless said otherwise:
search/reward, search/best, search/failed; scores/<name>; over rounds: search/round_mean,
policy_mean/<coordinate>, policy_spread/<coordinate>, curves (image); at the end: selection/reward
(over the fresh seeds' evaluations), report (text).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from autoseg_core.surfaces.space import SearchSpace
from rl.callbacks import Callback
from rl.events import CandidateEvent, RoundEvent, SearchResult, SearchStart
from rl.figures import draw_curves, figure_to_image

_EVENT_FILES = "events.out.tfevents.*"


class TensorBoard(Callback):
    """Writes events into a directory of its own.

    Event files already there are removed first: a resumed search tells its callbacks everything
    again, so the new file is whole, and no point appears twice.

    Args:
        directory: for this search's events only; made if missing.
        space: names the coordinates and draws the curves.
    """

    def __init__(self, directory: str | Path, space: SearchSpace) -> None:
        self._directory = Path(directory)
        self._space = space
        self._writer: SummaryWriter | None = None

    def on_start(self, event: SearchStart) -> None:
        for old in self._directory.glob(_EVENT_FILES):
            old.unlink()
        self._writer = SummaryWriter(str(self._directory))
        self._identity = event.identity
        self._write_policy(event.mean, event.spread, 0)

    def on_candidate(self, event: CandidateEvent) -> None:
        if event.stage == "selection":
            self._scalar("selection/reward", event.result.reward, event.step)
            return
        self._scalar("search/reward", event.result.reward, event.step)
        self._scalar("search/failed", float(event.result.status == "failed"), event.step)
        if event.best is not None:
            self._scalar("search/best", event.best[1].reward, event.step)
        for name, score in event.result.scores.items():
            self._scalar(f"scores/{name}", score, event.step)

    def on_round(self, event: RoundEvent) -> None:
        step = event.round + 1  # 0 is the policy before the first round
        self._scalar("search/round_mean", event.reward_mean, step)
        self._write_policy(event.mean, event.spread, step)
        self._open().flush()

    def on_finish(self, result: SearchResult) -> None:
        report = "\n".join(f"    {line}" for line in result.selection.report().splitlines())
        self._open().add_text("report", report)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write_policy(
        self, mean: NDArray[np.float64], spread: NDArray[np.float64], step: int
    ) -> None:
        for name, centre, width in zip(self._space.names, mean, spread, strict=True):
            self._scalar(f"policy_mean/{name}", float(centre), step)
            self._scalar(f"policy_spread/{name}", float(width), step)
        figure = draw_curves(self._space, [self._identity, mean], ["identity", "policy mean"])
        self._open().add_image("curves", figure_to_image(figure), step, dataformats="HWC")

    def _scalar(self, tag: str, value: float, step: int) -> None:
        if np.isfinite(value):  # a score that could not be measured leaves a gap
            self._open().add_scalar(tag, value, step)

    def _open(self) -> SummaryWriter:
        if self._writer is None:
            raise RuntimeError("TensorBoard writes between on_start and close only")
        return self._writer
