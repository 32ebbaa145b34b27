"""A search from a config: it combines data, start weights, proxy, agent and journal."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from numpy.typing import NDArray
from torch import Tensor, nn

from auto_seg_loss.candidate_scale import Batches, scaled
from auto_seg_loss.config import plain
from auto_seg_loss.data import split_record
from auto_seg_loss.data.splits import split_lists
from auto_seg_loss.executor import check_executor, open_executor
from auto_seg_loss.proxy import build_proxy
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.search_setup import (
    build_sets,
    build_space,
    candidate_spec,
    check_problem,
    loss_name,
    network_name,
    reward_objective,
    warn_of_inverse,
    without,
)
from auto_seg_loss.warm_start import state_digest
from autoseg_core import LossSpec, Provenance, SearchSpace, __version__
from rl.agents import AGENTS, agent_class
from rl.agents.base import Agent
from rl.agents.guarded import Guarded
from rl.callbacks import ProgressBar
from rl.events import SearchResult, SearchSettings
from rl.figures import draw_curves
from rl.journal import Journal, JournalError
from rl.search import run_search
from rl.tensorboard import TensorBoard

logger = logging.getLogger(__name__)


def open_journal(cfg: CfgNode, resume: bool) -> Journal:
    """The journal of the search of ``cfg``, new or resumed; may raise ``JournalError``."""
    header = journal_header(cfg)
    path = Path(cfg.OUTPUT_DIR) / "journal.jsonl"
    if resume and not path.parent.is_dir():
        raise JournalError(f"There is no {path.parent} to resume from; check OUTPUT_DIR.")
    return Journal.resume(path, header) if resume else Journal.create(path, header)


def search(cfg: CfgNode, journal: Journal, network: nn.Module | None = None) -> LossSpec:
    """Run the part of the search of ``cfg`` that is not in ``journal``; returns the found loss.

    network: see ``build_proxy``.

    Writes split.json, tensorboard/, curves.png, searched_loss.json and identity_loss.json below
    OUTPUT_DIR. Raises as ``run_search`` does, before it writes a loss: ``NoVerdictError`` if none
    can be preferred, ``SearchError`` if too many evaluations failed or were lost.
    """
    output, space, sets = Path(cfg.OUTPUT_DIR), build_space(cfg), build_sets(cfg)
    rule = {"DATASETS.FOLDER": plain(cfg.DATASETS.FOLDER), "DATASETS.TRAIN": cfg.DATASETS.TRAIN}
    lists = split_lists(*sets, {**rule, "SEARCH.HOLDOUT": plain(cfg.SEARCH.HOLDOUT)})
    (output / "split.json").write_text(json.dumps(lists, indent=1) + "\n")
    warn_of_inverse(cfg)
    proxy = build_proxy(cfg, *sets, network)
    pin_start(journal, proxy.start)
    board = TensorBoard(output / "tensorboard", space, reward_objective(cfg).reported)
    with open_executor(cfg, proxy) as executor:
        reference = proxy.reference
        del proxy  # with workers, no network is needed here
        result = run_search(
            build_agent(cfg, space),
            executor,
            journal,
            search_settings(cfg),
            [ProgressBar(), board],
            identity=space.identity(),
            max_lost=cfg.SEARCH.EXECUTOR.MAX_LOST,
        )
    return _save(cfg, result, reference)


def _save(cfg: CfgNode, result: SearchResult, reference: Batches) -> LossSpec:
    """Write the found loss, and the unsearched one for comparison: its gain is the surrogate's,
    not the search's."""
    output, space = Path(cfg.OUTPUT_DIR), build_space(cfg)
    spec = found_spec(cfg, result, reference)
    spec.save(output / "searched_loss.json")
    identity = _scaled(cfg, space.identity(), f"{spec.name}-identity", reference)
    identity.save(output / "identity_loss.json")
    figure = draw_curves(space, [space.identity(), result.theta], ["identity", spec.name])
    figure.savefig(output / "curves.png", dpi=120)
    logger.info("The chosen loss is %s", output / "searched_loss.json")
    return spec


def _scaled(cfg: CfgNode, theta: NDArray[np.float64], name: str, reference: Batches) -> LossSpec:
    """The loss at theta (d,), scaled as in the search."""
    spec = candidate_spec(cfg, build_space(cfg), theta, name)
    return scaled(spec, reference, cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE)


