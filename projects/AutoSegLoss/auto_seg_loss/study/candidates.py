"""Losses of a study taken from the journal of a search, over the whole range of its rewards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auto_seg_loss.runtime.errors import ConfigError
from autoseg_core import LossSpec, SearchSpace
from rl.journal import JournalError, Record, read_journal


@dataclass(frozen=True)
class CandidateLoss:
    """The loss at a candidate's theta, named by its id, and the reward it earned in the search."""

    spec: LossSpec
    reward: float


def pick_candidates(journal: Path, count: int) -> list[CandidateLoss]:
    """``count`` candidates of a journal, spread evenly over the ranks of their rewards.

    They come lowest first, and the lowest and the highest are among them. Failed candidates, those
    of the final choice and thetas met before are left out. ``ConfigError``: fewer candidates than
    that, or fewer than 3 asked for; ``JournalError``, ``OSError``: no journal of search_net.py.
    """
    records = read_journal(journal)
    if not records or not {"config", "space"} <= set(records[0]):
        raise JournalError(f"{journal} is not (yet) the journal of a search of search_net.py")
    # At full budget, of the search itself, each theta once.
    by_theta: dict[tuple[float, ...], Record] = {}
    for record in records:
        searched = record["kind"] == "candidate" and record["id"].startswith("r")
        if searched and record["status"] == "ok":
            by_theta.setdefault(tuple(record["theta"]), record)
    ranked = sorted(by_theta.values(), key=lambda record: record["reward"])
    if not 3 <= count <= len(ranked):
        raise ConfigError(
            "Expected STUDY.CANDIDATES from 3 to the number of different candidates that did not "
            f"fail, which is {len(ranked)} in {journal}; got {count}."
        )
    places = np.linspace(0, len(ranked) - 1, count).round().astype(int)
    return [_loss(records[0], ranked[place]) for place in places]


def _loss(header: Record, record: Record) -> CandidateLoss:
    search, test = header["config"]["SEARCH"], header["config"]["TEST"]
    spec = LossSpec.from_theta(
        record["id"],
        SearchSpace.from_dict(header["space"]),
        record["theta"],
        absent=search["ABSENT"],
        tolerance=search["TOLERANCE"],
        # Journals from before SEARCH.DROP_BACKGROUND: one key held for loss and reward alike.
        drop_background=search.get("DROP_BACKGROUND", test["DROP_BACKGROUND"]),
        void_edges=search.get("VOID_EDGES", False),  # journals from before the key: no such edges
    )
    return CandidateLoss(spec, float(record["reward"]))
