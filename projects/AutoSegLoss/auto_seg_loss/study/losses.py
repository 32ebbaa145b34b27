"""Losses to compare: by name, unsearched surrogates, and candidates from a search's journal.

A loss is a name of the loss registry, a name or path for ``load_spec``, or soft:METRIC, the
unsearched surrogate of a metric.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode

from auto_seg_loss.candidate_scale import Batches, reference_batches, scaled
from auto_seg_loss.config import project_defaults
from auto_seg_loss.data.catalog import records_of
from auto_seg_loss.losses import loss_names
from auto_seg_loss.proxy import build_proxy, proxy_config, starting_network
from auto_seg_loss.runtime.configs import merged
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.search_setup import build_sets, loss_settings
from autoseg_core import LossSpec, Objective, SearchSpace, load_spec, search_space
from autoseg_core.surrogates.soft import soft_spec
from rl.journal import JournalError, Record, read_journal

SOFT = "soft:"
"""Prefix of the name of an unsearched surrogate, such as soft:mIoU."""
SOFT_FILES = "soft-*.json"
"""Files that ``soft_file`` writes into OUTPUT_DIR."""


def baselines() -> list[str]:
    """The registry's losses without the one that takes a spec."""
    return [name for name in loss_names() if name != "auto_seg_loss"]


def in_registry(loss: str) -> str:
    """The registry's spelling of a loss, ignoring case; other names unchanged."""
    return {name.lower(): name for name in baselines()}.get(loss.strip().lower(), loss.strip())


def loss_label(loss: str) -> str:
    """Name of a loss in tables and directories: its registry name, or the spec's name."""
    name = in_registry(loss)
    return name if name in baselines() else load_spec(loss).name


def canonical_metric(metric: str) -> str:
    with config_errors("--metrics"):
        return str(Objective.parse(metric))


def canonical_loss(loss: str) -> str:
    with config_errors(f"--losses, of {', '.join(baselines())}, {SOFT}METRIC or a spec"):
        if loss.startswith(SOFT):
            return f"{SOFT}{search_space(loss.removeprefix(SOFT)).objective}"
        name = in_registry(loss)
        if name not in baselines():
            load_spec(name)
        return name


def soft_file(cfg: CfgNode, metric: str) -> Path:
    """The unsearched surrogate of an objective as a spec in OUTPUT_DIR, scaled as candidates are.

    The counterpart of this config's search, with identity curves.
    """
    name = re.sub(r"[^A-Za-z0-9.+-]+", "-", SOFT + metric)
    path = Path(cfg.OUTPUT_DIR) / f"{name}.json"
    if not path.is_file():
        spec = soft_spec(metric, **loss_settings(cfg.SEARCH))
        own = proxy_config(cfg)
        model, records = starting_network(own), records_of(own.DATASETS.TRAIN)
        reference = reference_batches(own, model, model.state_dict(), records)
        scaled(spec, reference, cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE).save(path)
    return path


@dataclass(frozen=True)
class CandidateLoss:
    """The loss at a candidate's theta, named by its id, and its reward in the search.

    spec: not scaled. path: where ``save_candidates`` writes it, scaled.
    """

    spec: LossSpec
    reward: float
    path: Path


def pick_candidates(journal: Path, count: int, folder: Path) -> list[CandidateLoss]:
    """``count`` candidates of a journal, spread evenly over the ranks of their rewards.

    Sorted by reward, including the lowest and the highest. Failed candidates, the final's and
    duplicate thetas are left out. folder: of their paths. ``ConfigError``: ``count`` below 3, or
    more than there are; ``JournalError``, ``OSError``: not a journal
    of search_net.py.
    """
    header, *records = _read(journal)
    # At full budget, from the search itself, each theta once.
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
    return [_candidate(header, ranked[place], folder) for place in places]


def save_candidates(journal: Path, candidates: Sequence[CandidateLoss]) -> None:
    """Write the specs of a journal's candidates to their paths, scaled as in its search.

    A search with SEARCH.SCALE_ITERS trained its candidates that way; its proxy is rebuilt from the
    config in the journal. An existing file of the same loss is kept, with its scale: on another
    machine the last digits differ, and the cells of the file would be retrained.
    """
    new = [one for one in candidates if not _is_file_of(one.path, one.spec)]
    if not new:
        return
    config = _read(journal)[0]["config"]
    reference = _reference(config, journal.parent) if config["SEARCH"].get("SCALE_ITERS") else ()
    for one in new:
        one.path.parent.mkdir(parents=True, exist_ok=True)
        own = scaled(one.spec, reference, config["MODEL"]["SEM_SEG_HEAD"]["IGNORE_VALUE"])
        own.save(one.path)


def _is_file_of(path: Path, spec: LossSpec) -> bool:
    return path.is_file() and load_spec(path).model_copy(update={"scale": 1.0}) == spec


def _reference(config: dict[str, Any], folder: Path) -> Batches:
    """The batches on which a search in ``folder``, with its warm start, scaled its candidates."""
    cfg = merged(project_defaults(), [config], [], "the config of STUDY.JOURNAL")
    cfg.OUTPUT_DIR = str(folder)
    cfg.freeze()
    return build_proxy(cfg, *build_sets(cfg)).reference


def _read(journal: Path) -> list[Record]:
    records = read_journal(journal)
    if not records or not {"config", "space"} <= set(records[0]):
        raise JournalError(f"{journal} is not (yet) the journal of a search by search_net.py")
    return records


def _candidate(header: Record, record: Record, folder: Path) -> CandidateLoss:
    # Of journals from before these keys; TEST.DROP_BACKGROUND was that of the loss, too.
    before = {"DROP_BACKGROUND": header["config"]["TEST"]["DROP_BACKGROUND"], "VOID_EDGES": False}
    settings = loss_settings({**before, **header["config"]["SEARCH"]})
    space = SearchSpace.from_dict(header["space"])
    spec = LossSpec.from_theta(record["id"], space, record["theta"], **settings)
    return CandidateLoss(spec, float(record["reward"]), folder / f"{spec.name}.json")
