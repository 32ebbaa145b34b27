"""Config files and KEY VALUE options -> a config; nothing in them is executed."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

import yaml
from detectron2.config import CfgNode
from detectron2.evaluation.testing import flatten_results_dict

from auto_seg_loss.config import expand_homes, project_defaults, register_names
from auto_seg_loss.runtime.errors import ConfigError
from autoseg_core.files import user_path


def load_config(config_file: str, opts: list[str]) -> CfgNode:
    """Defaults, then ``config_file`` (YAML), then ``opts`` (KEY VALUE ...); not frozen.

    Raises ``ConfigError`` for a file that is not YAML, an unknown key and an unfit value.
    """
    cfg = project_defaults()
    if late := [option for option in opts if option.startswith("--")]:
        raise ConfigError(f"{late[0]} must stand before the KEY VALUE pairs.")
    content = read_yaml(config_file) if config_file else {}
    try:
        cfg.merge_from_other_cfg(CfgNode(content))
        cfg.merge_from_list(opts)
    except (AssertionError, AttributeError, KeyError, ValueError) as error:
        where = f"{config_file or 'defaults'} and KEY VALUE options"
        words = str(error.args[0] if error.args else error)
        raise ConfigError(f"{where}: {words}{_nearest_key(words)}") from None
    expand_homes(cfg)
    run_imports(cfg)
    return cfg


def _nearest_key(words: str) -> str:
    """What may be meant by the unknown key that ends an error of yacs; "" for other errors."""
    if "Non-existent" not in words:
        return ""
    known = [key.replace("/", ".") for key in flatten_results_dict(project_defaults())]
    near = get_close_matches(words.rpartition(" ")[2], known, 1)
    return f"; is it {near[0]}?" if near else ""


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The keys of a YAML config over those of its ``_BASE_`` files.

    Raises ``ConfigError`` for a file that is missing or is not plain YAML, such as one with the
    tags ``!!python/...``, which Detectron2 would execute; for a base that is no local file.
    """
    try:
        return dict(_PlainFiles.load_yaml_with_base(str(user_path(path)), allow_unsafe=False))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no config file {error.filename or path}") from None
    except (
        *(yaml.YAMLError, UnicodeDecodeError, RecursionError),  # the last: a _BASE_ names itself
        *(AssertionError, AttributeError, TypeError, ValueError),  # no mapping of keys
    ) as error:
        words = " ".join(str(error).split())
        raise ConfigError(f"{path}: expected plain YAML, a mapping of keys; {words}") from None


class _PlainFiles(CfgNode):
    """Detectron2's rules of ``_BASE_``, of local files: a fetched one could set IMPORTS."""

    @classmethod
    def _open_cfg(cls, filename: str) -> IO[str]:
        if "://" in filename:
            raise ConfigError(f"{filename}: configs and their _BASE_ are local files; fetch it.")
        return open(filename, encoding="utf-8")


def run_imports(cfg: CfgNode) -> None:
    """``register_names``; ``ConfigError`` for IMPORTS that are no names or not on the path."""
    try:
        register_names(cfg)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"IMPORTS {list(cfg.IMPORTS)}: {error}; is it on the PYTHONPATH?"
        ) from None
