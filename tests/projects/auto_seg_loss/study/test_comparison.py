"""Choices by the hold-out, differences on the test: from records written by hand."""

from __future__ import annotations

import json

import pytest
from tables import rows_of

from auto_seg_loss.data import SplitError
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.study.comparison import RATE_SEEDS, Comparison
from auto_seg_loss.study.finding_report import predictions
from auto_seg_loss.study.finding_verdict import Found
from auto_seg_loss.study.record import Trial
from auto_seg_loss.study.tables import curve_table, gains, rate_table, score_table

HOLDOUT, TEST = "shapes_sem_seg_val", "shapes_sem_seg_test"
SEEDS = (1, 2, 3)


def hold_out(made, loss, rate, *scores):
    """One score, or one for each of the seeds that choose a rate."""
    for seed, score in zip(RATE_SEEDS, scores * (3 // len(scores)), strict=True):
        made.record.add(Trial(loss, rate, 10, seed), {"scores": {HOLDOUT: {"mIoU": score}}})


def on_test(made, loss, rate, *scores):
    """One score for each of the seeds of the test."""
    for seed, score in zip(SEEDS, scores, strict=True):
        made.record.add(Trial(loss, rate, 10, seed), {"scores": {TEST: {"mIoU": score}}})


@pytest.fixture
def comparison(make_cfg, shapes, tmp_path):
    """Loss a: best at rate 1; b: at 0.1. On the test b has 1 point more, whatever the seed."""
    (tmp_path / "output").mkdir()
    cfg = make_cfg("SEARCH.HOLDOUT.DATASETS", (HOLDOUT,))
    made = Comparison(cfg, 10, rates=(1.0, 0.1), seeds=3)
    for loss, scores in {"a": {0.1: 0.2, 1.0: 0.4}, "b": {0.1: 0.5, 1.0: 0.5}}.items():
        for rate, score in scores.items():
            hold_out(made, loss, rate, score)
    on_test(made, "a", 1.0, 0.1, 0.2, 0.3)
    on_test(made, "b", 0.1, 0.11, 0.21, 0.31)
    return made


def test_the_rate_is_the_best_on_the_holdout_and_of_equals_the_smallest(comparison):
    assert comparison.rate("a", "mIoU") == 1.0
    assert comparison.rate("b", "mIoU") == 0.1
    assert comparison.best(["a", "b"], "mIoU") == "b"


def test_a_rate_that_leads_by_one_seed_is_tried_with_others(comparison):
    comparison.rates = (0.1, 0.3, 1.0)
    hold_out(comparison, "a", 0.1, 0.5, 0.3, 0.1)
    hold_out(comparison, "a", 0.3, 0.45, 0.9, 0.9)
    hold_out(comparison, "a", 1.0, 0.48, 0.47, 0.49)
    assert comparison.rate("a", "mIoU") == 1.0  # 0.3 does not lead with the first seed
    assert comparison.at_rate("a", 0.3, "mIoU") == [45.0]
    _, row = rows_of(rate_table(comparison, ["a"], "mIoU"))
    assert row[1:] == ["30.0 ± 20.0", "45.0", "48.0 ± 1.0"]


def test_only_leading_rates_are_trained_with_all_seeds(make_cfg, shapes, weights):
    cfg = make_cfg("SEARCH.HOLDOUT.DATASETS", (HOLDOUT,), "MODEL.WEIGHTS", weights)
    made = Comparison(cfg, 2, rates=(0.1, 0.2, 0.3), seeds=1)
    made.choose(["dice"], ["mIoU"])
    trained = [(trial.rate, trial.seed) for trial in made.record.results]
    assert trained[:3] == [(0.1, 101), (0.2, 101), (0.3, 101)]
    assert sorted(seed for _, seed in trained[3:]) == [102, 102, 103, 103]
    assert len({rate for rate, _ in trained[3:]}) == 2


def test_a_training_that_diverged_scores_nothing(comparison):
    for seed in RATE_SEEDS:
        comparison.record.add(Trial("b", 0.1, 10, seed), {"scores": {}})
    assert comparison.rate("b", "mIoU") == 1.0


def test_tables(comparison):
    _, first, second = rows_of(score_table(comparison, ["a", "b"], "mIoU"))
    assert (first[0], second[0]) == ("b", "a") and "+1.00 [+1.00, +1.00] better" in first
    assert "40.0" in rate_table(comparison, ["a"], "mIoU")


def test_iterations_to_the_final_score_of_the_first_loss(comparison):
    made = comparison
    made.every = 4
    curves = {  # on the hold-out after 4, 8 and 10 iterations, in hundredths, of each seed
        ("a", 1.0): [(10, 30, 50), (10, 50, 40), (20, 30, 60)],
        ("b", 0.1): [(50, 60, 70), (10, 40, 45), (60, 60, 60)],
        ("c", 0.1): [(50, 60, 70), (10, 20, 30), (60, 60, 60)],
    }
    for rate in made.rates:
        hold_out(made, "c", rate, 0.5)
    for (loss, rate), of_seeds in curves.items():
        for seed, (first, second, last) in zip(SEEDS, of_seeds, strict=True):
            points = [(4, first), (6, 99), (8, second)]  # 6: of an earlier, finer grid
            curve = [[iteration, {"mIoU": score / 100}] for iteration, score in points]
            scores = {HOLDOUT: {"mIoU": last / 100}, TEST: {"mIoU": 0.5}}
            made.record.add(Trial(loss, rate, 10, seed), {"scores": scores, "curve": curve})
    # a: at 10, 8, 10; b: at 4, 8, 4.
    assert rows_of(curve_table(made, ["a", "b", "c"], "mIoU"))[1:] == [
        ["a", "9", "1.00"],
        ["b", "5", "0.57"],
        ["c", "not reached by 1 of 3 seeds", ""],
    ]


def test_a_curve_is_recorded_and_changes_no_score(make_cfg, shapes, weights):
    cfg = make_cfg("SEARCH.HOLDOUT.DATASETS", (HOLDOUT,), "MODEL.WEIGHTS", weights)
    for every, points in ((0, [5]), (9, [5]), (2, [2, 4, 5]), (4, [4, 5])):  # only 2 asks for more
        made = Comparison(cfg, 5, rates=(0.1,), seeds=1, every=every)
        made.choose(["dice"], ["mIoU"])
        made.repeat(["dice"], ["mIoU"])
        assert [iteration for iteration, _ in made.curves("dice", "mIoU")[0]] == points
    lines = made.record.path.read_text().splitlines()[1:]
    chosen, *_, plain, curved = map(json.loads, lines)
    assert "curve" not in chosen and "curve" not in plain
    assert [iteration for iteration, _ in curved["curve"]] == [2, 4]
    assert {key: curved[key] for key in plain} == plain
    ((two, four),) = [[score for _, score in curved["curve"]]]
    assert two != four != curved["scores"][HOLDOUT]


def test_parts_that_share_images_and_further_sets_are_refused(make_cfg, shapes):
    with pytest.raises(SplitError, match="share"):
        Comparison(make_cfg("SEARCH.HOLDOUT.DATASETS", (TEST,)), 2)
    with pytest.raises(ConfigError, match=r"DATASETS\.TEST must name one data set"):
        sets = ("DATASETS.TEST", (TEST, "shapes_sem_seg_train"))
        Comparison(make_cfg("SEARCH.HOLDOUT.DATASETS", (HOLDOUT,), *sets), 2)


def test_the_first_loss_that_is_the_best_is_one_claim(comparison):
    on_test(comparison, "b", 0.1, 0.12, 0.23, 0.34)
    assert 0.025 < comparison.difference("b", "a", "mIoU").p < 0.05  # two claims would be too many
    table, _ = gains(comparison, ["a", "b"], ["mIoU"], "b")
    assert table.count("better") == 2


def test_the_gains_of_a_found_loss(comparison):
    table, sentence = gains(comparison, ["a", "b"], ["mIoU"], "b")
    gain = "+1.00 [+1.00, +1.00]"
    _, cells = rows_of(table)
    assert cells == ["mIoU", "20.00", "a 20.00", "", "21.00", *[f"{gain} better"] * 2, ""]
    assert f"points of mIoU with 95 % intervals, {gain} over a; {gain} over a, the best" in sentence
    _, sentence = gains(comparison, ["a", "b"], ["mIoU"], "a")
    assert "-1.00 [-1.00, -1.00] over b;" in sentence


def test_equal_scores_are_said_to_show_nothing(comparison):
    on_test(comparison, "a", 1.0, 0.5, 0.5, 0.5)
    on_test(comparison, "b", 0.1, 0.5, 0.5, 0.5)
    assert "All 6 scores are equal" in score_table(comparison, ["a", "b"], "mIoU")
    assert "All 6 scores are equal" in rate_table(comparison, ["b"], "mIoU")
    assert "equal" not in rate_table(comparison, ["a"], "mIoU")


def test_verdicts_of_a_table_hold_together(comparison):
    """Twice p = 0.047."""
    for loss in "bcd":
        for rate in (0.1, 1.0):
            hold_out(comparison, loss, rate, 0.5)
        on_test(comparison, loss, 0.1, 0.119, 0.244, 0.333)
    assert score_table(comparison, ["a", "b"], "mIoU").count("better") == 1
    assert score_table(comparison, ["a", "b", "c", "d"], "mIoU").count("better") == 0


def test_predictions_of_test_images_are_shown_side_by_side(make_cfg, shapes, tmp_path):
    cfg = make_cfg("SEARCH.HOLDOUT.DATASETS", (HOLDOUT,), "STUDY.IMAGES", 2)
    made = Comparison(cfg, 1, rates=(0.1,), seeds=1, predictions=tmp_path / "predictions")
    losses = ["cross_entropy", "dice"]
    made.choose(losses, ["mIoU"])
    made.repeat(losses, ["mIoU"])
    columns, rows = predictions(made, Found("mIoU", (), tuple(losses), "dice"))
    assert columns == ["image", "truth", "cross_entropy", "the searched loss"]
    assert {picture.shape for row in rows for picture in row} == {(48, 64, 3)}
    assert [len(row) for row in rows] == [4, 4]


@pytest.mark.parametrize("what", ["images", "weights"])
def test_a_record_is_of_its_files(make_cfg, lengthen, tmp_path, what):
    start = tmp_path / "start.pth"
    start.write_bytes(b"1")
    cfg = make_cfg("SEARCH.HOLDOUT.DATASETS", (HOLDOUT,), "MODEL.WEIGHTS", start)
    Comparison(cfg, 10).record.add(Trial("a", 1.0, 10, RATE_SEEDS[0]), {"scores": {}})
    assert Comparison(cfg, 10, seeds=9).record.results
    if what == "images":
        lengthen("test")
    else:
        start.write_bytes(b"12")
    with pytest.raises(ConfigError, match=rf"{what}.*another OUTPUT_DIR"):
        Comparison(cfg, 10)


def test_a_new_record_begins_without_surrogates_of_other_settings(make_cfg, shapes, tmp_path):
    left = tmp_path / "output" / "soft-mIoU.json"
    left.parent.mkdir()
    left.write_text("{}")
    Comparison(make_cfg("SEARCH.HOLDOUT.DATASETS", (HOLDOUT,)), 10)
    assert not left.exists()
