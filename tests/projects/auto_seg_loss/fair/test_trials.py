"""Trials: equal in every process, kept once, and whole after a crash."""

from __future__ import annotations

import pytest
import torch

from auto_seg_loss.fair.trials import (
    Book,
    Trial,
    pinned_settings,
    reported,
    run_trial,
    run_trials,
    trial_config,
)
from auto_seg_loss.runtime.errors import ConfigError

TEST = "shapes_sem_seg_test"
SETTINGS = {"SOLVER": {"IMS_PER_BATCH": 8}}
TRIAL = Trial("cross_entropy", 0.05, 3, seed=1)


def test_a_trial_in_another_process_scores_the_same_and_is_made_once(make_cfg, shapes, tmp_path):
    cfg, path = make_cfg("TEST.METRICS", ("Dice",)), tmp_path / "trials.jsonl"
    other = Trial("dice", 0.05, 3, seed=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run_trials(cfg, [TRIAL, TRIAL, other], [TEST], Book(path, SETTINGS), workers=2)
    assert len(path.read_text().splitlines()) == 3
    assert Book(path, SETTINGS).records[TRIAL] == run_trial(cfg, TRIAL, [TEST])
    torch.set_num_threads(threads)
    assert "Dice" in Book(path, SETTINGS).records[TRIAL][TEST]
    run_trials(cfg, [TRIAL], [TEST], Book(path, SETTINGS))
    assert len(path.read_text().splitlines()) == 3


def test_a_line_that_was_cut_off_is_forgotten(tmp_path):
    path = tmp_path / "trials.jsonl"
    book = Book(path, SETTINGS)
    book.add(TRIAL, {TEST: {"mIoU": 0.5}})
    with path.open("a") as file:
        file.write('{"loss": "dice", "ra')
    book = Book(path, SETTINGS)
    assert book.records == {TRIAL: {TEST: {"mIoU": 0.5}}}
    book.add(Trial("dice", 0.1, 3, 1), {})
    assert len(Book(path, SETTINGS).records) == 2


def test_a_file_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "trials.jsonl"
    Book(path, SETTINGS).add(TRIAL, {})
    with pytest.raises(ConfigError, match=r"IMS_PER_BATCH: 8 -> 4.*another OUTPUT_DIR"):
        Book(path, {"SOLVER": {"IMS_PER_BATCH": 4}})


def test_what_a_trial_states_is_no_setting(make_cfg):
    settings = pinned_settings(make_cfg())
    assert settings == pinned_settings(trial_config(make_cfg(), TRIAL))
    assert settings != pinned_settings(make_cfg("SOLVER.MOMENTUM", 0.8))


def test_a_training_that_diverges_has_no_scores(make_cfg, shapes):
    assert run_trial(make_cfg(), Trial("cross_entropy", 1e30, 5, 1), [TEST]) == {}


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
