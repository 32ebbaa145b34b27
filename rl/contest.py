"""A contest of agents: every one on every problem, with the same budget, under the same seeds.

Shapes: B evaluations of a run, R rounds, D search coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from rl.agents import Agent
from rl.agents.guarded import Guarded
from rl.agents.paired import Paired
from rl.agents.variants import Variant
from rl.candidates import candidate_seed
from rl.comparison import Comparison
from rl.proxy import ProxyResult, ProxyTask, check_result
from rl.regret import Run

_Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Problem:
    """A proxy to search on, and theta (D,) of the identity surface, where searches start."""

    name: str
    task: ProxyTask
    identity: _Vector


@dataclass(frozen=True)
class Plan:
    """Length and number of the runs: budget evaluations in rounds of samples, seeds 0 … K - 1.

    paired: one sample of each round is the identity, see `rl.agents.paired`.
    """

    budget: int
    samples: int
    seeds: int
    paired: bool = False

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.samples < 1:
            raise ValueError(
                f"expected seeds and samples >= 1, got {self.seeds} seeds, {self.samples} samples"
            )
        if self.budget < self.samples or self.budget % self.samples:
            raise ValueError(
                f"the budget is a whole number of rounds, so that no agent gets a round of another "
                f"size: expected a multiple of {self.samples} samples, got {self.budget}"
            )

    @property
    def rounds(self) -> int:
        return self.budget // self.samples


def run_agent(
    agent: Agent, problem: Problem, plan: Plan, seed: int, progress: tqdm[Any] | None = None
) -> Run:
    """Ask and tell for the whole budget; what its candidates and its means were worth."""
    values, seen, means = [], [], []
    one = Paired(agent, problem.identity) if plan.paired else agent
    guarded = Guarded(one, problem.identity.size)
    for index in range(plan.rounds):
        thetas = guarded.ask(plan.samples)
        of_round = candidate_seed(seed, "search", index)
        results = [_evaluate(problem.task, theta, of_round) for theta in thetas]
        rewards = np.array([result.reward for result in results])
        guarded.tell(thetas, rewards)
        seen.append(rewards - rewards[0] if plan.paired else rewards)
        values += [_worth(problem.task, *pair) for pair in zip(thetas, results, strict=True)]
        mean = guarded.mean  # for the report, not for the agent: not of its budget
        means.append(_worth(problem.task, mean, _evaluate(problem.task, mean, of_round)))
        if progress is not None:
            progress.update(plan.samples)
    return Run(np.array(values), np.concatenate(seen), np.array(means))


def _evaluate(task: ProxyTask, theta: _Vector, seed: int) -> ProxyResult:
    return check_result(task, task.evaluate(theta.copy(), seed))


def _worth(task: ProxyTask, theta: _Vector, result: ProxyResult) -> float:
    """Without noise where the task can say, else the reward it gave."""
    value = getattr(task, "value", None)
    return float(value(theta)) if callable(value) and result.status == "ok" else result.reward


def _worth_of(task: ProxyTask, theta: _Vector) -> float:
    return _worth(task, theta, _evaluate(task, theta, 0))


def compare(
    problems: Sequence[Problem], variants: Sequence[Variant], plan: Plan
) -> Iterator[Comparison]:
    """Every variant under every seed, one problem after the other; a bar on a terminal.

    An evaluation that raises ends it: without a reward there is no run to compare.
    """
    total = len(problems) * len(variants) * plan.seeds * plan.budget
    with tqdm(total=total, unit="eval", disable=None, dynamic_ncols=True) as progress:
        for problem in problems:
            runs: dict[str, list[Run]] = {variant.label: [] for variant in variants}
            for variant in variants:
                progress.set_description_str(f"{problem.name} {variant.label}")
                for seed in range(plan.seeds):
                    agent = variant.make(problem.identity, seed, plan.rounds)
                    run = run_agent(agent, problem, plan, seed, progress)
                    runs[variant.label].append(run)
            yield Comparison(
                problem.name,
                runs,
                _reference(variants),
                start=_worth_of(problem.task, problem.identity),
                optimum=_optimum(problem.task),
                remark=_remark(problem.task),
            )


def _reference(variants: Sequence[Variant]) -> str:
    """The first ppo, else the first of all."""
    return next((one.label for one in variants if one.name == "ppo"), variants[0].label)


def _optimum(task: ProxyTask) -> float | None:
    """The best reward there is, where the task knows."""
    maximum = getattr(task, "maximum", None)
    return None if maximum is None else float(maximum)


def _remark(task: ProxyTask) -> str:
    """What the task says of its own error, if anything."""
    error = getattr(task, "error", None)
    return "" if error is None else str(error)
