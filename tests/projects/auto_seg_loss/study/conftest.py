"""Studies of tiny configs, trained in no time: scores are invented."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from auto_seg_loss.data import LabelError
from auto_seg_loss.study import Outcome, build_study, cells, report, run_study
from auto_seg_loss.study.matrix import Study, score_names

SPEC = "voc-miou-bezier"


@dataclass
class FakeStudy:
    """``study(KEY, VALUE, ...)`` runs with invented scores; ``trained``: its trainings."""

    make: Callable[..., Study]
    trained: list[tuple[str, int]] = field(default_factory=list)
    breaking: set[tuple[str, int]] = field(default_factory=set)
    damaged: set[tuple[str, int]] = field(default_factory=set)
    diverging: set[tuple[str, int]] = field(default_factory=set)
    hanging: set[tuple[str, int]] = field(default_factory=set)

    def __call__(self, *options: Any, retry_failed: bool = False) -> str:
        return self.outcome(*options, retry_failed=retry_failed).text

    def outcome(self, *options: Any, retry_failed: bool = False) -> Outcome:
        return run_study(self.make(*options), retry_failed)

    def train_and_test(self, cfg: Any) -> dict[str, float | None]:
        cell = (cfg.MODEL.SEM_SEG_HEAD.LOSS_SPEC or cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE, cfg.SEED)
        self.trained.append(cell)
        if cell in self.breaking:
            raise RuntimeError("the disk is full\nand more")
        if cell in self.damaged:
            raise LabelError("7.png holds colours")
        if cell in self.hanging:
            time.sleep(60)
        if cell in self.diverging:
            return dict.fromkeys(score_names(cfg))
        return {name: 0.0 for name in score_names(cfg)} | {"mIoU": 10.0 * cfg.SEED}


@pytest.fixture
def make_study(make_cfg, shapes) -> Callable[..., Study]:
    """``make_study(KEY, VALUE, ...)``: two losses and two seeds unless options say otherwise."""

    def make(*options: Any) -> Study:
        settings = ("STUDY.LOSSES", f"['cross_entropy', '{SPEC}']", "STUDY.SEEDS", "[1, 2]")
        opts = [str(option) for option in (*settings, *options)]
        return build_study(make_cfg(*opts), opts)

    return make


@pytest.fixture
def study(make_study, monkeypatch) -> FakeStudy:
    """A study whose trainings take no time, and which draws no pictures."""
    fake = FakeStudy(make_study)
    monkeypatch.setattr(report, "write_figures", lambda *_: [])
    monkeypatch.setattr(cells, "train_and_test", fake.train_and_test)
    return fake
