"""What every script does before it starts: config, logging, seeds, and checks that fail early."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from os.path import expanduser
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from auto_seg_loss.checkpoint import fitted
from auto_seg_loss.config import expand_homes, project_defaults, register_names
from auto_seg_loss.data import check_num_classes, verify_dataset
from auto_seg_loss.data.labels import check_ignore_value, check_palette, unfit_values
from auto_seg_loss.data.verify import Labels, check_brightness, check_masks, check_values
from auto_seg_loss.errors import ConfigError, config_errors
from auto_seg_loss.losses import build_loss
from auto_seg_loss.modeling.build import replaces_loss
from auto_seg_loss.modeling.check import check_model, check_test_size, network_on_meta
from auto_seg_loss.quiet import hush_detectron2, quiet
from auto_seg_loss.run_checks import check_device, check_output, check_schedule
from auto_seg_loss.saving import latest_checkpoint
from auto_seg_loss.weight_files import local_weights
from auto_seg_loss.weights import read_checkpoint
from auto_seg_loss.yaml_files import read_yaml
from autoseg_core import PAPER_METRICS, SegmentationScores

_MISMATCH = re.compile(
    r"Type mismatch \(<class '(\w+)'> vs. <class '(\w+)'>\) with values \((.*) vs. (.*)\) "
    r"for config key: (\S+)",
    re.DOTALL,
)
"""How yacs says that a value's type differs from the default's."""


def script_parser(description: str | None) -> argparse.ArgumentParser:
    """``--config-file`` and KEY VALUE pairs, as in train_net.py; a script adds what is its own."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config-file", required=True, type=expanduser, metavar="FILE", help="YAML config")
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs, as in train_net.py"
    )
    return parser


def load_config(config_file: str, opts: list[str]) -> CfgNode:
    """Defaults, then ``config_file`` (YAML), then ``opts`` (KEY VALUE ...); not frozen.

    Raises ``ConfigError`` for a file that is not YAML, an unknown key and an unfit value.
    """
    cfg = project_defaults()
    for option in opts:
        if option.startswith("--"):
            raise ConfigError(f"{option} must stand before the KEY VALUE pairs.")
    content = read_yaml(config_file) if config_file else {}
    try:
        cfg.merge_from_other_cfg(CfgNode(content))
        cfg.merge_from_list(opts)
    except (AssertionError, AttributeError, KeyError, ValueError) as error:
        where = f"{config_file or 'defaults'} and KEY VALUE options"
        raise ConfigError(f"{where}: {_plain(error)}. {_known_keys(cfg, str(error))}") from None
    expand_homes(cfg)
    run_imports(cfg)
    return cfg


def run_imports(cfg: CfgNode) -> None:
    """``register_names``; ``ConfigError`` for IMPORTS that are no names or not on the path."""
    wrong = [n for n in cfg.IMPORTS if not isinstance(n, str) or n.startswith(".") or not n]
    if wrong:
        raise ConfigError(f"IMPORTS must be names of modules, such as ['my_losses']; got {wrong}.")
    try:
        register_names(cfg)
    except ImportError as error:
        raise ConfigError(
            f"IMPORTS {list(cfg.IMPORTS)}: {error}; is it on the PYTHONPATH?"
        ) from None


def _plain(error: Exception) -> str:
    """Message of an error; that of a KeyError without the quotes around it."""
    text = str(error.args[0] if isinstance(error, KeyError) else error).rstrip(".!")
    if found := _MISMATCH.fullmatch(text):
        kind, got, known, value, key = found.groups()
        item = repr(value) if got == "str" else value
        hint = {"tuple": f'; give "({item},)"', "list": f'; give "[{item}]"'}.get(kind, "")
        return f"{key} must be of type {kind}, such as {known}; got {item} of type {got}{hint}"
    return text


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
    return f"Known keys: {', '.join(section + key for key in sorted(node))}."


def prepare(args: argparse.Namespace, *checks: Callable[[CfgNode], None]) -> CfgNode:
    """The frozen config of a script, checked; nothing is written yet. See ``checked_config``."""
    if not args.config_file:
        raise ConfigError(
            "--config-file is missing; projects/AutoSegLoss/configs/README.md lists what there is."
        )
    return checked_config(args.config_file, args.opts, *checks)


def checked_config(
    config_file: str, opts: Sequence[Any], *checks: Callable[[CfgNode], None]
) -> CfgNode:
    """The frozen config of a file and KEY VALUE options, checked.

    Runs the common checks, and then ``checks``, those of the script. What they find wrong with a
    value is a ``ConfigError``.
    """
    cfg = load_config(config_file, [str(option) for option in opts])
    cfg.freeze()
    common = (
        check_output,
        check_device,
        check_schedule,
        check_evaluation,
        check_model,
        check_test_data,
        check_test_size,
        check_weights,  # last: it may fetch them from the network
    )
    with config_errors():
        for check in (*common, *checks):
            check(cfg)
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