def search_settings(cfg: CfgNode) -> SearchSettings:
    """Length, seed and final choice, from SEARCH."""
    return SearchSettings(
        rounds=cfg.SEARCH.ROUNDS,
        samples=cfg.SEARCH.SAMPLES,
        seed=cfg.SEED,
        top_k=cfg.SEARCH.SELECTION.TOP_K,
        reseeds=cfg.SEARCH.SELECTION.RESEEDS,
        minutes=cfg.SEARCH.MINUTES,
        paired=cfg.SEARCH.PAIRED,
        rungs=cfg.SEARCH.HALVINGS,
    )


def build_agent(cfg: CfgNode, space: SearchSpace) -> Agent:
    """The agent that SEARCH.AGENT names, started at the identity, with the options of its node."""
    make = agent_class(cfg.SEARCH.AGENT)
    node = cfg.SEARCH.get(cfg.SEARCH.AGENT.upper(), {})
    options = {key.lower(): value for key, value in node.items()}
    return make(space.identity(), seed=cfg.SEED, rounds=cfg.SEARCH.ROUNDS, **options)


def journal_header(cfg: CfgNode) -> dict[str, Any]:
    """Everything the result depends on; resuming with anything else is refused."""
    return {
        "config": pinned_config(cfg),
        "settings": asdict(search_settings(cfg)),
        "space": build_space(cfg).to_dict(),
        "split": split_record(*build_sets(cfg)),
    }


def pinned_config(cfg: CfgNode) -> dict[str, Any]:
    """The part of a config that a search's result depends on.

    Without the executor, since another one may resume the search, and without the options of unused
    agents.
    """
    others = {name.upper() for name in AGENTS if name != cfg.SEARCH.AGENT} & cfg.SEARCH.keys()
    agents = [f"SEARCH.{name}" for name in others]
    config = without(cfg, "OUTPUT_DIR", "STUDY", "VIS_PERIOD", *agents)
    config["TEST"] = {key: cfg.TEST[key] for key in ("PROTOCOL", "TOLERANCE", "DROP_BACKGROUND")}
    node = cfg.SEARCH.EXECUTOR
    config["SEARCH"]["EXECUTOR"] = {key: node[key] for key in ("MAX_RETRIES", "TIMEOUT")}
    return config


def found_spec(cfg: CfgNode, result: SearchResult, reference: Batches) -> LossSpec:
    """The chosen theta as a spec, scaled as in the search, with its provenance."""
    provenance = Provenance(
        dataset=cfg.DATASETS.TRAIN[0],
        network=network_name(cfg),
        lr=cfg.SOLVER.BASE_LR,
        batch=cfg.SOLVER.IMS_PER_BATCH,
        iterations=cfg.SEARCH.PROXY.MAX_ITER,
        seed=cfg.SEED,
        reward=result.reward,
        code_version=__version__,
        source="search_net.py",
    )
    spec = _scaled(cfg, result.theta, loss_name(cfg), reference)
    return spec.model_copy(update={"provenance": provenance})


def check_search(cfg: CfgNode) -> None:
    """Refuse invalid search settings before any time is spent; ``ValueError`` says why."""
    check_problem(cfg)
    with config_errors("SEARCH.ROUNDS, SAMPLES, MINUTES, SELECTION and HALVINGS"):
        settings = search_settings(cfg)
    try:
        with config_errors("SEARCH.AGENT, its options and SEARCH.SAMPLES"):
            space = build_space(cfg)
            Guarded(build_agent(cfg, space), space.dim).ask(settings.samples - settings.paired)
    except ImportError as error:
        raise ConfigError(f"SEARCH.AGENT {cfg.SEARCH.AGENT!r}: {error}") from None
    check_executor(cfg)


def pin_start(journal: Journal, start: dict[str, Tensor]) -> None:
    """Tie a journal to the weights its proxies start from.

    Raises ``JournalError`` when the journal was written with other weights.
    """
    weights = state_digest(start)
    known = [record["weights"] for record in journal.records if record["kind"] == "start"]
    if not known:
        journal.append({"kind": "start", "weights": weights})
    elif known[0] != weights:
        raise JournalError(
            f"{journal.path} was written with another warm start; restore that file, or start "
            "again in another OUTPUT_DIR."
        )
