"""A search from a config: sets, start, proxy, agent and journal put together."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from torch import Tensor

from auto_seg_loss.data import assert_disjoint, carve, split_record
from auto_seg_loss.preflight import ConfigError
from auto_seg_loss.proxy import DetectronProxy, candidate_spec
from auto_seg_loss.trainer import Dicts, Trainer
from auto_seg_loss.warm_start import state_digest, warm_start
from autoseg_core import Constraints, LossSpec, Provenance, SearchSpace, __version__
from rl.agents import agent_class
from rl.agents.base import Agent
from rl.callbacks import ProgressBar
from rl.events import SearchResult, SearchSettings
from rl.executors.serial import SerialExecutor
from rl.figures import draw_curves
from rl.journal import Journal, JournalError
from rl.search import run_search
from rl.tensorboard import TensorBoard

logger = logging.getLogger(__name__)


def open_journal(cfg: CfgNode, resume: bool) -> Journal:
    """The journal of the search of ``cfg``, new or resumed; raises ``JournalError`` as it does."""
    header = journal_header(cfg, build_space(cfg), search_settings(cfg), build_sets(cfg))
    path = Path(cfg.OUTPUT_DIR) / "journal.jsonl"
    if resume and not path.parent.is_dir():
        raise JournalError(f"There is no {path.parent} to resume from; check OUTPUT_DIR.")
    return Journal.resume(path, header) if resume else Journal.create(path, header)


def search(cfg: CfgNode, journal: Journal) -> LossSpec:
    """Run the search of ``cfg`` as far as ``journal`` does not hold it; returns the found loss.

    Writes split.json, tensorboard/, curves.png, searched_loss.json and identity_loss.json below
    OUTPUT_DIR. Raises ``ConfigError`` when every candidate failed.
    """
    output = Path(cfg.OUTPUT_DIR)
    space, sets = build_space(cfg), build_sets(cfg)
    (output / "split.json").write_text(json.dumps(split_record(*sets), indent=1) + "\n")
    proxy = build_proxy(cfg, space, *sets)
    pin_start(journal, proxy.start)
    result = run_search(
        build_agent(cfg, space),
        SerialExecutor(proxy),
        journal,
        search_settings(cfg),
        [ProgressBar(), TensorBoard(output / "tensorboard", space)],
        identity=space.identity(),
    )
    if result.failures == result.evaluations:
        raise ConfigError(
            f"All {result.failures} evaluations failed, so there is no loss to save; the reasons "
            f"are in {journal.path}. A smaller SOLVER.BASE_LR often helps; start again in another "
            "OUTPUT_DIR."
        )
    spec = found_spec(cfg, result)
    spec.save(output / "searched_loss.json")
    # The unsearched curves, to compare with: what the surrogate gains alone, the search has not.
    identity = candidate_spec(cfg, space, space.identity(), f"{spec.name}-identity")
    identity.save(output / "identity_loss.json")
    figure = draw_curves(space, [space.identity(), result.theta], ["identity", spec.name])
    figure.savefig(output / "curves.png", dpi=120)
    logger.info("Found loss: %s", output / "searched_loss.json")
    return spec


def search_settings(cfg: CfgNode) -> SearchSettings:
    """Length, seed and final choice, from SEARCH."""
    return SearchSettings(
        rounds=cfg.SEARCH.ROUNDS,
        samples=cfg.SEARCH.SAMPLES,
        seed=cfg.SEED,
        top_k=cfg.SEARCH.SELECTION.TOP_K,
        reseeds=cfg.SEARCH.SELECTION.RESEEDS,
    )


def build_space(cfg: CfgNode) -> SearchSpace:
    """The search space that SEARCH names."""
    return SearchSpace(
        cfg.SEARCH.METRIC,
        cfg.SEARCH.SURFACE,
        cfg.SEARCH.PIECES or None,
        Constraints(cfg.SEARCH.TRUTH_TABLE, cfg.SEARCH.MONOTONE),
    )


def build_sets(cfg: CfgNode) -> tuple[Dicts, Dicts]:
    """Images to train proxies on and to score them on; both kept apart from DATASETS.TEST."""
    train_dicts = _records(cfg.DATASETS.TRAIN)
    hold = cfg.SEARCH.HOLDOUT
    if hold.DATASETS:
        holdout = _records(hold.DATASETS)
    else:
        train_dicts, holdout = carve(train_dicts, hold.FRACTION, hold.SEED, hold.BLOCK)
    assert_disjoint(train_dicts, holdout, "the search set", "the hold-out set")
    assert_disjoint(holdout, _records(cfg.DATASETS.TEST))
    assert_disjoint(train_dicts, _records(cfg.DATASETS.TEST), "the search set")
    return train_dicts, holdout


def build_proxy(
    cfg: CfgNode, space: SearchSpace, train_dicts: Dicts, holdout: Dicts
) -> DetectronProxy:
    """The proxy at its warm start."""
    proxy_cfg = cfg.clone()
    proxy_cfg.defrost()
    proxy_cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE = "cross_entropy"
    proxy_cfg.freeze()
    model = Trainer.build_model(proxy_cfg)
    start = warm_start(proxy_cfg, model, train_dicts)
    proxy_cfg.defrost()
    proxy_cfg.SOLVER.MAX_ITER = cfg.SEARCH.PROXY.MAX_ITER
    proxy_cfg.freeze()
    name = cfg.DATASETS.TRAIN[0]
    return DetectronProxy(proxy_cfg, space, model, start, train_dicts, holdout, name)


def build_agent(cfg: CfgNode, space: SearchSpace) -> Agent:
    """The agent that SEARCH.AGENT names, at the identity, with the options of its own node."""
    make = agent_class(cfg.SEARCH.AGENT)
    node = cfg.SEARCH.get(cfg.SEARCH.AGENT.upper(), {})
    options = {key.lower(): value for key, value in node.items()}
    return make(space.identity(), seed=cfg.SEED, rounds=cfg.SEARCH.ROUNDS, **options)


def journal_header(
    cfg: CfgNode, space: SearchSpace, settings: SearchSettings, sets: tuple[Dicts, Dicts]
) -> dict[str, Any]:
    """Everything the result depends on; a resume with anything else is refused."""
    config = yaml.safe_load(cfg.dump())
    for key in ("OUTPUT_DIR", "STUDY", "VIS_PERIOD", "TEST"):
        value = config.pop(key)
        if key == "TEST":
            config["TEST"] = {k: value[k] for k in ("PROTOCOL", "TOLERANCE", "DROP_BACKGROUND")}
    return {
        "config": config,
        "settings": asdict(settings),
        "space": space.to_dict(),
        "split": split_record(*sets),
    }


def found_spec(cfg: CfgNode, result: SearchResult) -> LossSpec:
    """The chosen theta as a spec with its provenance."""
    provenance = Provenance(
        dataset=cfg.DATASETS.TRAIN[0],
        network=f"{cfg.MODEL.SEM_SEG_HEAD.NAME} on {cfg.MODEL.BACKBONE.NAME}",
        lr=cfg.SOLVER.BASE_LR,
        batch=cfg.SOLVER.IMS_PER_BATCH,
        iterations=cfg.SEARCH.PROXY.MAX_ITER,
        seed=cfg.SEED,
        reward=result.reward,
        code_version=__version__,
        source="search_net.py",
    )
    spec = candidate_spec(cfg, build_space(cfg), result.theta, loss_name(cfg))
    return spec.model_copy(update={"provenance": provenance})


def loss_name(cfg: CfgNode) -> str:
    """SEARCH.NAME, or a name made of data set, metric and surface."""
    dataset = re.sub(r"[^A-Za-z0-9.+-]", "-", cfg.DATASETS.TRAIN[0].split("_")[0])
    default = f"{dataset}-{cfg.SEARCH.METRIC.lower()}-{cfg.SEARCH.SURFACE}"
    return cfg.SEARCH.NAME or default


def check_search(cfg: CfgNode) -> None:
    """Refuse what cannot be searched before any time is spent; ``ValueError`` says why."""
    if cfg.SEED < 0:
        raise ConfigError("A search needs a fixed seed: set SEED to 0 or more.")
    space = build_space(cfg)
    build_agent(cfg, space).ask(search_settings(cfg).samples)
    candidate_spec(cfg, space, space.identity(), loss_name(cfg))
    if cfg.SEARCH.PROXY.MAX_ITER < 1 or cfg.SEARCH.WARM_START.MAX_ITER < 0:
        raise ConfigError(
            "Expected SEARCH.PROXY.MAX_ITER >= 1 and SEARCH.WARM_START.MAX_ITER >= 0, got "
            f"{cfg.SEARCH.PROXY.MAX_ITER} and {cfg.SEARCH.WARM_START.MAX_ITER}."
        )
    build_sets(cfg)


def pin_start(journal: Journal, start: dict[str, Tensor]) -> None:
    """Tie a journal to the weights its proxies start from, and warn when the machine differs.

    Raises ``JournalError`` when the journal was written with other weights.
    """
    record = {"kind": "start", "weights": state_digest(start), "machine": _machine()}
    known = [r for r in journal.records if r["kind"] == "start"]
    if not known:
        journal.append(record)
        return
    if known[0]["weights"] != record["weights"]:
        raise JournalError(
            f"{journal.path} was written with another warm start; put that file back, or start "
            "again in another OUTPUT_DIR."
        )
    if known[0]["machine"] != record["machine"]:
        logger.warning(
            "The search was started with %s and goes on with %s: results may differ from an "
            "uninterrupted run.",
            known[0]["machine"],
            record["machine"],
        )


def _machine() -> dict[str, Any]:
    """What equal results depend on beside seed and config."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _records(names: tuple[str, ...]) -> Dicts:
    return [record for name in names for record in DatasetCatalog.get(name)]
