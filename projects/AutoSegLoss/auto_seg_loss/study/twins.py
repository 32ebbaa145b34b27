"""The unsearched surrogate of a metric as a loss to compare with, under a name like soft:mIoU."""

from __future__ import annotations

import re
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from auto_seg_loss.proxy import proxy_config, starting_network
from auto_seg_loss.reference import reference_batches
from auto_seg_loss.training import Batches, scaled
from autoseg_core.surrogates.soft import soft_spec

SOFT = "soft:"
"""How the name of an unsearched surrogate begins."""
FILES = "soft-*.json"
"""Those that ``soft_file`` makes in OUTPUT_DIR."""


def soft_file(cfg: CfgNode, metric: str) -> Path:
    """The unsearched surrogate of an objective as a spec in OUTPUT_DIR, scaled as candidates are.

    The twin of what a search of this config finds: identity curves, SEARCH.TOLERANCE.
    """
    name = re.sub(r"[^A-Za-z0-9.+-]+", "-", SOFT + metric)
    path = Path(cfg.OUTPUT_DIR) / f"{name}.json"
    if not path.is_file():
        spec = soft_spec(metric, tolerance=cfg.SEARCH.TOLERANCE)
        scaled(spec, _reference(cfg), cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE).save(path)
    return path


def _reference(cfg: CfgNode) -> Batches:
    own = proxy_config(cfg)
    model = starting_network(own)
    records = [record for name in own.DATASETS.TRAIN for record in DatasetCatalog.get(name)]
    return reference_batches(own, model, model.state_dict(), records)
