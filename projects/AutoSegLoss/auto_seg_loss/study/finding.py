"""find_loss.py: from a folder of images and a metric to a loss, a table and a verdict."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from auto_seg_loss.data import DATA_ERRORS, SplitError
from auto_seg_loss.data.report import data_report, data_sets
from auto_seg_loss.features.store import feature_store, image_size
from auto_seg_loss.runtime.checks import check_data
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.runtime.quiet import hush_detectron2
from auto_seg_loss.runtime.resume import sole_run
from auto_seg_loss.search import check_search, open_journal, search
from auto_seg_loss.study.comparison import SOFT, Comparison
from auto_seg_loss.study.finding_report import Found, write_report
from autoseg_core.files import read_json, replacing
from rl.settings_diff import differences

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = "features/Base-Features.yaml"
BASELINES = ("cross_entropy", "dice", "lovasz")
PARTS = ("train", "holdout", "test")
SIDE, STRIDE = 224, 16
"""Images are scaled so that a square would have this side, in pixels; a multiple of the stride."""
LEAST = 60
"""Iterations of a training, at least; SOLVER.MAX_ITER is the most."""
PROBE = 20
"""Iterations of the training that is timed first."""
RATES = (0.3, 1.0, 3.0)
OPTIONS = {
    "DATASETS.FOLDER.IMAGES": "--images",
    "DATASETS.FOLDER.LABELS": "--labels",
    "DATASETS.FOLDER.CLASSES": "--classes",
    "DATASETS.FOLDER.VOID": "--void",
    "DATASETS.FOLDER.GROUPS": "--groups",
    "DATASETS.FOLDER": "--images, --labels, --classes, --void, --groups",
    "SEARCH.METRIC": "--metric",
    "OUTPUT_DIR": "--output",
}
"""What errors call a key of the config -> what the user of find_loss.py has typed."""
FINALISTS = 4
"""Cross entropy, the best baseline, the unsearched surrogate and the searched loss."""
ROUNDS = 1000
"""More than there will be: the search ends with its time."""
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
    """Do what find_loss.py says; returns the report. Errors name its options, not the keys."""
    if wish.minutes <= 0:
        raise ConfigError(f"--minutes must be a number > 0, got {wish.minutes:g}.")
    began = time.monotonic()
    # Threads of one process wait for each other; processes, and other programs, do not.
    torch.set_num_threads(1)
    wish.output.mkdir(parents=True, exist_ok=True)
    with _options_named():
        with config_errors():
            cfg = _prepared(wish)
        hush_detectron2()
        with sole_run(cfg, "find_loss"):
            return _find(cfg, wish, began)


@contextmanager
def _options_named() -> Iterator[None]:
    """Errors of the ring name keys of a config that the user of find_loss.py never sees."""
    try:
        yield
    except (ConfigError, OSError, SplitError, *DATA_ERRORS) as error:
        text = str(error)
        for key, option in OPTIONS.items():
            text = re.sub(rf"\b{key}\b", option, text)
        if text == str(error):
            raise
        raise ConfigError(text) from error


def _find(cfg: CfgNode, wish: Wish, began: float) -> str:
    _say("Data")
    print(data_report(cfg), flush=True)
    for name in data_sets(cfg):
        check_data(cfg, name)
    records = [record for name in data_sets(cfg) for record in DatasetCatalog.get(name)]
    _say(f"Features of {len(records)} images")
    feature_store(cfg).prepare([record["file_name"] for record in records])
    iterations, minutes = _plan(cfg, wish, began)
    shown = wish.output / "predictions"
    comparison = Comparison(cfg, iterations, RATES, workers=wish.workers, predictions=shown)
    metric = wish.metric
    baselines = [*BASELINES, f"{SOFT}{metric}"]
    _say(f"Baselines, {comparison.iterations} iterations each: {', '.join(baselines)}")
    comparison.choose(baselines)
    _say("Search")
    spec = _search(cfg, comparison, metric, minutes)
    _say("Comparison on the test part")
    comparison.choose([spec])
    best = comparison.best(baselines, metric)
    final = list(dict.fromkeys(["cross_entropy", best, f"{SOFT}{metric}", spec]))
    comparison.repeat(final, [metric])
    return write_report(wish.output, comparison, Found(metric, tuple(final), best, spec))


def _say(what: str) -> None:
    print(f"\n[{time.strftime('%H:%M:%S')}] {what}", flush=True)


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
    keys = {"NAME": "cut", **folder}.items()
    options = [str(text) for key, value in keys for text in (f"DATASETS.FOLDER.{key}", value)]
    load_config(str(CONFIGS / BASE), [*wish.opts, *options])
    with config_errors("DATASETS.FOLDER"):
        images = {
            part: [Path(item["file_name"]) for item in DatasetCatalog.get(f"cut_sem_seg_{part}")]
            for part in PARTS
        }
    classes = MetadataCatalog.get("cut_sem_seg_train").stuff_classes
    size = _size({image_size(str(path)) for paths in images.values() for path in paths})
    _write_configs(wish, folder, size, len(classes))
    for part, paths in images.items():
        names = "".join(f"{path.stem}\n" for path in paths)
        with replacing(wish.output / f"{part}.txt") as partial:
            partial.write_text(names, encoding="utf-8")
    cfg = load_config(str(wish.output / "find.yaml"), list(wish.opts))
    cfg.freeze()
    check_search(cfg)
    return cfg


def _write_configs(wish: Wish, folder: dict[str, Any], size: tuple[int, int], classes: int) -> None:
    """Write OUTPUT/find.yaml and train.yaml; ``ConfigError`` for the folder of another run."""
    output = wish.output.absolute()
    sets = {part: [f"own_sem_seg_{part}"] for part in PARTS}
    lists = {part.upper(): str(output / f"{part}.txt") for part in PARTS}
    folder = {**folder, **lists, "NAME": "own"}
    data = {"DATASETS": {"FOLDER": folder, "TRAIN": sets["train"], "TEST": sets["test"]}}
    head = {"NUM_CLASSES": classes}
    searched = {"LOSS_TYPE": "auto_seg_loss", "LOSS_SPEC": str(output / "searched_loss.json")}
    find = {
        "_BASE_": str(CONFIGS / BASE),
        **data,
        "MODEL": {"SEM_SEG_HEAD": head},
        "FEATURES": {"SIZE": list(size)},
        "SEARCH": {"METRIC": wish.metric, "HOLDOUT": {"DATASETS": sets["holdout"]}},
        "OUTPUT_DIR": str(output),
    }
    train = {
        "_BASE_": str(CONFIGS / "Base-EfficientNetLite0.yaml"),
        **data,
        "MODEL": {"WEIGHTS": "", "SEM_SEG_HEAD": {**head, **searched}},
        "OUTPUT_DIR": str(output / "train"),
    }
    path = output / "find.yaml"
    begun = (output / "trials.jsonl").is_file()
    kept = yaml.safe_load(path.read_text(encoding="utf-8")) if begun else find
    if changed := differences(kept, find):
        raise ConfigError(f"{output} is of another run ({'; '.join(changed)}): change --output.")
    for name, keys in (("find", find), ("train", train)):
        with replacing(output / f"{name}.yaml") as partial:
            partial.write_text(yaml.safe_dump(keys), encoding="utf-8")


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


def _plan(cfg: CfgNode, wish: Wish, began: float) -> tuple[int, float]:
    """What the time allows: iterations of every training, minutes of the search.

    OUTPUT/plan.json keeps it, for a run that goes on must have the same.
    """
    path = wish.output / "plan.json"
    if not path.is_file():
        _say("Timing a training")
        probe = Comparison(cfg, PROBE, rates=RATES[:1])
        begin = time.monotonic()
        probe.choose(BASELINES[:1])
        now = time.monotonic()
        seconds = max(0.0, 60 * wish.minutes - (now - began))
        trials = (len(BASELINES) + 2) * len(RATES) + FINALISTS * probe.seeds
        each = (now - begin) / PROBE
        fits = int(seconds * (1 - SEARCHED) * wish.workers / trials / each)
        if fits < LEAST:
            needed = (trials * LEAST * each / wish.workers / (1 - SEARCHED) + now - began) / 60
            _say(
                f"{wish.minutes:g} minutes are too few for these images, {needed:.0f} are needed: "
                f"trainings have {LEAST} iterations all the same, and the end comes later"
            )
        minutes = max(0.01, round(SEARCHED * seconds / 60, 2))  # 0 would be no limit
        plan = {"iterations": min(max(fits, LEAST), cfg.SOLVER.MAX_ITER), "search_minutes": minutes}
        with replacing(path) as partial:
            partial.write_text(json.dumps(plan), encoding="utf-8")
    kept = read_json(path, dict[str, float], "give another --output")
    return int(kept["iterations"]), kept["search_minutes"]


def _search(cfg: CfgNode, comparison: Comparison, metric: str, minutes: float) -> str:
    """Search at the rate of the unsearched surrogate, scaled as candidates are; the spec's path."""
    own = cfg.clone()
    own.defrost()
    own.SEARCH.PROXY.MAX_ITER = comparison.iterations
    own.SOLVER.BASE_LR = comparison.rate(f"{SOFT}{metric}", metric)
    own.SEARCH.ROUNDS = ROUNDS
    own.SEARCH.MINUTES = minutes
    # A short final, of at most five finalists: the comparison on the test part is the long one.
    own.SEARCH.SELECTION.RESEEDS = 2
    own.freeze()
    output = Path(own.OUTPUT_DIR)
    path = output / "searched_loss.json"
    if not path.is_file():
        with open_journal(own, resume=(output / "journal.jsonl").is_file()) as journal:
            search(own, journal)
    return str(path)
