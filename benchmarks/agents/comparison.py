"""What a comparison of agents on one proxy shows: table, remark, figure.

Shapes: K seeds, B evaluations of a run, R rounds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import sem
from tabulate import tabulate

from autoseg_core.plot import new_figure
from benchmarks.agents.regret import (
    Reach,
    Run,
    checkpoints,
    incumbent_values,
    measure_reach,
    offered_values,
)
from rl.estimates import mean_and_error

_Array = NDArray[np.float64]

_DEFINITIONS = """\
Regret: the optimum less the noise-free reward; mean ± standard error over {seeds} seeds, after \
{budget} evaluations.
Final regret: of the candidate that looked best. Regret at n: the same after n evaluations, \
without its error. Regret of mean: of the agent's own best guess.
Evaluations to {reference}'s reward: those of all seeds until each offers it, over the seeds that \
do (expected running time; a seed that never does has spent its budget). A search offers the \
better of best candidate and mean; {reference}'s reward is what it offers at its end, averaged \
over its seeds. Factor: {reference}'s budget over these evaluations."""

_LEAST_REGRET = 1e-12
"""Drawn for less: the logarithm of a regret of 0 is not on paper."""


class Comparison:
    """Runs of several agents on one proxy, equal in number and length.

    Args:
        proxy: its name.
        runs: label of an agent -> its K runs.
        reference: the label whose final reward the others are to reach.
        start: what the identity is worth, where every search begins.
        optimum: the best reward there is, if known. A run that found better raises it.
        remark: on the proxy, in words.
    """

    def __init__(
        self,
        proxy: str,
        runs: dict[str, list[Run]],
        reference: str,
        *,
        start: float,
        optimum: float | None = None,
        remark: str = "",
    ) -> None:
        self.proxy, self.runs, self.reference = proxy, runs, reference
        every = [run for some in runs.values() for run in some]
        found = max(start, *(max(run.values.max(), run.mean_values.max()) for run in every))
        self.optimum = float(found if optimum is None else max(found, optimum))
        remarks = [
            f"the identity, where every search begins, has regret {self.optimum - start:.5f}"
        ]
        if optimum is None:
            remarks.append("the optimum is not known: regret is against the best that was found")
        self.start, self.remark = start, "; ".join([*remarks, remark] if remark else remarks)
        self.seeds, self.budget = len(runs[reference]), every[0].values.size
        self.checkpoints = checkpoints(self.budget, every[0].mean_values.size)

    def regrets(self, label: str) -> _Array:
        """(K, B) simple regret of each seed after each evaluation."""
        return np.stack([self.optimum - incumbent_values(run) for run in self.runs[label]])

    def mean_regrets(self, label: str) -> _Array:
        """(K, R) regret of the agent's mean after each round."""
        return np.stack([self.optimum - run.mean_values for run in self.runs[label]])

    @property
    def target(self) -> float:
        """What the reference offers at its end, averaged over its seeds."""
        return math.fsum(offered_values(run)[-1] for run in self.runs[self.reference]) / self.seeds

    def reach(self, label: str) -> Reach:
        """How soon that agent offers the target; the reference itself, with its whole budget."""
        if label == self.reference:
            return Reach(self.budget, self.seeds, 1.0)
        return measure_reach([offered_values(run) for run in self.runs[label]], self.target)

    def rows(self) -> list[list[str]]:
        """One row per agent, as the headers of `report` say."""
        return [
            [self.proxy, label, *self._regret_cells(label), *self._reach_cells(label)]
            for label in self.runs
        ]

    def _regret_cells(self, label: str) -> list[str]:
        regrets, means = self.regrets(label), self.mean_regrets(label)
        on_the_way = [f"{regrets[:, count - 1].mean():.5f}" for count in self.checkpoints]
        return [*on_the_way, _plus_minus(regrets[:, -1]), _plus_minus(means[:, -1])]

    def _reach_cells(self, label: str) -> list[str]:
        if label == self.reference:
            return [str(self.budget), "-", "1"]
        if self.start >= self.target:
            return ["-", "-", "-"]  # no better than the identity: reaching it is no feat
        reach = self.reach(label)
        share = f"{reach.seeds}/{self.seeds}"
        if reach.seeds == 0:
            return ["never", share, "-"]
        return [f"{reach.evaluations:.0f}", share, f"{reach.factor:.2f}"]


def report(comparisons: Sequence[Comparison]) -> str:
    """GitHub Markdown: the table of all proxies, a remark on each, and what the columns mean."""
    first = comparisons[0]
    reference = first.reference
    on_the_way = [f"at {count}" for count in first.checkpoints]
    on_the_way[:1] = [f"regret {header}" for header in on_the_way[:1]]
    headers = ["proxy", "agent", *on_the_way, "final regret", "regret of mean"]
    headers += [f"evaluations to {reference}'s reward", "seeds that reach it", "factor"]
    rows = [row for one in comparisons for row in one.rows()]
    table = tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
    remarks = [f"- {one.proxy}: {one.remark}." for one in comparisons]
    definitions = _DEFINITIONS.format(seeds=first.seeds, budget=first.budget, reference=reference)
    return "\n".join([table, "", *remarks, "", definitions])


def draw_regret(title: str, regrets: Mapping[str, _Array]) -> Figure:
    """One line per agent, its mean regret over the evaluations, in a band of ± standard error.

    Args:
        title: what was searched.
        regrets: label -> (K, B) regret >= 0 of each seed after each evaluation.
    """
    figure = new_figure(6.4, 4.2, layout="constrained")
    panel = figure.subplots()
    for label, curves in regrets.items():
        mean = np.mean(curves, axis=0)
        error = sem(curves, axis=0) if len(curves) > 1 else 0.0  # at most the mean: curves >= 0
        low, middle, high = (
            np.maximum(y, _LEAST_REGRET) for y in (mean - error, mean, mean + error)
        )
        x = np.arange(1, mean.size + 1)
        (line,) = panel.plot(x, middle, label=label)
        panel.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    panel.set(title=title, xlabel="evaluations", ylabel="simple regret", yscale="log")
    panel.grid(color="0.9")
    panel.legend(fontsize="small")
    return figure


def write_comparisons(comparisons: Sequence[Comparison], directory: Path) -> str:
    """table.md and regret_<proxy>.png into a directory; returns the report.

    An earlier comparison's figures are removed first: they may be of other proxies.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("regret_*.png"):
        old.unlink()
    text = report(comparisons)
    (directory / "table.md").write_text(text + "\n", encoding="utf-8")
    for one in comparisons:
        figure = draw_regret(one.proxy, {label: one.regrets(label) for label in one.runs})
        name = re.sub(r"[^\w.=,-]", "_", one.proxy)
        figure.savefig(directory / f"regret_{name}.png", dpi=150)
    return text


def _plus_minus(values: _Array) -> str:
    mean, error = mean_and_error(values.tolist())
    return f"{mean:.5f}" if math.isnan(error) else f"{mean:.5f} ± {error:.5f}"
