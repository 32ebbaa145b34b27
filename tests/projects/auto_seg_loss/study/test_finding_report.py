"""What find_loss.py says at the end: from records written by hand."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from tables import rows_of

from auto_seg_loss.study.comparison import Comparison
from auto_seg_loss.study.finding_report import report
from auto_seg_loss.study.finding_verdict import Found, at_an_end, not_learned, verdict
from auto_seg_loss.study.record import Trial

HOLDOUT, TEST = "shapes_sem_seg_val", "shapes_sem_seg_test"
FOUND = "voc-miou-bezier"
"""In the place of the searched loss."""


@pytest.fixture
def compared(make_cfg, shapes, tmp_path):
    """``compared({loss: scores on the test in percent, one for each seed}, best rate)``."""
    (tmp_path / "output").mkdir()

    def make(of_losses, best=1.0, metric="BIoU"):
        cfg = make_cfg("SEARCH.HOLDOUT.DATASETS", (HOLDOUT,))
        made = Comparison(cfg, 10, rates=(0.3, 1.0, 3.0), seeds=3, rate_seeds=(101,))
        for loss, scores in of_losses.items():
            for rate in made.rates:
                own = {metric: 0.5 if rate == best else 0.4, "mIoU": 0.123}
                made.record.add(Trial(loss, rate, 10, 101), {"scores": {HOLDOUT: own}})
            for seed, score in enumerate(scores, 1):
                own = {TEST: {metric: score / 100, "mIoU": 0.456}}
                made.record.add(Trial(loss, best, 10, seed), {"scores": own})
        return made

    return make


def found(*losses, tried=()):
    return Found("BIoU", (*losses, *tried, FOUND), (*losses, FOUND), FOUND)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        # Better than both: over the one with the better mean.
        ((40, 40.1, 40.2), (45, 45.1, 45.4), "Use the searched loss: +4.90 ["),
        # b has the best mean of all, though the hold-out may have chosen a.
        ((40, 40.1, 40.2), (60, 60.2, 60.1), "Keep b: the searched loss has -10.03 ["),
        # Not better than b by more than the noise, which is half a point.
        ((40, 40.1, 40.2), (49.9, 50.3, 50.1), "Keep b, which is as good: the searched loss has "),
        # Noise of tens of points.
        ((40, 40.1, 40.2), (30, 60, 45), "Undecided between the searched loss and b: +5.07 ["),
        # Better than the best, a, but not than b, which a lucky seed may yet make the best.
        ((45, 45.1, 45.4), (10, 60, 20), "Undecided between the searched loss and b: +20.07 ["),
        # Worse than b, while a, with the best mean, is too noisy to say.
        ((90, 30, 70), (55, 55.1, 55.4), "over it, and is worse than b."),
    ],
)
def test_the_verdict_compares_with_every_baseline_of_the_test(compared, a, b, words):
    made = compared({"a": a, "b": b, FOUND: (50, 50.0, 50.2)})
    assert words in verdict(made, found("a", "b"))


def test_tables_show_all_losses_and_miou(compared):
    of_losses = {name: (40, 41, 42) for name in ("cross_entropy", "dice", FOUND)}
    text = report(compared(of_losses), found("cross_entropy", tried=["dice"]))
    scores, rates = text.split("on the hold-out")
    assert "| dice" not in scores and scores.count("| 45.60 ± 0.00 |") == 2
    assert ["dice", "40.0", "50.0", "40.0", "12.3"] in rows_of(rates)


@pytest.mark.parametrize(("best", "noted"), [(0.3, True), (1.0, False), (3.0, True), (None, False)])
def test_a_best_rate_at_an_end_of_the_grid_is_noted(compared, best, noted):
    made = compared({"a": (1, 2, 3), FOUND: (1, 2, 3)} if best else {"a": (), FOUND: ()}, best)
    note = at_an_end(made, found("a"))
    assert note.startswith(f"\n\nThe best rate of a, {FOUND} is at an end") if noted else not note


def test_the_lines_of_the_report_run_as_printed(compared):
    made = compared({name: (40, 41, 42) for name in ("cross_entropy", FOUND)})
    text = report(made, found("cross_entropy"))
    _, code, rest = text.split("```")
    exec(code.removeprefix("python"), {})
    lines = [line.strip() for line in rest.splitlines() if line.startswith("    ")]
    commands = [shlex.split(line.removeprefix("OMP_NUM_THREADS=1 ")) for line in lines]
    assert [Path(one[1]).name for one in commands] == [
        *("train_net.py", "train_net.py", "search_net.py", "compare_losses.py")
    ]
    assert all(Path(one[1]).is_file() for one in commands)


def test_trainings_that_have_not_learned_are_counted(compared):
    made = compared({"a": (1, 2, 3), "b": (0, 2, 0), FOUND: (4, 0, 4)})
    counted = f"not learned: b in 2 of 3 seeds, {FOUND} in 1 of 3 seeds."
    assert counted in not_learned(made, found("a", "b"))
    assert not not_learned(compared({"a": (1, 2, 3), FOUND: (4, 1, 4)}), found("a"))
