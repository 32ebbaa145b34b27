"""Losses of a study taken from the journal of a search, over the whole range of its rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode

from auto_seg_loss.config import project_defaults, register_names
from auto_seg_loss.proxy import build_proxy
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search_setup import build_sets
from auto_seg_loss.training import Batches, scaled
from autoseg_core import LossSpec, SearchSpace, load_spec
from rl.journal import JournalError, Record, read_journal


@dataclass(frozen=True)
class CandidateLoss:
    """The loss at a candidate's theta, named by its id, and the reward it earned in the search.

    spec: not scaled; see ``save_candidates``.
    """

    spec: LossSpec
    reward: float

    def file_in(self, folder: Path) -> Path:
        """Where ``save_candidates`` writes it."""
        return folder / f"{self.spec.name}.json"


def pick_candidates(journal: Path, count: int) -> list[CandidateLoss]:
    """``count`` candidates of a journal, spread evenly over the ranks of their rewards.

    They come lowest first, and the lowest and the highest are among them. Failed candidates, those
    of the final choice and thetas met before are left out. ``ConfigError``: fewer candidates than
    that, or fewer than 3 asked for; ``JournalError``, ``OSError``: no journal of search_net.py.
    """
    header, *records = _read(journal)
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
    return [_loss(header, ranked[place]) for place in places]


def save_candidates(journal: Path, candidates: Sequence[CandidateLoss], folder: Path) -> None:
    """Write the specs of a journal's candidates to ``folder``, scaled as in its search.

    A search with SEARCH.SCALE_ITERS has trained its candidates so; its proxy is built again, from
    the config in the journal. A file of the same loss is kept, scale included: on another machine
    the last digits differ, and the cells of the file would be trained again.
    """
    new = [one for one in candidates if not _is_file_of(one.file_in(folder), one.spec)]
    if not new:
        return
    config = _read(journal)[0]["config"]
    reference = _reference(config, journal.parent) if config["SEARCH"].get("SCALE_ITERS") else ()
    folder.mkdir(parents=True, exist_ok=True)
    for one in new:
        own = scaled(one.spec, reference, config["MODEL"]["SEM_SEG_HEAD"]["IGNORE_VALUE"])
        own.save(one.file_in(folder))


def _is_file_of(path: Path, spec: LossSpec) -> bool:
    return path.is_file() and load_spec(path).model_copy(update={"scale": 1.0}) == spec


def _reference(config: dict[str, Any], folder: Path) -> Batches:
    """What a search in ``folder``, where its warm start is, has scaled its candidates on."""
    cfg = project_defaults()
    cfg.merge_from_other_cfg(CfgNode(config))
    cfg.OUTPUT_DIR = str(folder)
    register_names(cfg)
    cfg.freeze()
    return build_proxy(cfg, *build_sets(cfg)).reference


def _read(journal: Path) -> list[Record]:
    records = read_journal(journal)
    if not records or not {"config", "space"} <= set(records[0]):
        raise JournalError(f"{journal} is not (yet) the journal of a search of search_net.py")
    return records


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
