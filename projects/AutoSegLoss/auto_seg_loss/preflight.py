"""What every script does before it starts: config, logging, seeds, and checks that fail early."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from auto_seg_loss.config import add_auto_seg_loss_config
from auto_seg_loss.data import check_num_classes, verify_dataset
from auto_seg_loss.losses import build_loss
from auto_seg_loss.quiet import hush_detectron2
from autoseg_core import load_spec

# Copy of the loss's spec in OUTPUT_DIR: a run is resumed with what it was started with.
LOSS_FILE = "loss_spec.json"

# A resumed run may differ from its first part in these, which do not change what is trained. Of the
# loss it is the content that counts, not the name.
FREE_KEYS = (
    "DATALOADER.NUM_WORKERS",
    "MODEL.SEM_SEG_HEAD.LOSS_SPEC",
    "OUTPUT_DIR",
    "SEARCH",
    "SOLVER.CHECKPOINT_PERIOD",
    "STUDY",
    "TEST",
    "VIS_PERIOD",
)


class ConfigError(ValueError):
    """A configuration that cannot be run; the message says which key to change."""


def load_config(config_file: str, opts: list[str]) -> CfgNode:
    """Defaults, then ``config_file`` (YAML), then ``opts`` (KEY VALUE ...); not frozen.

    Raises ``ConfigError`` for a file that is not YAML, an unknown key and an unfit value.
    """
    cfg = get_cfg()
    add_auto_seg_loss_config(cfg)
    try:
        if config_file:
            cfg.merge_from_file(config_file)
        cfg.merge_from_list(opts)
    except (AssertionError, KeyError, ValueError, yaml.YAMLError) as error:
        where = " ".join([config_file, *opts])
        raise ConfigError(
            f"{where}: {_plain(error)}. {_known_keys(cfg, str(error))}Options are KEY VALUE pairs."
        ) from None
    return cfg


def _plain(error: Exception) -> str:
    """Message of an error; that of a KeyError without the quotes around it."""
    return str(error.args[0] if isinstance(error, KeyError) else error).rstrip(".!")


def _known_keys(cfg: CfgNode, message: str) -> str:
    """What an unknown key that a message names could have been: the keys of the same section."""
    named = re.search(r"[Nn]on-existent(?: config)? key: ([A-Z0-9_.]+)", message)
    if named is None:
        return ""
    node, section = cfg, ""
    for part in named.group(1).split(".")[:-1]:
        if not isinstance(node.get(part), CfgNode):
            break
        node, section = node[part], f"{section}{part}."
    return f"Known keys: {', '.join(section + key for key in sorted(node))}. "


def prepare(args: argparse.Namespace, *checks: Callable[[CfgNode], None]) -> CfgNode:
    """The frozen config of a script, checked; nothing is written yet.

    ``checks``, those of the script itself, run first; then those of the data sets. What they find
    wrong with a value is a ``ConfigError``.
    """
    cfg = load_config(args.config_file, args.opts)
    cfg.freeze()
    for check in (*checks, check_datasets):
        try:
            check(cfg)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    return cfg


def start_run(cfg: CfgNode, args: argparse.Namespace, *, verbose: bool = True) -> None:
    """Output directory, log files, config.yaml and seeds: Detectron2's setup, and our logger.

    Without ``verbose`` Detectron2's INFO lines go to the log file only.
    """
    for name in ("detectron2", "fvcore", "auto_seg_loss"):
        # Detectron2 caches its loggers by these arguments, which are those of default_setup.
        named = {} if name == "detectron2" else {"name": name}
        setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), **named)
    if not verbose:
        hush_detectron2()
    default_setup(cfg, args)
    if comm.is_main_process() and (text := loss_text(cfg)) is not None:
        (Path(cfg.OUTPUT_DIR) / LOSS_FILE).write_text(text, encoding="utf-8")


def loss_text(cfg: CfgNode) -> str | None:
    """The spec that MODEL.SEM_SEG_HEAD.LOSS_SPEC names, as JSON; None for losses without one."""
    head = cfg.MODEL.SEM_SEG_HEAD
    return load_spec(head.LOSS_SPEC).to_json() if head.LOSS_TYPE == "auto_seg_loss" else None


def check_datasets(cfg: CfgNode) -> None:
    """Look at every file of the data sets and at the number of classes before anything starts."""
    if not comm.is_main_process():
        return
    if not cfg.DATASETS.TRAIN or not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TRAIN and DATASETS.TEST must each name a data set.")
    names = (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST, *cfg.SEARCH.HOLDOUT.DATASETS)
    for name in dict.fromkeys(names):
        if name not in DatasetCatalog.list():
            ours = [n for n in DatasetCatalog.list() if "_sem_seg_" in n]
            raise ConfigError(f"Unknown data set {name!r}; known: {', '.join(sorted(ours))}.")
        check_num_classes(cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES, MetadataCatalog.get(name), name)
        verify_dataset(name, DatasetCatalog.get(name))


def check_loss(cfg: CfgNode) -> None:
    """Refuse an unknown loss or an unusable spec before anything starts."""
    build_loss(cfg)


def check_resume(cfg: CfgNode, free: tuple[str, ...] = FREE_KEYS) -> None:
    """Refuse to resume a run whose ``OUTPUT_DIR`` holds another config or another loss.

    Keys that begin with one of ``free`` may differ. A directory without a run passes.
    """
    path = Path(cfg.OUTPUT_DIR) / "config.yaml"
    if not path.is_file():
        return
    loss = path.with_name(LOSS_FILE)
    if loss.is_file() and loss.read_text(encoding="utf-8") != loss_text(cfg):
        raise ConfigError(
            f"The loss {cfg.MODEL.SEM_SEG_HEAD.LOSS_SPEC!r} is not the one this run was started "
            f"with, kept in {loss}: name that file in MODEL.SEM_SEG_HEAD.LOSS_SPEC, or choose "
            "another OUTPUT_DIR."
        )
    with path.open() as file:
        before = flatten(yaml.safe_load(file))
    now = flatten(yaml.safe_load(cfg.dump()))
    differences = [
        f"  {key}: {before.get(key)!r} -> {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and not key.startswith(FREE_KEYS)
    ]
    if differences:
        raise ConfigError(
            f"--resume with another config than {path}:\n"
            + "\n".join(differences)
            + "\nResume with the old values, or choose another OUTPUT_DIR."
        )


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dict -> {"A.B.C": value}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
