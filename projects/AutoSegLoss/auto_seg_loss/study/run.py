"""Running a study: every unfinished cell is trained, scored and reported."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from detectron2.config import CfgNode

from auto_seg_loss.runtime.checks import check_device
from auto_seg_loss.study.inspection import has_predictions, measures
from auto_seg_loss.study.jobs import Job, run_jobs
from auto_seg_loss.study.losses import save_candidates
from auto_seg_loss.study.matrix import Cell, Study, open_record
from auto_seg_loss.study.record import Record, Result
from auto_seg_loss.study.report import write_reports
from auto_seg_loss.study.settings import Setting
from auto_seg_loss.study.trials import complete

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The printed text of a study, and the failed cells with reasons."""

    text: str
    failures: tuple[str, ...]


def run_study(study: Study, retry_failed: bool = False) -> Outcome:
    """Train and score every unfinished cell, and write the reports below OUTPUT_DIR.

    A cell that fails is reported and the others continue; it is skipped until ``retry_failed``, or
    until its config changes. Call it inside ``runtime.resume.sole_run``.
    """
    save_candidates(Path(study.config.STUDY.JOURNAL), study.candidates)
    records = {setting: open_record(setting) for setting in study.settings}
    _make_cells(study, records, retry_failed)
    results = [(cell, records[cell.setting].results[cell.trial]) for cell in study.cells]
    failures = {
        cell: result["failed"]
        for cell, result in results
        if "failed" in result and not is_complete(cell, result)
    }
    text = write_reports(study, results, failures)
    return Outcome(text, tuple(f"{cell}: {reason}" for cell, reason in failures.items()))


def _make_cells(study: Study, records: Mapping[Setting, Record], retry_failed: bool) -> None:
    """Run incomplete cells, one log line each."""
    jobs = {}
    for cell in study.cells:
        record = records[cell.setting]
        known = record.results.get(cell.trial, {})
        if not is_complete(cell, known) and ("failed" not in known or retry_failed):
            arguments = (record.settings, cell.predictions)
            jobs[Job(record, cell.trial, cell.config, arguments)] = cell
    if study.config.SEARCH.EXECUTOR.NAME != "ray":
        for job in jobs:
            check_device(job.cfg)
    for number, (job, result) in enumerate(run_jobs(complete, list(jobs)), start=1):
        logger.info("%d/%d  %s: %s", number, len(jobs), jobs[job], _told(job.cfg, result))


def _told(cfg: CfgNode, result: Result) -> str:
    if "failed" in result:
        return f"failed: {result['failed']}"
    target, scores = measures(cfg)[0], result["scores"].get(cfg.DATASETS.TEST[0], {})
    return f"{target} {100 * scores.get(target, math.nan):.2f}"


def is_complete(cell: Cell, result: Result) -> bool:
    """Whether the cell is complete; a training that diverged has no predictions."""
    if not result.get("scores"):
        return "scores" in result
    cfg = cell.config
    measured = result["scores"][cfg.DATASETS.TEST[0]].keys() >= set(measures(cfg))
    return measured and has_predictions(cfg, cell.predictions)
