"""find_loss.py: from a folder of images and a metric to a loss, a table and a verdict."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from auto_seg_loss.data_report import data_report, data_sets
from auto_seg_loss.errors import config_errors
from auto_seg_loss.fair.comparison import SOFT, Comparison
from auto_seg_loss.fair.report import Found, write_report
from auto_seg_loss.features.store import feature_store, image_size
from auto_seg_loss.preflight import check_data, load_config
from auto_seg_loss.quiet import hush_detectron2
from auto_seg_loss.search import check_search, open_journal, search

logger = logging.getLogger(__name__)

CONFIGS = Path(__file__).parents[2] / "configs"
BASELINES = ("cross_entropy", "dice", "lovasz")
PARTS = {"TRAIN": "train", "HOLDOUT": "holdout", "TEST": "test"}
"""Keys of DATASETS.FOLDER, and how the names of the data sets end."""
SIDE, STRIDE = 224, 16
"""Images are scaled so that a square would have this side, in pixels; a multiple of the stride."""
LENGTHS = (60, 300)
"""Iterations of a training, at least and at most."""
SEARCHED = 0.5
"""Share of the time that the search gets."""


@dataclass(frozen=True)
class Wish:
    """The command line of find_loss.py."""

    images: Path
    labels: Path
    metric: str
    minutes: float
    output: Path
    classes: Path | None = None
    void: int = 255
    groups: str = ""
    workers: int = 1
    opts: Sequence[str] = ()


def find_loss(wish: Wish) -> str:
    """Do what find_loss.py says; returns the report."""
    began = time.monotonic()
    wish.output.mkdir(parents=True, exist_ok=True)
    cfg = _prepared(wish)
    hush_detectron2()
    print(data_report(cfg), flush=True)
    for name in data_sets(cfg):
        check_data(cfg, name)
    records = [record for name in data_sets(cfg) for record in DatasetCatalog.get(name)]
    feature_store(cfg).prepare([record["file_name"] for record in records])
    left = 60 * wish.minutes - (time.monotonic() - began)
    comparison = Comparison(cfg, _length(cfg, wish, left), workers=wish.workers)
    metric = wish.metric
    baselines = [*BASELINES, f"{SOFT}{metric}"]
    comparison.choose(baselines)
    spec = _search(cfg, comparison, metric, left)
    comparison.choose([spec])
    best = comparison.best(baselines, metric)
    final = list(dict.fromkeys(["cross_entropy", best, f"{SOFT}{metric}", spec]))
    comparison.repeat(final, [metric])
    return write_report(wish.output, comparison, Found(metric, tuple(final), best, spec))


def _prepared(wish: Wish) -> CfgNode:
    """The checked config, which find.yaml and train.yaml hold for other scripts."""
    folder: dict[str, Any] = {
        "IMAGES": str(wish.images.absolute()),
        "LABELS": str(wish.labels.absolute()),
        "VOID": wish.void,
        "GROUPS": wish.groups,
    }
    if wish.classes:
        folder["CLASSES"] = wish.classes.read_text(encoding="utf-8").splitlines()
    cut = _config(wish, "cut", folder)
    for key, part in PARTS.items():
        names = [Path(record["file_name"]).stem for record in _records(f"cut_sem_seg_{part}")]
        folder[key] = str(wish.output.absolute() / f"{part}.txt")
        Path(folder[key]).write_text("\n".join(names) + "\n", encoding="utf-8")
    records = [record for name in data_sets(cut) for record in _records(name)]
    size = _size({image_size(record["file_name"]) for record in records})
    classes = MetadataCatalog.get("cut_sem_seg_train").stuff_classes
    cfg = _config(wish, "own", folder, size, len(classes))
    cfg.freeze()
    with config_errors():
        check_search(cfg)
    return cfg


def _config(
    wish: Wish,
    name: str,
    folder: dict[str, Any],
    size: tuple[int, int] = (16, 16),
    classes: int = 1,
) -> CfgNode:
    """Write OUTPUT/find.yaml and train.yaml for a data set of this name, and load the first."""
    sets = {part: [f"{name}_sem_seg_{part}"] for part in PARTS.values()}
    keys: dict[str, Any] = {
        "DATASETS": {
            "FOLDER": {**folder, "NAME": name},
            "TRAIN": sets["train"],
            "TEST": sets["test"],
        },
        "MODEL": {"SEM_SEG_HEAD": {"NUM_CLASSES": classes}},
        "FEATURES": {"SIZE": list(size)},
        "SEARCH": {"METRIC": wish.metric, "HOLDOUT": {"DATASETS": sets["holdout"]}},
    }
    _write(wish.output, "find", "features/Base-Features.yaml", keys)
    keys["MODEL"]["SEM_SEG_HEAD"] |= {
        "LOSS_TYPE": "auto_seg_loss",
        "LOSS_SPEC": str(wish.output.absolute() / "searched_loss.json"),
    }
    keys["MODEL"]["WEIGHTS"] = ""
    _write(wish.output, "train", "Base-EfficientNetLite0.yaml", keys)
    return load_config(str(wish.output / "find.yaml"), list(wish.opts))


def _write(output: Path, name: str, base: str, keys: dict[str, Any]) -> None:
    own = {"_BASE_": str(CONFIGS / base), **keys, "OUTPUT_DIR": str(output.absolute())}
    if name == "train":
        own["OUTPUT_DIR"] += "/train"
    (output / f"{name}.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")


def _records(name: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = DatasetCatalog.get(name)
    return records


def _size(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    """FEATURES.SIZE for images of these (height, width): as many pixels as SIDE x SIDE.

    A square where some are wide and some are high.
    """
    shapes = {(height / (height * width) ** 0.5) for height, width in sizes}
    if min(shapes) < 1 < max(shapes):
        return SIDE, SIDE
    tall = sorted(shapes)[len(shapes) // 2]
    rows, columns = (max(1, round(SIDE * side / STRIDE)) for side in (tall, 1 / tall))
    return rows * STRIDE, columns * STRIDE


def _length(cfg: CfgNode, wish: Wish, seconds: float) -> int:
    """Iterations of a training such that all of the comparison fits in its share of the time.

    It is kept in OUTPUT/length.json: trainings of a run that goes on must have one length.
    """
    path = wish.output / "length.json"
    if path.is_file():
        return int(json.loads(path.read_text(encoding="utf-8")))
    probe = Comparison(cfg, 20, rates=(0.3,))
    begin = time.monotonic()
    probe.choose(["cross_entropy"])
    each = (time.monotonic() - begin) / 20
    trials = (len(BASELINES) + 2) * 3 + 4 * 5
    fits = int(seconds * (1 - SEARCHED) * wish.workers / trials / each)
    length = min(max(fits, LENGTHS[0]), LENGTHS[1])
    path.write_text(json.dumps(length), encoding="utf-8")
    return length


def _search(cfg: CfgNode, comparison: Comparison, metric: str, seconds: float) -> str:
    """Search for SEARCHED of the time at cross entropy's rate; the path of the spec."""
    own = cfg.clone()
    own.defrost()
    own.SEARCH.PROXY.MAX_ITER = comparison.iterations
    own.SOLVER.BASE_LR = comparison.rate("cross_entropy", metric)
    own.SEARCH.ROUNDS = 1000
    own.SEARCH.MINUTES = max(1, round(seconds * SEARCHED / 60))
    own.freeze()
    path = Path(own.OUTPUT_DIR) / "searched_loss.json"
    if not path.is_file():
        resume = (Path(own.OUTPUT_DIR) / "journal.jsonl").is_file()
        with open_journal(own, resume) as journal:
            search(own, journal)
    return str(path)
