"""The configuration keys that this project adds to Detectron2; defaults.yaml explains each."""

from __future__ import annotations

import importlib
import traceback
from functools import cache, reduce
from operator import getitem
from os.path import expanduser
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode, get_cfg
from detectron2.projects.deeplab import add_deeplab_config

from auto_seg_loss.data.folder import register_folder
from auto_seg_loss.runtime.errors import ConfigError, config_errors


def add_auto_seg_loss_config(cfg: CfgNode) -> None:
    """Add the keys of Auto Seg-Loss, and those of DeepLab, which it builds on.

    Existing keys keep their values, so it may come before or after other ``add_..._config``.
    """
    keys = get_cfg()
    add_deeplab_config(keys)
    _add_missing(cfg, keys)
    _add_missing(cfg, CfgNode(_own_keys()))


@cache
def _own_keys() -> dict[str, Any]:
    return yaml.safe_load(Path(__file__).with_name("defaults.yaml").read_text(encoding="utf-8"))


def project_defaults() -> CfgNode:
    """The config that this project's scripts start from: all keys, with the scripts' defaults.

    They differ from Detectron2's in LOSS_TYPE and in VIS_PERIOD.
    """
    cfg = get_cfg()
    add_auto_seg_loss_config(cfg)
    cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE = "cross_entropy"
    # Iterations between two TensorBoard measurements of a training other than losses and scores:
    # counts and surfaces of a searched loss, learning rates, throughput, memory. 0: none.
    cfg.VIS_PERIOD = 100
    return cfg


def register_names(cfg: CfgNode) -> None:
    """Import the modules of IMPORTS and register the data set of DATASETS.FOLDER.

    ``ConfigError`` for a module that is not on the path, for one that raises, with its traceback,
    and for an unfit DATASETS.FOLDER.
    """
    for module in cfg.IMPORTS:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise ConfigError(f"IMPORTS {module!r}: {error}; is it on the PYTHONPATH?") from None
        except Exception:
            raise ConfigError(f"IMPORTS {module!r} raised:\n{traceback.format_exc()}") from None
    with config_errors("DATASETS.FOLDER"):
        register_folder(cfg)


def expand_homes(cfg: CfgNode) -> None:
    """Expand a leading ``~`` in texts, as in ``OUTPUT_DIR ~/runs``."""
    for key, value in cfg.items():
        if isinstance(value, CfgNode):
            expand_homes(value)
        else:
            cfg[key] = _with_home(value)


def _with_home(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_with_home(item) for item in value)
    return expanduser(value) if isinstance(value, str) else value


def changed(cfg: CfgNode, values: dict[str, Any]) -> CfgNode:
    """A frozen copy of a config with changed values, by full name: {"SOLVER.MAX_ITER": 9}."""
    own = cfg.clone()
    own.defrost()
    for key, value in values.items():
        *sections, name = key.split(".")
        reduce(getitem, sections, own)[name] = value
    own.freeze()
    return own


def plain(cfg: CfgNode) -> dict[str, Any]:
    """A config as nested dicts of JSON types."""
    return yaml.safe_load(cfg.dump())


def _add_missing(cfg: CfgNode, keys: CfgNode) -> None:
    for key, value in keys.items():
        if key not in cfg:
            setattr(cfg, key, value)
        elif isinstance(value, CfgNode):
            _add_missing(cfg[key], value)
