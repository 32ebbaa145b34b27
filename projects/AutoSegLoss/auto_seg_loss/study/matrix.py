"""The matrix of a study: data sets x networks x losses x seeds, each cell an ordinary training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from auto_seg_loss.losses import loss_names
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.study.candidates import CandidateLoss, pick_candidates
from auto_seg_loss.study.settings import CANDIDATES, Setting, build_settings
from autoseg_core import PAPER_METRICS, load_spec
from autoseg_core.scores import get_metric


@dataclass(frozen=True, eq=False)
class Cell:
    """One training. config: frozen, as ``train_net.py`` would take it."""

    setting: Setting
    loss: str
    seed: int
    config: CfgNode

    @property
    def directory(self) -> Path:
        """Where it is trained."""
        return Path(self.config.OUTPUT_DIR)

    @property
    def run(self) -> str:
        """Its name among the study's cells, and its place below OUTPUT_DIR."""
        return "/".join([*self.setting.labels, self.loss, f"seed{self.seed}"])

    def __str__(self) -> str:
        return ", ".join([*self.setting.labels, self.loss, f"seed {self.seed}"])


@dataclass(frozen=True, eq=False)
class Study:
    """All cells, and what they are taken from.

    config: the study's own, frozen. settings: data sets x networks. candidates: losses of
    STUDY.JOURNAL with their rewards.
    """

    config: CfgNode
    settings: tuple[Setting, ...]
    candidates: tuple[CandidateLoss, ...] = ()

    @property
    def output(self) -> Path:
        """OUTPUT_DIR."""
        return Path(self.config.OUTPUT_DIR)

    @property
    def losses(self) -> list[str]:
        """What STUDY.LOSSES names, and the files of the candidates."""
        return [*self.config.STUDY.LOSSES, *(self.candidate_file(one) for one in self.candidates)]

    @property
    def target(self) -> str:
        """The score that comes first."""
        return get_metric(self.config.STUDY.TARGET).name

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell, in the order of their training: seed by seed."""
        return tuple(self._cells())

    def _cells(self) -> Iterator[Cell]:
        labels = self.labels()
        for setting in self.settings:
            for seed in self.config.STUDY.SEEDS:
                for loss, label in labels.items():
                    config = cell_config(setting.config, loss, seed)
                    config.defrost()
                    parts = [*setting.labels, label, f"seed{seed}"]
                    config.OUTPUT_DIR = str(self.output.joinpath(*parts))
                    config.freeze()
                    yield Cell(setting, label, seed, config)

    def labels(self) -> dict[str, str]:
        """Loss, as STUDY.LOSSES or a candidate's file names it -> its label."""
        named = {loss: loss_label(loss) for loss in self.config.STUDY.LOSSES}
        return named | {self.candidate_file(one): one.spec.name for one in self.candidates}

    def candidate_file(self, candidate: CandidateLoss) -> str:
        """Where the spec of a candidate is kept."""
        return str(self.output / CANDIDATES / f"{candidate.spec.name}.json")

    @property
    def score_names(self) -> tuple[str, ...]:
        """The six scores, those of TEST.METRICS, and borders at STUDY.TOLERANCES; target first."""
        names = score_names(self.settings[0].config)
        rest = [name for name in names if name != self.target]
        return (self.target, *rest, *tolerance_names(self.config.STUDY.TOLERANCES))


def read_study(config_file: str, opts: Sequence[str]) -> Study:
    """The study of a config file and KEY VALUE options; ``ConfigError`` for what cannot be read."""
    cfg = load_config(config_file, list(opts))
    cfg.freeze()
    return build_study(cfg, opts, Path(config_file).parent)


def build_study(cfg: CfgNode, opts: Sequence[Any] = (), folder: Path = Path()) -> Study:
    """The study of a config.

    Args:
        cfg: with the options merged already; frozen.
        opts: KEY VALUE options, merged again over data sets and networks.
        folder: that paths of STUDY.DATASETS and STUDY.NETWORKS are relative to.
    """
    settings = build_settings(cfg, [str(opt) for opt in opts], folder)
    journal, count = cfg.STUDY.JOURNAL, cfg.STUDY.CANDIDATES
    if journal and not Path(journal).is_file():
        raise ConfigError(f"STUDY.JOURNAL {journal} is no file; give the journal of a search.")
    candidates = pick_candidates(Path(journal), count) if journal else []
    return Study(cfg, settings, tuple(candidates))


def cell_config(cfg: CfgNode, loss: str, seed: int) -> CfgNode:
    """A config with its loss and seed, which "{seed}" in MODEL.WEIGHTS stands for; frozen."""
    cell = cfg.clone()
    cell.defrost()
    known = loss in loss_names()
    cell.MODEL.SEM_SEG_HEAD.LOSS_TYPE = loss if known else "auto_seg_loss"
    cell.MODEL.SEM_SEG_HEAD.LOSS_SPEC = "" if known else loss
    cell.SEED = seed
    cell.MODEL.WEIGHTS = cell.MODEL.WEIGHTS.replace("{seed}", str(seed))
    cell.freeze()
    return cell


def loss_label(loss: str) -> str:
    """Name of a loss in tables and directories: registry name, or the spec's own name."""
    return loss if loss in loss_names() else load_spec(loss).name


def score_names(cfg: CfgNode) -> tuple[str, ...]:
    """The six scores, and those of TEST.METRICS."""
    return tuple(
        dict.fromkeys((*PAPER_METRICS, *(get_metric(name).name for name in cfg.TEST.METRICS)))
    )


def border_metrics() -> list[str]:
    """Those of the six whose score depends on a tolerance."""
    return [name for name in PAPER_METRICS if get_metric(name).region != "image"]


def tolerance_names(tolerances: Sequence[int]) -> list[str]:
    """Names such as BF1@2: a border's score at another tolerance."""
    return [f"{name}@{radius}" for radius in tolerances for name in border_metrics()]
