"""hooks/build.py: when evaluations take place, and that none is missing from metrics.json."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from auto_seg_loss.hooks.build import Evaluation, build_writers


def evaluation(period: int) -> Evaluation:
    return Evaluation(period, lambda: {"sem_seg": {"mIoU": 1.0}})


@pytest.mark.parametrize(
    ("period", "start", "expected"),
    [(0, 0, [10]), (4, 0, [3, 7, 10]), (5, 10, [10])],
    ids=["at the end", "periodically", "a finished training again, at its last iteration"],
)
def test_evaluations(train, period, start, expected):
    log = train(evaluation(period), 10, start=start)
    assert list(log.scalars["sem_seg/mIoU"]) == expected


def test_every_evaluation_is_written_without_pictures(train, make_cfg):
    cfg = make_cfg("SOLVER.MAX_ITER", 24, "TEST.EVAL_PERIOD", 5, "VIS_PERIOD", 0)
    Path(cfg.OUTPUT_DIR).mkdir()
    training = SimpleNamespace(cfg=cfg, start_iter=0, max_iter=24)
    train(evaluation(5), 24, writers=build_writers(training))
    lines = (Path(cfg.OUTPUT_DIR) / "metrics.json").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["iteration"] for row in rows if "sem_seg/mIoU" in row] == [4, 9, 14, 19, 24]
