"""The matrix of a study: data sets x networks x losses x seeds, each cell a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from detectron2.config import CfgNode

from auto_seg_loss.config import changed
from auto_seg_loss.data.splits import images_digest
from auto_seg_loss.executor import check_executor
from auto_seg_loss.losses import build_loss
from auto_seg_loss.runtime.checks import check_config, check_train_data
from auto_seg_loss.runtime.errors import ConfigError, config_errors
from auto_seg_loss.study.inspection import build_evaluators
from auto_seg_loss.study.losses import CandidateLoss, in_registry, loss_label, pick_candidates
from auto_seg_loss.study.record import RECORD, Record, Trial, pinned_settings
from auto_seg_loss.study.settings import CANDIDATES, RESERVED, Setting, read_settings
from auto_seg_loss.study.trials import trial_config
from auto_seg_loss.weights import local_weights, weights_digest
from autoseg_core.files import file_digest


@dataclass(frozen=True, eq=False)
class Cell:
    """One training. loss: its label. config: frozen, as ``train_net.py`` would take it."""

    setting: Setting
    loss: str
    seed: int
    config: CfgNode

    @cached_property
    def trial(self) -> Trial:
        """Its key in the record; depends on the files of its loss and its start weights."""
        head, solver = self.config.MODEL.SEM_SEG_HEAD, self.config.SOLVER
        digests = [file_digest(Path(head.LOSS_SPEC)), weights_digest(self.config.MODEL.WEIGHTS)]
        digest = "-".join(filter(None, digests))
        return Trial(self.loss, solver.BASE_LR, solver.MAX_ITER, self.seed, digest)

    @property
    def predictions(self) -> Path:
        """The folder of its predictions; the cell's folder may now belong to another trial."""
        return Path(self.config.OUTPUT_DIR, "predictions", self.trial.name)

    def __str__(self) -> str:
        return ", ".join([*self.setting.labels, self.loss, f"seed {self.seed}"])


@dataclass(frozen=True, eq=False)
class Study:
    """All cells, and their sources.

    config: the study's own, frozen. settings: data sets x networks. candidates: losses of
    STUDY.JOURNAL with their rewards.
    """

    config: CfgNode
    settings: Sequence[Setting]
    candidates: Sequence[CandidateLoss] = ()

    @property
    def output(self) -> Path:
        return Path(self.config.OUTPUT_DIR)

    @cached_property
    def losses(self) -> dict[str, str]:
        """Label -> loss: those of STUDY.LOSSES, and files of the candidates. ``ConfigError``."""
        names = [(loss_label(loss), in_registry(loss)) for loss in self.config.STUDY.LOSSES]
        names += [(one.spec.name, str(one.path)) for one in self.candidates]
        if taken := dict(names).keys() & set(RESERVED):
            raise ConfigError(f"No loss of a study may be called {taken.pop()!r}: rename it.")
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
            for seed in dict.fromkeys(self.config.STUDY.SEEDS)
            for label, loss in self.losses.items()
        )


def read_study(config_file: str, opts: Sequence[str]) -> Study:
    """The study of a config file and KEY VALUE options; ``ConfigError`` if they are invalid."""
    cfg, settings = read_settings(config_file, opts)
    journal = cfg.STUDY.JOURNAL
    if journal and not Path(journal).is_file():
        raise ConfigError(f"STUDY.JOURNAL {journal} is not a file; set the journal of a search.")
    picked = (Path(journal), cfg.STUDY.CANDIDATES, Path(cfg.OUTPUT_DIR, CANDIDATES))
    return Study(cfg, settings, pick_candidates(*picked) if journal else ())


def cell_config(cfg: CfgNode, label: str, loss: str, seed: int) -> CfgNode:
    """A setting's config with a loss and a seed; frozen."""
    cell = trial_config(cfg, Trial(loss, cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER, seed))
    return changed(cell, {"OUTPUT_DIR": str(Path(cfg.OUTPUT_DIR, label, f"seed{seed}"))})


def open_record(setting: Setting) -> Record:
    """The results of a setting's cells; ``ConfigError`` when the config or the data has changed."""
    cfg = setting.config
    # Missing scores of a cell are measured from its checkpoint.
    scores = ("TEST.METRICS", "TEST.SAMPLES")
    free = ("DATALOADER.NUM_WORKERS", "INPUT.CACHE", "SOLVER.CHECKPOINT_PERIOD")
    settings = pinned_settings(cfg, *scores, *free)
    del settings["SEARCH"]
    settings["images"] = images_digest((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST))
    return Record(Path(cfg.OUTPUT_DIR) / RECORD, settings)


def check_study(study: Study) -> None:
    """``ConfigError`` for anything that would make a cell fail, before writing or training."""
    with config_errors():
        check_executor(study.config)
    if not study.cells:
        raise ConfigError("STUDY.LOSSES and STUDY.SEEDS must name at least one loss and one seed.")
    node = study.config.STUDY
    if any(type(number) is not int or number < 0 for number in (*node.SEEDS, *node.TOLERANCES)):
        raise ConfigError("STUDY.SEEDS and STUDY.TOLERANCES must be whole numbers >= 0.")
    found = {one.spec.name for one in study.candidates}  # their files do not exist yet
    for setting in study.settings:
        own = [cell for cell in study.cells if cell.setting is setting]
        try:
            _check_setting(setting.config, own)
            with config_errors("STUDY.LOSSES"):
                for cell in own:
                    if cell.loss not in found:
                        build_loss(cell.config)
        except ValueError as error:
            where = ", ".join(setting.labels) + ": " * bool(setting.labels)
            raise ConfigError(f"{where}{error}") from error


def _check_setting(cfg: CfgNode, cells: Sequence[Cell]) -> None:
    if len(cfg.DATASETS.TEST) != 1:
        raise ConfigError(f"A study scores one data set, but DATASETS.TEST is {cfg.DATASETS.TEST}.")
    # MODEL.DEVICE is that of workers, or unused: ``run_study`` checks it before training here.
    first = cell_config(cfg, "", "cross_entropy", cells[0].seed)
    check_config(changed(first, {"MODEL.DEVICE": "cpu"}), check_train_data)
    for weights in {cell.config.MODEL.WEIGHTS for cell in cells} - {""}:
        local_weights(weights)
    with config_errors("STUDY.TARGET, STUDY.TOLERANCES and TEST.METRICS"):
        build_evaluators(cfg)
