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

from autoseg_core import SearchSpace
from benchmarks.agents.regression import FOLDS
from rl.journal import JournalError, Record, read_journal
from rl.proxy import result_from_json

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

    space: SearchSpace
    thetas: Array
    values: Array
    score_names: tuple[str, ...]
    failed: int


def read_evaluations(paths: Sequence[Path], space: SearchSpace | None = None) -> Evaluations:
    """All journals as one; ``space`` is the one they must have, None = whichever they share.

    Raises:
        ValueError: a journal without space or of another space, or fewer different thetas in all
            than max(2 D, 10).
        rl.journal.JournalError, FileNotFoundError: a journal that cannot be read.
    """
    candidates: list[Record] = []
    for path in paths:
        header, *records = read_journal(path) or [{}]
        space = _check_space(path, header, space)
        candidates += [record for record in records if record["kind"] == "candidate"]
    good = [record for record in candidates if record["status"] == "ok"]
    _check_enough(paths, good, space)
    assert space is not None
    try:
        thetas = np.array([record["theta"] for record in good])
        results = [result_from_json(record) for record in good]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise JournalError(
            f"{paths} hold a candidate that is none ({error!r}): restore the files"
        ) from None
    names = tuple(
        name
        for name in results[0].scores
        if all(math.isfinite(result.scores.get(name, math.nan)) for result in results)
    )
    values = np.array([[one.reward, *(one.scores[name] for name in names)] for one in results])
    return Evaluations(space, thetas, values, names, len(candidates) - len(good))


def _check_space(path: Path, header: Record, expected: SearchSpace | None) -> SearchSpace:
    if "space" not in header:
        raise ValueError(
            f'{path} has no "space" in its header: journals of old versions lack it, and searches '
            "that have not begun"
        )
    own = SearchSpace.from_dict(header["space"])
    if expected is not None and own != expected:
        raise ValueError(
            f"{path} is of a search over {own}, expected {expected}: rewards of different "
            "spaces do not mix; leave it out, or ask for its own space"
        )
    return own


def _check_enough(paths: Sequence[Path], good: Sequence[Record], space: SearchSpace | None) -> None:
    different = len({tuple(record["theta"]) for record in good})
    least = max(2 * space.dim if space else 0, 2 * FOLDS)
    if different < least:
        raise ValueError(
            f"a regression needs candidates of at least {least} different thetas that did not "
            f"fail, found {different} in {', '.join(map(str, paths))}; let the search run on, or "
            "add journals"
        )
