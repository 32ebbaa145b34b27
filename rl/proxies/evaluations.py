"""The evaluations that journals hold, as the numbers of a regression.

Shapes: N evaluations, D search coordinates, S outputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoseg_core import Space, space_from_dict
from rl.journal import JournalError, Record, read_journal
from rl.proxies.regression import FOLDS
from rl.proxy import ProxyResult, result_from_json

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evaluations:
    """What succeeded at full budget, in the order of the journals.

    Args:
        space: of the thetas.
        thetas: (N, D) in [0, 1].
        values: (N, S), the reward and then the scores of score_names.
        score_names: the scores that every evaluation has.
        failed: candidates left out because they had failed or were lost.
    """

    space: Space
    thetas: Array
    values: Array
    score_names: tuple[str, ...]
    failed: int


def read_evaluations(paths: Sequence[Path], space: Space | None = None) -> Evaluations:
    """All journals as one; ``space`` is the one they must have, None = whichever they share.

    Raises:
        ValueError: no journal, one without space or of another space, or fewer different thetas
            than max(2 D, 10).
        rl.journal.JournalError, FileNotFoundError: a journal that cannot be read.
    """
    if not paths:
        raise ValueError("expected the path of at least one journal, got none")
    journals = {path: read_journal(path) for path in paths}
    space = _common_space(journals, space)
    results = [
        _candidate(path, record, space)
        for path, records in journals.items()
        for record in records
        if record["kind"] == "candidate"
    ]
    good = [(theta, result) for theta, result in results if result.status == "ok"]
    thetas = np.array([theta for theta, _ in good]).reshape(len(good), space.dim)
    _check_enough(paths, thetas)
    names = _measured([result for _, result in good])
    values = np.array([[r.reward, *(r.scores[name] for name in names)] for _, r in good])
    return Evaluations(space, thetas, values, names, len(results) - len(good))


def _common_space(journals: dict[Path, list[Record]], space: Space | None) -> Space:
    for path, records in journals.items():
        own = _space(path, records)
        if space is not None and own != space:
            raise ValueError(
                f"{path} is of a search over {own}, expected {space}: rewards of different "
                "spaces do not mix; leave it out, or ask for its own space"
            )
        space = own
    assert space is not None
    return space


def _space(path: Path, records: list[Record]) -> Space:
    if not records:
        raise ValueError(f"{path} holds no header yet; wait for its search to begin")
    try:
        return space_from_dict(records[0]["space"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path}: the header\'s "space" must be a SearchSpace.to_dict(), got '
            f"{records[0].get('space')!r} ({error!r}). Journals of older versions have none: "
            "repeat that search"
        ) from None


def _candidate(path: Path, record: Record, space: Space) -> tuple[Array, ProxyResult]:
    try:
        theta = np.array(record["theta"], dtype=np.float64)
        space.control_points(theta)  # checks shape and range
        return theta, result_from_json(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise JournalError(
            f"{path}: candidate {record.get('id')!r} is not one of {space} ({error!r}); the file "
            "was changed by something other than a search: restore it"
        ) from None


def _check_enough(paths: Sequence[Path], thetas: Array) -> None:
    different, least = len(np.unique(thetas, axis=0)), max(2 * thetas.shape[1], 2 * FOLDS)
    if different < least:
        raise ValueError(
            f"a regression over {thetas.shape[1]} coordinates needs candidates of at least "
            f"{least} different thetas that did not fail, found {different} in "
            f"{', '.join(map(str, paths))}; let the search run on, or add journals"
        )


def _measured(results: list[ProxyResult]) -> tuple[str, ...]:
    """Scores that every candidate has, in the order of the first."""
    return tuple(
        name
        for name in results[0].scores
        if all(math.isfinite(result.scores.get(name, math.nan)) for result in results)
    )
