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

from auto_seg_loss.config import expand_homes, plain
from auto_seg_loss.runtime.configs import read_yaml, run_imports
from auto_seg_loss.runtime.errors import ConfigError
from rl.settings_diff import differences

TENSORBOARD = "tensorboard"
"""Folder of the events, below OUTPUT_DIR."""

CANDIDATES = "losses"
"""Folder of the specs that a study takes from a journal, below OUTPUT_DIR."""

RESERVED = (TENSORBOARD, CANDIDATES)
"""What no label may be called, since labels name directories beside these."""

_OF_THE_DATA = ("DATASETS.", "INPUT.", "TEST.")
"""Keys that a network's config must leave as the data set's config has set them, ..."""

_OF_THE_NETWORK = ("INPUT.FORMAT",)
"""... but for the order of colours: that of the network's PIXEL_MEAN and weights."""

_LABEL = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclass(frozen=True, eq=False)
class Setting:
    """Where losses are compared: a data set and a network, by label; "" for an empty axis."""

    dataset: str
    network: str
    config: CfgNode

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that there are."""
        return tuple(label for label in (self.dataset, self.network) if label)

    @property
    def name(self) -> str:
        """For people; "" when both axes are empty."""
        return ", ".join(self.labels)


def build_settings(cfg: CfgNode, opts: list[str], folder: Path) -> tuple[Setting, ...]:
    """Every data set with every network; arguments as ``matrix.build_study``."""
    datasets = _axis("STUDY.DATASETS", cfg.STUDY.DATASETS, folder)
    networks = _axis("STUDY.NETWORKS", cfg.STUDY.NETWORKS, folder)
    return tuple(
        Setting(dataset, network, _merged(cfg, [*one, *other], opts))
        for dataset, one in datasets.items()
        for network, other in networks.items()
    )


def overridden(cfg: CfgNode, settings: Sequence[Setting], config_file: str) -> list[str]:
    """What a study's own file sets and a data set or a network sets otherwise, a line each.

    cfg: the study's. config_file: where it was read from; its bases are there to be overridden.
    """
    own = yaml.safe_load(Path(config_file).read_text(encoding="utf-8")) or {}
    own = {key: value for key, value in own.items() if key not in ("STUDY", "OUTPUT_DIR")}
    before = plain(cfg)
    return [
        f"{setting.name} overrides what {config_file} sets: {change}"
        for setting in settings
        for change in differences(before, plain(setting.config))
        if _sets(own, change.partition(": ")[0])
    ]


def _axis(key: str, entries: Sequence[Any], folder: Path) -> dict[str, list[Path]]:
    """Label -> the config to merge; {"": []} for an empty axis."""
    found = [_entry(key, entry) for entry in entries]
    axis = {label: [folder / path] for label, path in found}
    if len(axis) != len(found):
        raise ConfigError(f"{key} must have different labels, got {[label for label, _ in found]}.")
    for label in axis:
        if not _LABEL.fullmatch(label) or label in RESERVED:
            raise ConfigError(
                f"{key}: a label names a directory: letters, digits and _.+- only, and none of "
                f"{', '.join(RESERVED)}; got {label!r}."
            )
    return axis or {"": []}


def _entry(key: str, entry: Any) -> tuple[str, str]:
    # YAML reads an entry without quotes as a mapping.
    parts: tuple[Any, ...] = ()
    if isinstance(entry, Mapping) and len(entry) == 1:
        parts = next(iter(entry.items()))
    elif isinstance(entry, str):
        parts = tuple(part.strip() for part in entry.split(":", 1))
    if len(parts) != 2 or not all(isinstance(part, str) and part for part in parts):
        raise ConfigError(f'{key} expects entries "label: config.yaml", got {entry!r}.')
    label, path = parts
    return label, expanduser(path)


def _merged(cfg: CfgNode, files: Sequence[Path], opts: list[str]) -> CfgNode:
    merged = _layered(cfg, files, opts)
    if len(files) == 2:
        _check_network(_layered(cfg, files[:1], opts), merged, *files)
    return merged


def _check_network(alone: CfgNode, merged: CfgNode, dataset: Path, network: Path) -> None:
    """Else a base of the network's would resize a data set's images without a word.

    alone: the config with the data set's; merged: with the network's too.
    """
    own = read_yaml(dataset)
    before, now = plain(alone), plain(merged)
    changes = [
        change
        for change in differences(before, now)
        if change.startswith(_OF_THE_DATA)
        and (key := change.partition(": ")[0]) not in _OF_THE_NETWORK
        and _sets(own, key)
    ]
    if changes:
        raise ConfigError(
            f"{network} of STUDY.NETWORKS changes what {dataset} of STUDY.DATASETS has set:\n"
            + "".join(f"  {change}\n" for change in changes)
            + "Leave these keys, and bases that set them, out of the network's config, or give "
            "them as KEY VALUE options, which hold for all data sets."
        )


def _sets(config: Mapping[str, Any], key: str) -> bool:
    """Whether a config as it was read names the key, such as INPUT.CROP.SIZE."""
    head, _, rest = key.partition(".")
    if not rest or head not in config:
        return head in config
    return isinstance(config[head], Mapping) and _sets(config[head], rest)


def _layered(cfg: CfgNode, files: Sequence[Path], opts: list[str]) -> CfgNode:
    merged = cfg.clone()
    if not files:
        return merged
    merged.defrost()
    try:
        for file in files:
            merged.merge_from_other_cfg(CfgNode(read_yaml(file)))
        merged.merge_from_list(opts)
    except (AssertionError, KeyError, ValueError, OSError) as error:
        names = ", ".join(map(str, files))
        words = error.args[0] if isinstance(error, KeyError) else error
        raise ConfigError(f"STUDY.DATASETS and STUDY.NETWORKS, {names}: {words}") from None
    expand_homes(merged)
    run_imports(merged)
    merged.STUDY, merged.OUTPUT_DIR = cfg.STUDY.clone(), cfg.OUTPUT_DIR
    merged.freeze()
    return merged
