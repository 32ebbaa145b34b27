"""Names and seeds of the evaluations that a search makes.

Shapes: N candidates of a round, D search coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rl.events import SearchSettings
from rl.executors.base import Candidate
from rl.selection import Finalist

_STAGES = {"search": 0, "selection": 1}


def candidate_seed(seed: int, stage: str, index: int) -> int:
    """Seed in [0, 2^31) of round `index` ("search"), or of fresh seed `index` ("selection").

    All candidates of a round share one, so they differ by theta only.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(_STAGES[stage], index))
    return int(sequence.generate_state(1)[0]) >> 1


def of_round(settings: SearchSettings, index: int, thetas: NDArray[np.float64]) -> list[Candidate]:
    """The candidates of round `index`, thetas (N, D)."""
    seed = candidate_seed(settings.seed, "search", index)
    return [Candidate(f"r{index:02d}c{i:02d}", theta, seed) for i, theta in enumerate(thetas)]


def of_final(
    settings: SearchSettings, seed: int, finalists: Sequence[Finalist], running: Sequence[int]
) -> list[Candidate]:
    """The running of the finalists, by index, under fresh seed number ``seed``."""
    value = candidate_seed(settings.seed, "selection", seed)
    return [Candidate(f"s00c{i:02d}m{seed}", finalists[i].theta, value) for i in running]
