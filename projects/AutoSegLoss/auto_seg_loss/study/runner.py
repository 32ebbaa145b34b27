"""The study's run: every cell that is not done, here or in workers, then the reports."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from numpy.typing import NDArray

from auto_seg_loss.config import project_defaults, register_names
from auto_seg_loss.data import DATA_ERRORS
from auto_seg_loss.data.catalog import datasets_root
from auto_seg_loss.executor import attempt_options
from auto_seg_loss.runtime.checks import check_device
from auto_seg_loss.runtime.errors import config_errors
from auto_seg_loss.runtime.quiet import quiet_console
from auto_seg_loss.study.cells import complete, keep_failure
from auto_seg_loss.study.finished import (
    FAILED,
    CellResult,
    check_finished,
    failed_alike,
    is_finished,
    read_result,
)
from auto_seg_loss.study.matrix import Cell, Study
from auto_seg_loss.study.report import printed, write_reports
from auto_seg_loss.study.settings import Setting
from auto_seg_loss.study.tensorboard import StudyBoard
from rl.executors import Candidate, make_executor
from rl.proxy import ProxyResult, failed
from rl.recorded import check_lost

_AGAIN = "What is finished is kept: mend it and start the study again with --retry-failed"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What a study prints, and the cells that failed, with the reason."""

    text: str
    failures: tuple[str, ...]


def run_study(study: Study, retry_failed: bool = False) -> Outcome:
    """Train and score every cell that is not done, and write the reports below OUTPUT_DIR.

    A cell that fails is reported and the others go on; it is left alone until ``retry_failed``, or
    until its config is another. ``SearchError`` when too many are lost with their workers or exceed
    the timeout. Call it inside ``run_record.sole_run``.
    """
    _write_candidates(study)
    check_finished(study)
    board = StudyBoard(study)
    results = []
    for number, result in enumerate(_results(study, retry_failed), start=1):
        results.append(result)
        board.add(result)
        _say(f"{number}/{len(study.cells)}", result, study.target)
    write_reports(study, results)
    failures = [f"{one.cell}: {one.reason}" for one in results if one.reason]
    return Outcome(printed(study, results), tuple(failures))


def _write_candidates(study: Study) -> None:
    for candidate in study.candidates:
        path = Path(study.candidate_file(candidate))
        path.parent.mkdir(parents=True, exist_ok=True)
        candidate.spec.save(path)


def _results(study: Study, retry_failed: bool) -> Iterator[CellResult]:
    """Each cell's, in order, as soon as it is known."""
    left_alone = {cell.run for cell in study.cells if _is_left_alone(cell, retry_failed)}
    pending = [cell for cell in study.cells if cell.run not in left_alone]
    _check_devices(study, pending)
    with _completed(study, pending) as completed:
        for cell in study.cells:
            if cell.run not in left_alone:
                next(completed)
            yield read_result(cell)


def _check_devices(study: Study, pending: Sequence[Cell]) -> None:
    """Of cells to be trained here; workers may have what is not here."""
    if study.config.SEARCH.EXECUTOR.NAME != "serial":
        return
    with config_errors():
        for cell in pending:
            check_device(cell.config)


def _is_left_alone(cell: Cell, retry_failed: bool) -> bool:
    """A finished cell can have failed too: when it was inspected, or when its lock was held."""
    if (cell.directory / FAILED).is_file():
        return failed_alike(cell) and not retry_failed
    return is_finished(cell)


@contextmanager
def _completed(study: Study, cells: Sequence[Cell]) -> Iterator[Iterator[None]]:
    """Steps once for each of the cells, in order, when it is done or has failed.

    ``SearchError`` when more than SEARCH.EXECUTOR.MAX_LOST of them were lost.
    """
    if not cells:
        yield iter(())
        return
    name = study.config.SEARCH.EXECUTOR.NAME
    make, options = _PLANS[name](study.config, cells)
    options |= attempt_options(study.config)
    candidates = [Candidate(c.run, np.zeros(0), seed) for seed, c in enumerate(cells)]
    with make_executor(name, make, **options) as executor:

        def steps() -> Iterator[None]:
            lost, share = 0, study.config.SEARCH.EXECUTOR.MAX_LOST
            for candidate, result in executor.run(candidates):
                if result.status == "lost":
                    # Its worker was lost, or it took longer than SEARCH.EXECUTOR.TIMEOUT.
                    lost += 1
                    _keep_loss(cells[candidate.seed], result.reason)
                    check_lost(lost, len(cells), share, result.reason, _AGAIN)
                yield

        yield steps()


def _keep_loss(cell: Cell, reason: str) -> None:
    if not (cell.directory / FAILED).is_file():
        keep_failure(cell, RuntimeError(reason))


class CellTask:
    """Cells as a ``ProxyTask``: the seed of a candidate is the number of its cell.

    So the executors of a search train cells too. What a cell gives is on the disk, its failure too;
    the result says only that this is so.
    """

    data_errors = DATA_ERRORS

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells

    def evaluate(self, theta: NDArray[np.float64], seed: int, budget: float = 1.0) -> ProxyResult:
        """Complete cell number ``seed``; theta, (0,), and budget mean nothing here."""
        with quiet_console():
            reason = complete(self.cells[seed])
        return failed(reason) if reason else ProxyResult(0.0)


def _here(cfg: CfgNode, cells: Sequence[Cell]) -> tuple[Callable[[], CellTask], dict[str, Any]]:
    return lambda: CellTask(cells), {}


def _in_workers(
    cfg: CfgNode, cells: Sequence[Cell]
) -> tuple[Callable[[], CellTask], dict[str, Any]]:
    node = cfg.SEARCH.EXECUTOR
    on_gpu = any(torch.device(cell.config.MODEL.DEVICE).type == "cuda" for cell in cells)
    options = {
        "workers": node.WORKERS or None,
        "cpus": node.CPUS or (1.0 if on_gpu else float(torch.get_num_threads())),
        "gpus": node.GPUS if on_gpu else 0.0,
    }
    texts = [(cell.loss, cell.config.dump()) for cell in cells]
    root = str(datasets_root().absolute())
    return partial(task_in_worker, texts, root, str(Path.cwd())), options


def task_in_worker(cells: list[tuple[str, str]], datasets: str, directory: str) -> CellTask:
    """The driver's cells, in another process that works in the same directory.

    cells: of each the loss's label and the config, as YAML. datasets: DETECTRON2_DATASETS.
    directory: the driver's, which relative paths of the configs start from.
    """
    os.environ["DETECTRON2_DATASETS"] = datasets
    os.chdir(directory)
    return CellTask([_cell_from_text(loss, text) for loss, text in cells])


def _cell_from_text(loss: str, text: str) -> Cell:
    cfg = project_defaults()
    cfg.merge_from_other_cfg(CfgNode.load_cfg(text))
    register_names(cfg)
    cfg.freeze()
    return Cell(Setting("", "", cfg), loss, cfg.SEED, cfg)


_PLANS: dict[
    str, Callable[[CfgNode, Sequence[Cell]], tuple[Callable[[], CellTask], dict[str, Any]]]
] = {"serial": _here, "ray": _in_workers}


def _say(count: str, result: CellResult, target: str) -> None:
    if result.reason:
        logger.warning("%s  %s failed: %s", count, result.cell, result.reason)
    else:
        logger.info("%s  %s: %s %.2f", count, result.cell, target, result.scores[target])
