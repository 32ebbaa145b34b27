"""The matrix of a study: data sets x networks x losses x seeds, each cell a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from detectron2.config import CfgNode

from auto_seg_loss.losses import loss_names
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.study.borders import BORDERS
from auto_seg_loss.study.candidates import CandidateLoss, pick_candidates
from auto_seg_loss.study.record import RECORD, Record, Trial
from auto_seg_loss.study.settings import CANDIDATES, Setting, read_settings
from auto_seg_loss.study.trials import (
    file_digest,
    images_digest,
    pinned_settings,
    trial_config,
    weights_digest,
)
from autoseg_core import PAPER_METRICS, load_spec
from autoseg_core.scores import get_metric


@dataclass(frozen=True, eq=False)
class Cell:
    """One training. loss: its label. config: frozen, as ``train_net.py`` would take it."""

    setting: Setting
    loss: str
    seed: int
    config: CfgNode

    @property
    def directory(self) -> Path:
        """Where it is trained."""
        return Path(self.config.OUTPUT_DIR)

    @cached_property
    def trial(self) -> Trial:
        """Its key in the record; depends on the files of its loss and its start."""
        head, solver = self.config.MODEL.SEM_SEG_HEAD, self.config.SOLVER
        digests = [file_digest(Path(head.LOSS_SPEC)), weights_digest(self.config.MODEL.WEIGHTS)]
        digest = "-".join(filter(None, digests))
        return Trial(self.loss, solver.BASE_LR, solver.MAX_ITER, self.seed, digest)

    def __str__(self) -> str:
        return ", ".join([*self.setting.labels, self.loss, f"seed {self.seed}"])


@dataclass(frozen=True, eq=False)
class Study:
    """All cells, and what they are taken from.

    config: the study's own, frozen. settings: data sets x networks. candidates: losses of
    STUDY.JOURNAL with their rewards.
    """

    config: CfgNode
    settings: Sequence[Setting]
    candidates: Sequence[CandidateLoss] = ()

    @property
    def output(self) -> Path:
        """OUTPUT_DIR."""
        return Path(self.config.OUTPUT_DIR)

    @property
    def losses(self) -> dict[str, str]:
        """Label -> loss: those of STUDY.LOSSES, and files of the candidates. ``ConfigError``."""
        names = [(loss_label(loss), loss) for loss in self.config.STUDY.LOSSES]
        names += [(one.spec.name, str(self.candidate_file(one))) for one in self.candidates]
        if len(dict(names)) < len(names):
            raise ConfigError(
                f"STUDY.LOSSES must name different losses, got {[label for label, _ in names]}; "
                "the name of a found loss is SEARCH.NAME, or `name` in its file."
            )
        return dict(names)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell, in the order of their training: seed by seed."""
        return tuple(
            Cell(setting, label, seed, cell_config(setting.config, label, loss, seed))
            for setting in self.settings
            for seed in self.config.STUDY.SEEDS
            for label, loss in self.losses.items()
        )

    def candidate_file(self, candidate: CandidateLoss) -> Path:
        """Where the spec of a candidate is kept."""
        return self.output / CANDIDATES / f"{candidate.spec.name}.json"


def read_study(config_file: str, opts: Sequence[str]) -> Study:
    """The study of a config file and KEY VALUE options; ``ConfigError`` for what cannot be read."""
    cfg, settings = read_settings(config_file, opts)
    journal = cfg.STUDY.JOURNAL
    if journal and not Path(journal).is_file():
        raise ConfigError(f"STUDY.JOURNAL {journal} is no file; give the journal of a search.")
    candidates = pick_candidates(Path(journal), cfg.STUDY.CANDIDATES) if journal else []
    return Study(cfg, settings, candidates)


def cell_config(cfg: CfgNode, label: str, loss: str, seed: int) -> CfgNode:
    """A setting's config with a loss and a seed; frozen."""
    cell = trial_config(cfg, Trial(loss, cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER, seed))
    cell.defrost()
    cell.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR, label, f"seed{seed}"))
    cell.freeze()
    return cell


def loss_label(loss: str) -> str:
    """Name of a loss in tables and directories: registry name, or the spec's own name."""
    return loss if loss in loss_names() else load_spec(loss).name


def measures(cfg: CfgNode) -> tuple[str, ...]:
    """What is measured of a cell, the target first: the six scores, those of TEST.METRICS, those of
    borders at STUDY.TOLERANCES, as BF1@2, and with STUDY.BORDERS the measures of borders."""
    names = [
        get_metric(name).name for name in (cfg.STUDY.TARGET, *PAPER_METRICS, *cfg.TEST.METRICS)
    ]
    names += [f"{name}@{r}" for r in cfg.STUDY.TOLERANCES for name in border_metrics()]
    return tuple(dict.fromkeys([*names, *(BORDERS if cfg.STUDY.BORDERS else ())]))


def border_metrics() -> list[str]:
    """Those of the six whose score depends on a tolerance."""
    return [name for name in PAPER_METRICS if get_metric(name).region != "image"]


def open_record(setting: Setting) -> Record:
    """The results of a setting's cells; ``ConfigError`` when the config or the data has changed."""
    cfg = setting.config
    settings = pinned_settings(cfg)
    # What a cell lacks of these is measured from its checkpoint.
    del settings["SEARCH"], settings["TEST"]["METRICS"], settings["TEST"]["SAMPLES"]
    for section, key in (("DATALOADER", "NUM_WORKERS"), ("INPUT", "CACHE")):
        del settings[section][key]
    del settings["SOLVER"]["CHECKPOINT_PERIOD"]
    settings["images"] = images_digest((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST))
    return Record(Path(cfg.OUTPUT_DIR) / RECORD, settings)
