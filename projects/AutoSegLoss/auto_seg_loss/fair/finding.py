"""find_loss.py: from a folder of images and a metric to a loss, a table and a verdict."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from auto_seg_loss.data.report import data_report, data_sets
from auto_seg_loss.fair.comparison import SOFT, Comparison
from auto_seg_loss.fair.report import Found, write_report
from auto_seg_loss.features.store import feature_store, image_size
from auto_seg_loss.runtime.checks import check_data
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.runtime.quiet import hush_detectron2
from auto_seg_loss.runtime.resume import sole_run
from auto_seg_loss.search import check_search, open_journal, search
from autoseg_core.files import read_json, replacing

CONFIGS = Path(__file__).parents[2] / "configs"
BASELINES = ("cross_entropy", "dice", "lovasz")
KEPT = "wish.json"
"""In the output folder: the command that it belongs to."""
PARTS = {"TRAIN": "train", "HOLDOUT": "holdout", "TEST": "test"}
"""Keys of DATASETS.FOLDER, and how the names of the data sets end."""
SIDE, STRIDE = 224, 16
"""Images are scaled so that a square would have this side, in pixels; a multiple of the stride."""
LEAST = 60
"""Iterations of a training, at least; SOLVER.MAX_ITER is the most."""
PROBE = 20
"""Iterations of the training that is timed first."""
RATES = (0.3, 1.0, 3.0)
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

    def pinned(self) -> dict[str, str]:
        """What the files of an output folder depend on."""
        names = ("images", "labels", "metric", "classes", "void", "groups", "opts")
        return {name: str(getattr(self, name)) for name in names}


def find_loss(wish: Wish) -> str:
    """Do what find_loss.py says; returns the report."""
    if wish.minutes <= 0:
        raise ConfigError(f"--minutes must be a number > 0, got {wish.minutes:g}.")
    began = time.monotonic()
    # Threads of one small training wait for each other; processes, and other programs, do not.
    torch.set_num_threads(1)
    wish.output.mkdir(parents=True, exist_ok=True)
    _check_same(wish)
    with config_errors():
        cfg = _prepared(wish)
    _keep(wish)
    hush_detectron2()
    with sole_run(cfg, "find_loss"):
        return _find(cfg, wish, began)


def _check_same(wish: Wish) -> None:
    """Refuse a folder that holds a run with other data or another metric."""
    path = wish.output / KEPT
    if not path.is_file():
        return
    kept, own = read_json(path, dict[str, str], "give another --output"), wish.pinned()
    if changed := [name for name in own if kept.get(name) != own[name]]:
        raise ConfigError(
            f"{wish.output} holds a run with another value of {', '.join(changed)} ("
            + "; ".join(f"{name} {kept.get(name)!r}" for name in changed)
            + "): give another --output."
        )


def _keep(wish: Wish) -> None:
    with replacing(wish.output / KEPT) as partial:
        partial.write_text(json.dumps(wish.pinned(), indent=1), encoding="utf-8")


def _find(cfg: CfgNode, wish: Wish, began: float) -> str:
    _say("Data")
    print(data_report(cfg), flush=True)
    for name in data_sets(cfg):
        check_data(cfg, name)
    records = [record for name in data_sets(cfg) for record in DatasetCatalog.get(name)]
    _say(f"Features of {len(records)} images")
    feature_store(cfg).prepare([record["file_name"] for record in records])
    plan = _plan(cfg, wish, began)
    comparison = Comparison(cfg, plan.iterations, RATES, workers=wish.workers)
    metric = wish.metric
    baselines = [*BASELINES, f"{SOFT}{metric}"]
    _say(f"Baselines, {comparison.iterations} iterations each: {', '.join(baselines)}")
    comparison.choose(baselines)
    _say("Search")
    spec = _search(cfg, comparison, metric, plan)
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


@dataclass(frozen=True)
class Plan:
    """What the time allows: iterations of every training, minutes of the search.

    OUTPUT/plan.json keeps it, for a run that goes on must have the same.
    """

    iterations: int
    search_minutes: float


def _plan(cfg: CfgNode, wish: Wish, began: float) -> Plan:
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
        plan = Plan(min(max(fits, LEAST), cfg.SOLVER.MAX_ITER), minutes)
        with replacing(path) as partial:
            partial.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    kept = read_json(path, dict[str, Any], "give another --output")
    return Plan(**kept)


def _search(cfg: CfgNode, comparison: Comparison, metric: str, plan: Plan) -> str:
    """Search at cross entropy's rate; the path of the spec."""
    own = cfg.clone()
    own.defrost()
    own.SEARCH.PROXY.MAX_ITER = plan.iterations
    own.SOLVER.BASE_LR = comparison.rate("cross_entropy", metric)
    own.SEARCH.ROUNDS = ROUNDS
    own.SEARCH.MINUTES = plan.search_minutes
    # A short final, of at most five finalists: the comparison on the test part is the long one.
    own.SEARCH.SELECTION.RESEEDS = 2
    own.freeze()
    output = Path(own.OUTPUT_DIR)
    path = output / "searched_loss.json"
    if not path.is_file():
        with open_journal(own, resume=(output / "journal.jsonl").is_file()) as journal:
            search(own, journal)
    return str(path)
