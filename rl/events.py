"""The events that a search passes to its callbacks, and its result. Data only.

Shapes: D search coordinates.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rl.estimates import Finalist
from rl.executors.base import Candidate
from rl.halving import evaluations
from rl.proxy import ProxyResult
from rl.selection import Selection

Stage = Literal["search", "rung", "selection"]


@dataclass(frozen=True)
class SearchSettings:
    """Length and final of a search; `dataclasses.asdict` of it belongs in the journal's header.

    Args:
        rounds: how often the agent is asked and told; >= 1.
        samples: candidates per round; >= 1, with `paired` >= 2 (with PPO's baseline "mu" one of
            them is the mean).
        seed: root of every candidate's seed; the agent has its own.
        top_k: how many of the best candidates enter the final, besides mean and identity; >= 0.
        minutes: wall-clock limit of the rounds; 0 = none. A round starts if it would end in time
            given the average of the earlier ones; the first one always starts.
        reseeds: maximum number of fresh seeds in the final; >= 2, as one pair allows no comparison.
        paired: tell the agent gains over the identity, which is one of each round's samples, see
            `rl.agents.guarded`. The final's candidates are then also the best by gain.
        rungs: how often a round is halved, see `rl.halving`; 0 = all get the full budget.
    """

    rounds: int
    samples: int
    seed: int = 0
    top_k: int = 3
    reseeds: int = 8
    minutes: float = 0.0
    paired: bool = False
    rungs: int = 0

    def __post_init__(self) -> None:
        least = {"rounds": 1, "samples": 1 + self.paired, "reseeds": 2}
        for name, value in asdict(self).items():
            if value < least.get(name, 0):
                raise ValueError(f"{name} must be >= {least.get(name, 0)}, got {value}")

    def time_is_over(self, rounds: int, seconds: float) -> bool:
        """Whether to stop after so many rounds, which took so many seconds in total."""
        return self.minutes > 0.0 and seconds * (rounds + 1) / rounds > 60.0 * self.minutes

    @property
    def search_evaluations(self) -> int:
        """Evaluations of all rounds, with those on rungs counted one each, if none fails."""
        return self.rounds * evaluations(self.samples, self.rungs, int(self.paired))

    @property
    def max_evaluations(self) -> int:
        """Evaluations of rounds and final together, if all finalists are distinct."""
        return self.search_evaluations + (2 + self.top_k) * self.reseeds


@dataclass(frozen=True, eq=False)
class SearchStart:
    """The search ahead: `replayed` evaluations are in the journal and cost nothing."""

    settings: SearchSettings
    identity: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    replayed: int


@dataclass(frozen=True, eq=False)
class CandidateEvent:
    """One evaluation is done: new and on disk, or replayed from the journal.

    `stage` is "rung" for an evaluation at part of the budget. `step` counts the evaluations of
    the search from 0; `best` is the best ok candidate of the rounds so far, at full budget (None
    before the first); the final does not change it.
    """

    stage: Stage
    step: int
    candidate: Candidate
    result: ProxyResult
    replayed: bool
    best: tuple[Candidate, ProxyResult] | None


@dataclass(frozen=True, eq=False)
class RoundEvent:
    """The agent has been told a round; mean and spread (D,) are those it continues with.

    It was told thetas (N, D) and rewards (N,). `counts` has the number of candidates of the round
    that ended "ok", "failed", "stopped" at a rung, or "lost" (and so not told). All rounds so far
    took `seconds`, each in the run that made it.
    """

    round: int
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    thetas: NDArray[np.float64]
    rewards: NDArray[np.float64]
    counts: Counter[str]
    best: tuple[Candidate, ProxyResult] | None
    seconds: float

    @property
    def reward_mean(self) -> float:
        """Mean of the told rewards; NaN if all were lost."""
        return float(self.rewards.mean()) if self.rewards.size else math.nan


@dataclass(frozen=True, eq=False)
class SelectionEvent:
    """The rounds are over; these finalists race next, over `reseeds` seeds at most."""

    finalists: tuple[Finalist, ...]
    rounds: int


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The chosen theta (D,), the policy's final mean (D,), and how the choice was made.

    `reward` is the winner's mean over the fresh seeds. `failures` and `lost` count evaluations.
    """

    theta: NDArray[np.float64]
    reward: float
    mean: NDArray[np.float64]
    selection: Selection
    evaluations: int
    failures: int
    lost: int
