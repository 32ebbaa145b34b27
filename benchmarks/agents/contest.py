"""Every agent on every proxy, with the same budget, under the same seeds.

Shapes: B evaluations of a run, R rounds, D search coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.agents.comparison import Comparison
from benchmarks.agents.regret import Run
from benchmarks.agents.variants import Variant
from rl.agents import Agent
from rl.agents.guarded import Guarded
from rl.proxy import ProxyResult, ProxyTask, check_result
from rl.recorded import candidate_seed

_Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """A proxy to search on, and theta (D,) of the identity surface, where searches start."""

    name: str
    task: ProxyTask
    identity: _Vector


@dataclass(frozen=True)
class Plan:
    """Length and number of the runs: budget evaluations in rounds of samples, seeds 0 … K - 1.

    paired: one sample of each round is the identity, see `rl.agents.guarded`.
    """

    budget: int
    samples: int
    seeds: int
    paired: bool = False

    def __post_init__(self) -> None:
        if min(self.seeds, self.samples, self.budget) < 1 or self.budget % self.samples:
            raise ValueError(
                "expected seeds and samples >= 1 and a budget that is a multiple of the samples, "
                f"got {self.seeds} seeds, {self.samples} samples and a budget of {self.budget}"
            )

    @property
    def rounds(self) -> int:
        return self.budget // self.samples


def run_agent(
    agent: Agent, case: Case, plan: Plan, seed: int, progress: tqdm[Any] | None = None
) -> Run:
    """Ask and tell for the whole budget; what its candidates and its means were worth."""
    values, seen, means = [], [], []
    guarded = Guarded(agent, case.identity.size, case.identity if plan.paired else None)
    for index in range(plan.rounds):
        thetas = guarded.ask(plan.samples)
        of_round = candidate_seed(seed, "search", index)
        results = [_evaluate(case.task, theta, of_round) for theta in thetas]
        rewards = np.array([result.reward for result in results])
        guarded.tell(thetas, rewards)
        seen.append(rewards - rewards[0] if plan.paired else rewards)
        values += [_worth(case.task, *pair) for pair in zip(thetas, results, strict=True)]
        mean = guarded.mean  # for the report, not for the agent: not of its budget
        means.append(_worth(case.task, mean, _evaluate(case.task, mean, of_round)))
        if progress is not None:
            progress.update(plan.samples)
    return Run(np.array(values), np.concatenate(seen), np.array(means))


def _evaluate(task: ProxyTask, theta: _Vector, seed: int) -> ProxyResult:
    return check_result(task, task.evaluate(theta.copy(), seed))


def _worth(task: ProxyTask, theta: _Vector, result: ProxyResult) -> float:
    """Without noise where the task can say, else the reward it gave."""
    value = getattr(task, "value", None)
    return float(value(theta)) if callable(value) and result.status == "ok" else result.reward


def compare(cases: Sequence[Case], variants: Sequence[Variant], plan: Plan) -> Iterator[Comparison]:
    """Every variant under every seed, one case after the other; a progress bar on a terminal.

    An evaluation that raises ends it: without a reward there is no run to compare.
    """
    total = len(cases) * len(variants) * plan.seeds * plan.budget
    reference = next((one.label for one in variants if one.name == "ppo"), variants[0].label)
    with tqdm(total=total, unit="eval", disable=None, dynamic_ncols=True) as progress:
        for case in cases:
            runs: dict[str, list[Run]] = {}
            for variant in variants:
                progress.set_description_str(f"{case.name} {variant.label}")
                runs[variant.label] = [
                    run_agent(
                        variant.make(case.identity, seed, plan.rounds), case, plan, seed, progress
                    )
                    for seed in range(plan.seeds)
                ]
            start = _worth(case.task, case.identity, _evaluate(case.task, case.identity, 0))
            yield Comparison(
                case.name,
                runs,
                reference,
                start=start,
                optimum=getattr(case.task, "maximum", None),
                remark=str(getattr(case.task, "error", "")),
            )
