"""A search's events as journal records, and back.

No record holds a path or, unless the time of a search is limited, a time: equally seeded searches
write equal journals, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rl.events import RoundEvent, SearchResult
from rl.executors.base import Candidate
from rl.halving import Ended
from rl.journal import EVALUATIONS, Journal, JournalError, Record
from rl.proxy import ProxyResult, result_from_json, result_to_json


def candidates_of(journal: Journal) -> dict[str, Record]:
    """id -> the record of its evaluation, less those that a later "again" record names."""
    known: dict[str, Record] = {}
    for record in journal.records:
        if record["kind"] in EVALUATIONS:
            known[record["id"]] = record
        elif record["kind"] == "again":
            for name in record["ids"]:
                known.pop(name, None)
    return known


def replay(journal: Journal, record: Record, candidate: Candidate) -> ProxyResult:
    """The recorded result; JournalError unless theta and seed are what this search asks for."""
    asked = {"seed": candidate.seed, "theta": candidate.theta.tolist()}
    if candidate.budget < 1.0:
        asked["budget"] = candidate.budget
    recorded = {key: record.get(key) for key in asked}
    if asked != recorded:
        raise JournalError(
            f"{journal.path}: candidate {candidate.id} was recorded with {recorded}, this search "
            f"asks for {asked}. The journal was changed, or code or libraries differ from those "
            "it was written with: resume with those, or start in another output directory"
        )
    return result_from_json(record)


def candidate_record(candidate: Candidate, result: ProxyResult) -> Record:
    """{"kind": "candidate", "id", "seed", "theta", "status", "reward", "scores", "reason"}.

    One evaluated at a part of the budget has the kind "rung", and its "budget".
    """
    name = {"kind": "candidate", "id": candidate.id, "seed": candidate.seed}
    if candidate.budget < 1.0:
        name |= {"kind": "rung", "budget": candidate.budget}
    return {**name, "theta": candidate.theta, **result_to_json(result)}


def stopped_record(candidate_id: str, end: Ended, told: float) -> Record:
    """{"kind": "stopped", ...}: the candidate ended at a rung, and what the agent is told.

    "status" is "stopped" for one that was beaten, else "failed" or "lost", with no reward told.
    """
    return {
        "kind": "stopped",
        "id": candidate_id,
        "budget": end.evaluation.budget,
        "status": end.status,
        "reward": told,
        "reason": end.result.reason,
    }


def again_record(lost: Sequence[str]) -> Record:
    """{"kind": "again", "ids"}: a search stopped over these lost evaluations, to be made again."""
    return {"kind": "again", "ids": list(lost)}


def round_record(event: RoundEvent, timed: bool) -> Record:
    """{"kind": "round", ...}; mean and sigma are those the agent continues with.

    timed: with the "seconds" of all rounds so far.
    """
    best = event.best
    stopped = {"stopped": event.stopped} if event.stopped else {}
    return {
        "kind": "round",
        "round": event.round,
        "mean": event.mean,
        "sigma": event.spread,
        "reward_mean": event.reward_mean,
        "failures": event.failures,
        "lost": event.lost,
        **stopped,
        **({"seconds": event.seconds} if timed else {}),
        "best_id": best[0].id if best else None,
        "best_reward": best[1].reward if best else None,
    }


def result_record(result: SearchResult) -> Record:
    """{"kind": "result", ...}: the chosen theta, and every finalist's rewards."""
    selection = result.selection
    finalists: list[dict[str, Any]] = [
        {
            "name": one.finalist.name,
            "theta": one.finalist.theta,
            "rewards": one.rewards,
            "mean": one.mean,
            "standard_error": one.standard_error,
            "failures": one.count("failed"),
            "lost": one.count("lost"),
        }
        for one in selection.estimates
    ]
    return {
        "kind": "result",
        "winner": selection.winner.finalist.name,
        "theta": result.theta,
        "reward": result.reward,
        "mean": result.mean,
        "evaluations": result.evaluations,
        "failures": result.failures,
        "lost": result.lost,
        "finalists": finalists,
        "difference": selection.comparison.difference,
        "standard_error": selection.comparison.standard_error,
        "beyond_noise": selection.comparison.beyond_noise,
        "statement": selection.comparison.statement,
        "ending": selection.ending,
    }
