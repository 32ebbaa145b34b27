"""warm_start.py: made once, used from then on, refused when it belongs to something else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoints import equal
from detectron2.modeling import build_model

from auto_seg_loss import warm_start as warm_start_module
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search_setup import build_sets
from auto_seg_loss.warm_start import warm_start


@pytest.fixture
def trainings(monkeypatch):
    """Learning rate and length of every training that is started."""
    started = []
    original = warm_start_module.train

    def spy(cfg, model, dicts, seed):
        started.append((cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER, cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE))
        original(cfg, model, dicts, seed)

    monkeypatch.setattr(warm_start_module, "train", spy)
    return started


@pytest.fixture
def start(shapes, make_cfg):
    """``start(KEY, VALUE, ...)``: the weights proxies of that config would start from."""

    def make(*options):
        cfg = make_cfg("SEARCH.WARM_START.MAX_ITER", 2, *options)
        torch.manual_seed(0)
        return warm_start(cfg, build_model(cfg), build_sets(cfg)[0])

    return make


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "output" / "warm_start.pth"


def test_it_is_trained_once_with_cross_entropy(start, trainings, path):
    options = ("SEARCH.WARM_START.MAX_ITER", 3, "SEARCH.WARM_START.BASE_LR", 0.07)
    first = start(*options)
    assert trainings == [(0.07, 3, "cross_entropy")]
    assert path.is_file()
    written = path.stat().st_mtime_ns
    assert equal(start(*options), first)
    assert len(trainings) == 1 and path.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "options",
    [("SEED", 2), ("MODEL.SEM_SEG_HEAD.ASPP_DILATIONS", [1, 2, 3]), ("SEARCH.HOLDOUT.SEED", 1)],
    ids=lambda options: options[0],
)
def test_one_made_with_other_settings_is_refused(start, trainings, path, options):
    start()
    with pytest.raises(ConfigError, match="made with other settings") as error:
        start(*options)
    assert str(error.value).count("->") == 1 and "Delete it" in str(error.value)
    assert len(trainings) == 1 and path.is_file()


def test_one_made_from_other_files_of_the_same_names_is_refused(start, lengthen):
    start("SEARCH.HOLDOUT.DATASETS", ("shapes_sem_seg_val",))
    lengthen("train")
    with pytest.raises(ConfigError, match="lengths of images or labels"):
        start("SEARCH.HOLDOUT.DATASETS", ("shapes_sem_seg_val",))


@pytest.mark.parametrize(
    "options",
    [("SOLVER.MAX_ITER", 77), ("MODEL.SEM_SEG_HEAD.LOSS_BACKEND", "reference")],
    ids=lambda options: options[0],
)
def test_settings_it_does_not_depend_on_may_differ(start, trainings, options):
    first = start()
    assert equal(start(*options), first)
    assert len(trainings) == 1


@pytest.mark.parametrize(
    "write",
    [lambda path: path.touch(), lambda path: torch.save({"model": {"w": torch.ones(1)}}, path)],
    ids=["empty", "a checkpoint"],
)
def test_a_file_that_is_none_is_refused(start, trainings, path, write):
    path.parent.mkdir(exist_ok=True)
    write(path)
    with pytest.raises(ConfigError, match=r"warm_start\.pth"):
        start()
    assert trainings == []
