"""The settings of a study, in which its losses are compared: data sets x networks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import expanduser
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode

from auto_seg_loss.runtime.configs import load_config, merged, read_yaml
from auto_seg_loss.runtime.errors import ConfigError

TENSORBOARD, CANDIDATES = RESERVED = ("tensorboard", "losses")
"""Folders below OUTPUT_DIR for events and specs of candidates: invalid as labels and losses."""

_LABEL = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclass(frozen=True, eq=False)
class Setting:
    """A setting in which losses are compared: a data set and a network, by label; "" for no axis.

    config: frozen; its OUTPUT_DIR is the setting's folder.
    """

    dataset: str
    network: str
    config: CfgNode

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(label for label in (self.dataset, self.network) if label)


def read_settings(config_file: str, opts: Sequence[str]) -> tuple[CfgNode, list[Setting]]:
    """The config of a study, and every data set with every network.

    A setting's config is merged in this order: the study's config, the data set's, the network's,
    DATASETS, INPUT (without FORMAT, which belongs to the network's weights) and TEST of the data
    set's, the study's own file without its bases, and ``opts``.
    """
    cfg = load_config(config_file, list(opts))
    cfg.freeze()
    folder = Path(config_file).parent
    own = yaml.safe_load(Path(config_file).read_text(encoding="utf-8")) or {}
    own = {key: own[key] for key in own.keys() - {"_BASE_", "STUDY", "OUTPUT_DIR"}}
    datasets = _axis("STUDY.DATASETS", cfg.STUDY.DATASETS, folder)
    networks = _axis("STUDY.NETWORKS", cfg.STUDY.NETWORKS, folder)
    settings = []
    for name, data in datasets.items():
        for network, model in networks.items():
            where = f"{', '.join(filter(None, (name, network)))} of STUDY.DATASETS and NETWORKS"
            setting = merged(cfg, [data, model, _of_the_data(data), own], list(opts), where)
            setting.STUDY = cfg.STUDY.clone()
            setting.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR, name, network))
            setting.freeze()
            settings.append(Setting(name, network, setting))
    return cfg, settings


def _axis(key: str, entries: Sequence[Any], folder: Path) -> dict[str, dict[str, Any]]:
    """Label -> the keys to merge; {"": {}} for an empty axis."""
    axis: dict[str, dict[str, Any]] = {}
    for entry in entries:
        # YAML reads an unquoted entry as a mapping.
        pairs = list(entry.items()) if isinstance(entry, Mapping) else [str(entry).split(":", 1)]
        label, path = (str(part).strip() for part in (pairs[0][0], pairs[0][-1]))
        named = _LABEL.fullmatch(label) and label not in (*axis, *RESERVED)
        if len(pairs) != 1 or len(pairs[0]) != 2 or not named:
            raise ConfigError(
                f'{key} expects entries "label: config.yaml" with different labels, which name '
                f"folders: letters, digits and _.+- only, none of {', '.join(RESERVED)}; got "
                f"{entry!r}."
            )
        axis[label] = read_yaml(folder / expanduser(path))
    return axis or {"": {}}


def _of_the_data(config: dict[str, Any]) -> dict[str, Any]:
    keys = ("DATASETS", "INPUT", "TEST")
    found: dict[str, Any] = {key: dict(config[key] or {}) for key in keys if key in config}
    found.get("INPUT", {}).pop("FORMAT", None)
    return found
