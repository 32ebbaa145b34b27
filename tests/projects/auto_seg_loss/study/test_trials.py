"""Trials: equal in every process, kept once, and whole after a crash."""

from __future__ import annotations

import pytest
import torch

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.study.trials import (
    Job,
    Record,
    Trial,
    pinned_settings,
    reported,
    run_jobs,
    run_trial,
    trial_config,
)
from autoseg_core.files import DamagedFileError

TEST = "shapes_sem_seg_test"
SETTINGS = {"SOLVER": {"IMS_PER_BATCH": 8}}
TRIAL = Trial("cross_entropy", 0.05, 3, seed=1)


def test_a_trial_in_another_process_scores_the_same_and_is_kept(make_cfg, shapes, tmp_path):
    cfg, record = make_cfg("TEST.METRICS", ("Dice",)), Record(tmp_path / "trials.jsonl", SETTINGS)
    trials = [TRIAL, Trial("dice", 0.05, 3, seed=1)]
    jobs = [Job(record, trial, cfg, (trial, [TEST])) for trial in trials]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = {job.trial: result for job, result in run_jobs(run_trial, jobs, workers=2)}
    assert made[TRIAL] == run_trial(cfg, TRIAL, [TEST], tmp_path / "shown")
    torch.set_num_threads(threads)
    assert "Dice" in made[TRIAL]["scores"][TEST]
    assert Record(record.path, SETTINGS).results == made == record.results
    assert len(list((tmp_path / "shown").iterdir())) == 3  # of three test images all are shown


def test_a_line_that_was_cut_off_is_forgotten_and_the_last_of_two_counts(tmp_path):
    path, score = tmp_path / "trials.jsonl", {"scores": {TEST: {"mIoU": 0.5}}}
    record = Record(path, SETTINGS)
    record.add(TRIAL, {"failed": "no memory"})
    record.add(TRIAL, score)
    with path.open("a") as file:
        file.write('{"loss": "dice", "ra')
    record = Record(path, SETTINGS)
    assert record.results == {TRIAL: score}
    record.add(Trial("dice", 0.1, 3, 1), {"scores": {}})
    assert len(Record(path, SETTINGS).results) == 2


def test_a_file_of_the_first_version_is_read(tmp_path):
    path = tmp_path / "trials.jsonl"
    path.write_text(
        '{"settings": {"SOLVER": {"IMS_PER_BATCH": 8, "GONE": 1}}}\n'
        '{"loss": "dice", "rate": 0.3, "iterations": 9, "seed": 1, "digest": "", '
        '"scores": {"a": {"mIoU": 0.5}}}\n'
    )
    results = Record(path, {"SOLVER": {"IMS_PER_BATCH": 8, "NEW": 1}}).results
    assert results == {Trial("dice", 0.3, 9, 1): {"scores": {"a": {"mIoU": 0.5}}}}


def test_a_file_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "trials.jsonl"
    Record(path, SETTINGS).add(TRIAL, {"scores": {}})
    with pytest.raises(ConfigError, match=r"IMS_PER_BATCH: 8 -> 4.*another OUTPUT_DIR"):
        Record(path, {"SOLVER": {"IMS_PER_BATCH": 4}})


def test_what_a_trial_states_is_no_setting(make_cfg):
    settings = pinned_settings(make_cfg())
    assert settings == pinned_settings(trial_config(make_cfg(), TRIAL))
    assert settings != pinned_settings(make_cfg("SOLVER.MOMENTUM", 0.8))


def test_a_training_that_diverges_has_no_scores(make_cfg, shapes):
    assert run_trial(make_cfg(), Trial("cross_entropy", 1e30, 5, 1), [TEST]) == {"scores": {}}


@pytest.mark.parametrize(
    ("loss", "kind", "spec"),
    [("dice", "dice", ""), ("voc-miou-bezier", "auto_seg_loss", "voc-miou-bezier")],
)
def test_a_loss_is_a_name_of_the_registry_or_a_spec(make_cfg, loss, kind, spec):
    cfg = trial_config(make_cfg(), Trial(loss, 0.25, 7, 3))
    head = cfg.MODEL.SEM_SEG_HEAD
    assert [kind, spec] == [head.LOSS_TYPE, head.LOSS_SPEC]
    assert [cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER, cfg.SEED] == [0.25, 7, 3]


def test_the_metrics_of_the_objective_are_scored_too(make_cfg):
    assert "Dice" in reported(make_cfg("SEARCH.METRIC", "0.5*mIoU+0.5*Dice"))


def test_a_training_starts_from_the_weights_of_the_config(make_cfg, shapes, weights):
    options = ("SOLVER.BASE_LR", 0.0, "MODEL.RESNETS.NORM", "FrozenBN")
    trial = Trial("cross_entropy", 0.0, 1, seed=1)
    started = run_trial(make_cfg(*options, "MODEL.WEIGHTS", weights), trial, [TEST])
    assert started != run_trial(make_cfg(*options), trial, [TEST])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"iteration": 3}\n', ConfigError),
        ('{"settings": {}}\n{"loss": "dice", "ra\n', DamagedFileError),
        ('{"settings": {}}\n{"loss": "dice"}\n', DamagedFileError),
    ],
)
def test_a_file_that_is_no_record_is_left_alone(tmp_path, text, error):
    path = tmp_path / "trials.jsonl"
    path.write_text(text)
    with pytest.raises(error, match=r"trials\.jsonl"):
        Record(path, SETTINGS)
    assert path.read_text() == text