def check_test_data(cfg: CfgNode) -> None:
    """Look at every file of DATASETS.TEST and at the number of classes before anything starts."""
    _check_all(cfg, "DATASETS.TEST", cfg.DATASETS.TEST)


def check_train_data(cfg: CfgNode) -> None:
    """The same for DATASETS.TRAIN and the hold-out of a search."""
    _check_all(cfg, "DATASETS.TRAIN", cfg.DATASETS.TRAIN)
    if cfg.SEARCH.HOLDOUT.DATASETS:
        _check_all(cfg, "SEARCH.HOLDOUT.DATASETS", cfg.SEARCH.HOLDOUT.DATASETS)


def _check_all(cfg: CfgNode, key: str, names: tuple[str, ...]) -> None:
    if not names:
        raise ConfigError(f"{key} must name a data set.")
    for name in dict.fromkeys(names):
        check_data(cfg, name)


def check_data(cfg: CfgNode, name: str) -> Labels:
    """Look at every file of a data set and at the values of its labels; what the labels hold."""
    labels, classes = look_at_data(cfg, name), cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES
    ignore_label = MetadataCatalog.get(name).get("ignore_label", 255)
    palette = cfg.INPUT.LABEL_PALETTE
    if words := unfit_values({row[3] for row in palette}, classes, ignore_label):
        raise ConfigError(f"INPUT.LABEL_PALETTE, data set {name!r}: {words}.")
    check_values(name, labels, classes, ignore_label)
    if not palette:
        check_masks(name, labels, classes, ignore_label)
    check_brightness(name, DatasetCatalog.get(name))
    return labels


def look_at_data(cfg: CfgNode, name: str) -> Labels:
    """The same, with any values: refuse files that are missing, damaged or of unequal sizes."""
    if name not in DatasetCatalog.list():
        ours = [n for n in DatasetCatalog.list() if "_sem_seg_" in n]
        raise ConfigError(f"Unknown data set {name!r}; known: {', '.join(sorted(ours))}.")
    with config_errors():
        check_num_classes(cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES, MetadataCatalog.get(name), name)
        check_palette(cfg.INPUT.LABEL_PALETTE)
        dicts = DatasetCatalog.get(name)
    return verify_dataset(name, dicts, cfg.INPUT.LABEL_PALETTE)


def check_loss(cfg: CfgNode) -> None:
    """Refuse an unknown loss, an unusable spec, a spec or a loss that would not be used."""
    build_loss(cfg)
    replaces_loss(cfg)
    head = cfg.MODEL.SEM_SEG_HEAD
    if head.LOSS_SPEC and head.LOSS_TYPE != "auto_seg_loss":
        raise ConfigError(
            f"MODEL.SEM_SEG_HEAD.LOSS_SPEC {head.LOSS_SPEC!r} is not used by LOSS_TYPE "
            f'{head.LOSS_TYPE!r}; set LOSS_TYPE to "auto_seg_loss", or LOSS_SPEC to "".'
        )


def check_weights(cfg: CfgNode) -> None:
    """Refuse MODEL.WEIGHTS that do not exist, cannot be read or are of another network; remote
    names are fetched, as they will be later."""
    if cfg.MODEL.WEIGHTS:
        path = local_weights(cfg.MODEL.WEIGHTS)
        with quiet():
            fitted(read_checkpoint(path), network_on_meta(cfg).state_dict(), path)


def check_eval_only(cfg: CfgNode, resume: bool) -> None:
    """Refuse to score a network that nobody has trained."""
    if not cfg.MODEL.WEIGHTS and not (resume and latest_checkpoint(cfg.OUTPUT_DIR)):
        raise ConfigError(
            "--eval-only has no weights: give MODEL.WEIGHTS, or --resume for the last checkpoint "
            f"of OUTPUT_DIR {cfg.OUTPUT_DIR}."
        )


def check_evaluation(cfg: CfgNode) -> None:
    """Refuse values of TEST, and a void label, that cannot be evaluated with."""
    head = cfg.MODEL.SEM_SEG_HEAD
    check_ignore_value(head.NUM_CLASSES, head.IGNORE_VALUE)
    with config_errors("TEST.TOLERANCE, PROTOCOL, DROP_BACKGROUND and METRICS"):
        SegmentationScores(
            head.NUM_CLASSES,
            tolerance=cfg.TEST.TOLERANCE,
            protocol=cfg.TEST.PROTOCOL,
            drop_background=cfg.TEST.DROP_BACKGROUND,
            metrics=(*PAPER_METRICS, *cfg.TEST.METRICS),
        )
