"""Studies of tiny configs, trained in no time: scores are invented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from auto_seg_loss.study import trials
from auto_seg_loss.study.inspection import measures
from auto_seg_loss.study.matrix import Study, read_study
from auto_seg_loss.study.run import Outcome, run_study

SPEC = "voc-miou-bezier"


@pytest.fixture
def make_study(tiny_config, shapes, tmp_path) -> Callable[..., Study]:
    """``make_study(KEY, VALUE, ...)``: two losses and two seeds unless options say otherwise.

    own: further lines of the study's file, which lies in tmp_path.
    """

    def make(*options: Any, own: str = "") -> Study:
        path = Path(tmp_path) / "study.yaml"
        path.write_text(
            f'_BASE_: "{tiny_config}"\nOUTPUT_DIR: "{tmp_path / "output"}"\n'
            f'STUDY:\n  LOSSES: ["cross_entropy", "{SPEC}"]\n  SEEDS: [1, 2]\n  IMAGES: 0\n{own}'
        )
        return read_study(str(path), [str(option) for option in options])

    return make


@dataclass
class FakeStudy:
    """``study(KEY, VALUE, ...)`` runs with invented scores; ``trained``: its trainings."""

    make: Callable[..., Study]
    trained: list[tuple[str, int]] = field(default_factory=list)
    raising: dict[tuple[str, int], Exception] = field(default_factory=dict)

    def __call__(self, *options: Any, retry_failed: bool = False) -> Outcome:
        return run_study(self.make(*options), retry_failed)

    def train(self, cfg: Any, *_: Any) -> Any:
        cell = (cfg.MODEL.SEM_SEG_HEAD.LOSS_SPEC or cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE, cfg.SEED)
        self.trained.append(cell)
        if cell in self.raising:
            raise self.raising[cell]
        return SimpleNamespace(model=None, results={"sem_seg": {}})

    def measure(self, cfg: Any, _: None) -> dict[str, float]:
        return {name: 0.0 for name in measures(cfg)} | {"mIoU": 0.1 * cfg.SEED}


@pytest.fixture
def study(make_study, monkeypatch) -> FakeStudy:
    """A study whose trainings take no time."""
    fake = FakeStudy(make_study)
    monkeypatch.setattr(trials, "trained", fake.train)
    monkeypatch.setattr(trials, "measure", fake.measure)
    return fake
