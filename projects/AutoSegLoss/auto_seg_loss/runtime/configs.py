"""Config files and KEY VALUE options -> a config; nothing in them is executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode
from fvcore.common.config import CfgNode as LocalCfgNode

from auto_seg_loss.config import expand_homes, project_defaults, register_names
from auto_seg_loss.runtime.errors import ConfigError
from autoseg_core.files import user_path
from rl.settings_diff import flat


def load_config(config_file: str, opts: list[str]) -> CfgNode:
    """Defaults, then ``config_file`` (YAML), then ``opts`` (KEY VALUE ...); not frozen.

    Raises ``ConfigError`` for a file that is not YAML, an unknown key and an invalid value.
    """
    if late := [option for option in opts if option.startswith("--")]:
        raise ConfigError(f"{late[0]} must come before the KEY VALUE pairs.")
    content = read_yaml(config_file) if config_file else {}
    where = f"{config_file or 'defaults'} and KEY VALUE options"
    return merged(project_defaults(), [content], opts, where)


def merged(
    cfg: CfgNode, parts: Sequence[Mapping[str, Any]], opts: list[str], where: str
) -> CfgNode:
    """A copy with the keys of ``parts``, then ``opts``, and what they name registered; not frozen.

    where: for a ``ConfigError``.
    """
    cfg = cfg.clone()
    cfg.defrost()
    try:
        for part in parts:
            cfg.merge_from_other_cfg(CfgNode(part))
        cfg.merge_from_list(opts)
    except (AssertionError, AttributeError, KeyError, ValueError) as error:
        words = str(error.args[0] if error.args else error)
        raise ConfigError(f"{where}: {words}{_nearest_key(words)}") from None
    expand_homes(cfg)
    register_names(cfg)
    return cfg


def _nearest_key(words: str) -> str:
    """A suggestion for the unknown key at the end of a yacs error; "" for other errors."""
    if "Non-existent" not in words:
        return ""
    near = get_close_matches(words.rpartition(" ")[2], flat(project_defaults()), 1)
    return f"; is it {near[0]}?" if near else ""


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The keys of a YAML config merged over those of its ``_BASE_`` files, which are local.

    Raises ``ConfigError`` for a missing file, a URL, which Detectron2 would download, and anything
    but plain YAML, such as the tags ``!!python/...``, which it would run.
    """
    try:  # fvcore's reader opens local files only, Detectron2's remote ones too
        return dict(LocalCfgNode.load_yaml_with_base(str(user_path(path)), allow_unsafe=False))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no config file {error.filename or path}") from None
    except (
        *(yaml.YAMLError, UnicodeDecodeError, RecursionError),  # the last: a _BASE_ names itself
        *(AssertionError, AttributeError, TypeError, ValueError),  # not a mapping
    ) as error:
        words = " ".join(str(error).split())
        raise ConfigError(f"{path}: expected plain YAML, a mapping of keys; {words}") from None
