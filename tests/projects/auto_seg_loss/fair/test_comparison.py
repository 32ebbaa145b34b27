"""Choices by the hold-out, differences on the test: from records written by hand."""

from __future__ import annotations

import pytest

from auto_seg_loss.fair.comparison import RATE_SEED, Comparison, soft_file
from auto_seg_loss.fair.report import Found, verdict
from auto_seg_loss.fair.tables import rate_table, score_table
from auto_seg_loss.fair.trials import Trial
from auto_seg_loss.runtime.errors import ConfigError
from autoseg_core import load_spec

HOLDOUT, TEST = "shapes_sem_seg_val", "shapes_sem_seg_test"
SEEDS = (1, 2, 3)


@pytest.fixture
def comparison(make_cfg, tmp_path):
    """Loss a: best at rate 1; b: at 0.1. On the test b has 1 point more, whatever the seed."""
    (tmp_path / "output").mkdir()
    cfg = make_cfg("SEARCH.HOLDOUT.DATASETS", (HOLDOUT,))
    made = Comparison(cfg, 10, rates=(1.0, 0.1), seeds=3)
    for loss, scores in {"a": {0.1: 0.2, 1.0: 0.4}, "b": {0.1: 0.5, 1.0: 0.5}}.items():
        for rate, score in scores.items():
            made.book.add(Trial(loss, rate, 10, RATE_SEED), {HOLDOUT: {"mIoU": score}})
    for seed in SEEDS:
        for loss, rate, gain in (("a", 1.0, 0.0), ("b", 0.1, 0.01)):
            scores = {TEST: {"mIoU": 0.1 * seed + gain}}
            made.book.add(Trial(loss, rate, 10, seed), scores)
    return made


def test_the_rate_is_the_best_on_the_holdout_and_of_equals_the_smallest(comparison):
    assert comparison.rate("a", "mIoU") == 1.0
    assert comparison.rate("b", "mIoU") == 0.1
    assert comparison.best(["a", "b"], "mIoU") == "b"


def test_a_training_that_diverged_scores_nothing(comparison):
    comparison.book.add(Trial("b", 0.1, 10, RATE_SEED), {})
    assert comparison.rate("b", "mIoU") == 1.0


def test_tables(comparison):
    table = score_table(comparison, ["a", "b"], "mIoU").splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == ["b", "a"]
    assert "+1.00 [+1.00, +1.00] better" in table[2]
    assert "40.0" in rate_table(comparison, ["a"], "mIoU")


@pytest.mark.parametrize(
    ("spec", "best", "words"),
    [("b", "a", "Use the searched loss: +1.00"), ("a", "b", "Keep b"), ("a", "a", "is as good")],
)
def test_the_verdict_is_that_of_the_interval(comparison, spec, best, words):
    assert words in verdict(comparison, Found("mIoU", ("a", "b"), best, spec))


def test_an_unsearched_surrogate_is_a_file(comparison, shapes):
    spec = load_spec(soft_file(comparison.cfg, "BF1"))
    assert (spec.name, spec.terms[0].metric) == ("soft-BF1", "BF1")


def test_a_data_set_must_choose(make_cfg):
    with pytest.raises(ConfigError, match=r"SEARCH\.HOLDOUT\.DATASETS"):
        Comparison(make_cfg(), 10)
