"""A search in TensorBoard.

The search's own run. Over the index of the evaluation: search/reward, search/best, search/failed,
search/lost, scores/<name>; with rungs, rungs/<budget>: rewards at that part of the budget. Over
rounds, where step r is the policy that proposes round r: search/round_mean (of the round before),
policy_mean/<coordinate>, policy_spread/<coordinate>, curves (image), and histograms of the told
proposals, proposed/<coordinate> and proposed/reward. At the end: selection/reward (over the
evaluations with fresh seeds), report (text).

A run for each candidate at full budget, candidates/<id>: its row in the HPARAMS tab, with
theta/<coordinate> and round, and in the same run its metrics, reward and scores/<name>. All rows
have the same keys: with different keys, TensorBoard hides columns.

Shapes: N candidates of a round, D search coordinates.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams, scalar
from torch.utils.tensorboard.writer import FileWriter

from autoseg_core import PAPER_METRICS, SearchSpace
from rl.callbacks import Callback
from rl.events import CandidateEvent, RoundEvent, SearchResult, SearchStart
from rl.figures import draw_curves, figure_to_image

_CANDIDATES = "candidates"
_BINS = np.linspace(0.0, 1.0, 31)  # the same for every round, so that histograms compare


class TensorBoard(Callback):
    """Writes events into its own directory.

    Existing event files are removed first: a resumed search sends its callbacks all events again,
    so the new files are complete, and no point appears twice.

    Args:
        directory: only for this search's events; made if missing.
        space: names the coordinates and draws the curves.
        score_names: the metrics of every candidate's row; NaN where a candidate has none.
    """

    def __init__(
        self, directory: str | Path, space: SearchSpace, score_names: Sequence[str] = PAPER_METRICS
    ) -> None:
        self._directory = Path(directory)
        self._space = space
        self._score_names = tuple(score_names)
        self._round = 0

    def on_start(self, event: SearchStart) -> None:
        for old in self._directory.glob("events.out.tfevents.*"):
            old.unlink()
        shutil.rmtree(self._directory / _CANDIDATES, ignore_errors=True)
        self._writer = SummaryWriter(str(self._directory))
        self._identity, self._round = event.identity, 0
        self._write_policy(event.mean, event.spread, 0)
        self._write_curves({"policy mean": event.mean}, 0)

    def on_candidate(self, event: CandidateEvent) -> None:
        if event.stage == "selection":
            self._scalar("selection/reward", event.result.reward, event.step)
        elif event.stage == "rung":
            self._scalar(f"rungs/{event.candidate.budget:g}", event.result.reward, event.step)
        elif event.stage == "search":
            self._scalar("search/reward", event.result.reward, event.step)
            for bad in ("failed", "lost"):
                self._scalar(f"search/{bad}", float(event.result.status == bad), event.step)
            if event.best is not None:
                self._scalar("search/best", event.best[1].reward, event.step)
            for name, score in event.result.scores.items():
                self._scalar(f"scores/{name}", score, event.step)
            self._write_row(event)

    def on_round(self, event: RoundEvent) -> None:
        for name, values in zip(self._space.names, event.thetas.T, strict=True):
            self._histogram(f"proposed/{name}", values, event.round)
        self._histogram("proposed/reward", event.rewards, event.round)
        self._round = step = event.round + 1
        self._scalar("search/round_mean", event.reward_mean, step)
        self._write_policy(event.mean, event.spread, step)
        best = {} if event.best is None else {"best candidate": event.best[0].theta}
        self._write_curves({"policy mean": event.mean, **best}, step)
        self._writer.flush()

    def on_finish(self, result: SearchResult) -> None:
        report = "\n".join(f"    {line}" for line in result.selection.report().splitlines())
        self._writer.add_text("report", report)

    def close(self) -> None:
        if hasattr(self, "_writer"):  # the search has started
            self._writer.close()

    def _write_row(self, event: CandidateEvent) -> None:
        """The candidate's own run; its file is closed at once: there may be thousands."""
        result = event.result
        scores = {f"scores/{n}": result.scores.get(n, math.nan) for n in self._score_names}
        metrics = {"reward": result.reward, **scores}
        row = dict(zip(self._space.names, event.candidate.theta.tolist(), strict=True))
        named = {f"theta/{name}": value for name, value in row.items()}
        # No experiment summary: TensorBoard would use the first one that it finds for all
        # searches below its LOGDIR. Without any, it shows the union of their columns.
        _, begin, end = hparams({**named, "round": float(self._round)}, metrics)
        writer = FileWriter(str(self._directory / _CANDIDATES / event.candidate.id))
        try:
            writer.add_summary(begin)
            for tag, value in metrics.items():
                writer.add_summary(scalar(tag, value), event.step)
            if result.status == "ok":
                writer.add_summary(end)  # says "success"; without it the status is "unknown"
        finally:
            writer.close()

    def _write_policy(
        self, mean: NDArray[np.float64], spread: NDArray[np.float64], step: int
    ) -> None:
        for name, centre, width in zip(self._space.names, mean, spread, strict=True):
            self._scalar(f"policy_mean/{name}", float(centre), step)
            self._scalar(f"policy_spread/{name}", float(width), step)

    def _write_curves(self, thetas: dict[str, NDArray[np.float64]], step: int) -> None:
        lines = {"identity": self._identity, **thetas}
        figure = draw_curves(self._space, list(lines.values()), list(lines))
        self._writer.add_image("curves", figure_to_image(figure), step, dataformats="HWC")

    def _scalar(self, tag: str, value: float, step: int) -> None:
        if np.isfinite(value):  # a score that could not be measured leaves a gap
            self._writer.add_scalar(tag, value, step)

    def _histogram(self, tag: str, values: NDArray[np.float64], step: int) -> None:
        if values.size:  # all of a round may be lost
            self._writer.add_histogram(tag, np.clip(values, 0.0, 1.0), step, bins=_BINS)
