"""Trainings: equal in every process, from the start and with the loss that a trial states."""

from __future__ import annotations

import multiprocessing
import os

import torch

from auto_seg_loss.config import changed
from auto_seg_loss.study.jobs import Job, run_jobs
from auto_seg_loss.study.record import Record, Trial, pinned_settings
from auto_seg_loss.study.trials import run_trial, trial_config

TEST = "shapes_sem_seg_test"
SETTINGS = {"SOLVER": {"IMS_PER_BATCH": 8}}
TRIAL = Trial("cross_entropy", 0.05, 3, seed=1)


def _process(cfg, trial):
    """Its data loaders' workers start as usual: not every data set can be pickled."""
    return {"scores": {"pid": os.getpid(), "start": multiprocessing.get_start_method()}}


def test_a_trial_in_another_process_scores_the_same_and_is_kept(make_cfg, shapes, tmp_path):
    cfg = make_cfg("SEARCH.METRIC", "0.5*mIoU+0.5*Dice")
    record = Record(tmp_path / "trials.jsonl", SETTINGS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    ((_, made),) = run_jobs(run_trial, [Job(record, TRIAL, cfg, ([TEST],))], workers=2)
    assert made == run_trial(cfg, TRIAL, [TEST], tmp_path / "shown")
    other = Record(tmp_path / "other.jsonl", SETTINGS)
    processes = changed(cfg, {"SEARCH.EXECUTOR.NAME": "processes", "SEARCH.EXECUTOR.WORKERS": 1})
    ((_, made_there),) = run_jobs(_process, [Job(other, TRIAL, processes)])
    assert made_there["scores"]["pid"] != os.getpid()
    assert made_there["scores"]["start"] == multiprocessing.get_start_method()
    torch.set_num_threads(threads)
    assert "Dice" in made["scores"][TEST]
    assert Record(record.path, SETTINGS).results == {TRIAL: made}
    assert len(list((tmp_path / "shown").iterdir())) == 3  # of three test images all are shown


def test_what_a_trial_states_is_no_setting(make_cfg):
    settings = pinned_settings(make_cfg())
    assert settings == pinned_settings(trial_config(make_cfg(), TRIAL))
    assert settings != pinned_settings(make_cfg("SOLVER.MOMENTUM", 0.8))


def test_a_training_that_diverges_has_no_scores(make_cfg, shapes):
    assert run_trial(make_cfg(), Trial("cross_entropy", 1e30, 5, 1), [TEST]) == {"scores": {}}


def test_a_training_starts_from_the_weights_of_the_config(make_cfg, shapes, weights):
    options = ("SOLVER.BASE_LR", 0.0, "MODEL.RESNETS.NORM", "FrozenBN")
    trial = Trial("cross_entropy", 0.0, 1, seed=1)
    started = run_trial(make_cfg(*options, "MODEL.WEIGHTS", weights), trial, [TEST])
    assert started != run_trial(make_cfg(*options), trial, [TEST])
