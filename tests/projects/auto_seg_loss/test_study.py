"""study.py: cells, the table and what is refused. The script itself: ../test_study_net.py."""

from __future__ import annotations

import contextlib
import json
import statistics

import pytest

from auto_seg_loss import study as study_module
from auto_seg_loss.study import (
    cell_config,
    check_study,
    loss_label,
    mean_and_spread,
    run_study,
    score_names,
    summary,
)
from autoseg_core import SIX, load_spec

SPEC = "voc-miou-bezier"


def scores(**values: float) -> dict[str, float]:
    return {name: values.get(name, 0.0) for name in SIX}


def rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without the rule below its head."""
    lines = [line for line in table.splitlines() if not set(line) <= set("|-: ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


# --- the table ---


@pytest.mark.parametrize(
    "values, text",
    [
        ([50.0], "50.00"),
        ([50.0, 52.0], "51.00 ± 1.41"),  # sqrt(2)
        ([1.0, 2.0, 6.0], "3.00 ± 2.65"),  # sqrt(7)
        ([40.0, 40.0, 40.0], "40.00 ± 0.00"),
        ([float("nan")], "nan"),
        ([50.0, float("nan")], "nan ± nan"),
    ],
)
def test_mean_and_spread(values, text):
    assert mean_and_spread(values) == text
    if len(values) > 1 and "nan" not in text:
        assert text.endswith(f"{statistics.stdev(values):.2f}")


def test_the_table_has_a_row_a_loss_and_the_target_first():
    results = {
        "cross_entropy": [scores(mIoU=50, BIoU=10), scores(mIoU=52, BIoU=14)],
        "found": [scores(mIoU=53, BIoU=20), scores(mIoU=53, BIoU=26)],
    }
    head, first, second = rows(summary(results, "BIoU"))
    assert head == ["loss", "seeds", "BIoU", "mIoU", "FWIoU", "mAcc", "gAcc", "BF1"]
    assert first[:4] == ["cross_entropy", "2", "12.00 ± 2.83", "51.00 ± 1.41"]
    assert second[:4] == ["found", "2", "23.00 ± 4.24", "53.00 ± 0.00"]
    assert first[4:] == ["0.00 ± 0.00"] * 4


def test_a_single_seed_has_no_spread():
    _, row = rows(summary({"cross_entropy": [scores(mIoU=50.126)]}, "mIoU"))
    assert row[1:3] == ["1", "50.13"]


# --- cells ---


@pytest.mark.parametrize(
    "loss, kind, spec",
    [("hard_pixel_mining", "hard_pixel_mining", ""), (SPEC, "auto_seg_loss", SPEC)],
)
def test_a_cell_is_a_training_of_one_loss_and_seed(make_cfg, loss, kind, spec):
    cfg = make_cfg("SEED", 9, "SOLVER.MAX_ITER", 77)
    cell = cell_config(cfg, loss, 3)
    head = cell.MODEL.SEM_SEG_HEAD
    assert (kind, spec, 3) == (head.LOSS_TYPE, head.LOSS_SPEC, cell.SEED)
    assert f"{cfg.OUTPUT_DIR}/{loss}/seed3" == cell.OUTPUT_DIR
    assert cell.SOLVER.MAX_ITER == 77 and cell.is_frozen()
    assert cfg.SEED == 9, "the study's own config was changed"


def test_a_loss_of_a_file_is_named_as_it_calls_itself(tmp_path):
    spec = load_spec(SPEC).model_copy(update={"name": "my-loss"})
    spec.save(tmp_path / "searched_loss.json")
    assert loss_label(str(tmp_path / "searched_loss.json")) == "my-loss"


@pytest.fixture
def study(make_cfg, monkeypatch):
    """``study(KEY, VALUE, ...)`` runs with invented scores; ``study.trained``: its trainings."""
    trained = []

    def fake(cfg):
        trained.append((cfg.MODEL.SEM_SEG_HEAD.LOSS_SPEC or "cross_entropy", cfg.SEED))
        return {name: 0.0 for name in score_names(cfg)} | {"mIoU": 10.0 * cfg.SEED}

    monkeypatch.setattr(study_module, "_train_and_test", fake)

    def run(*options):
        cfg = make_cfg(
            "STUDY.LOSSES", f"['cross_entropy', '{SPEC}']", "STUDY.SEEDS", "[1, 2]", *options
        )
        return run_study(cfg)

    run.trained = trained
    return run


def test_every_loss_is_trained_with_every_seed(study, tmp_path):
    _, first, second = rows(study())
    assert study.trained == [("cross_entropy", 1), (SPEC, 1), ("cross_entropy", 2), (SPEC, 2)]
    assert first[:3] == ["cross_entropy", "2", "15.00 ± 7.07"]
    assert second[:3] == [SPEC, "2", "15.00 ± 7.07"]
    output = tmp_path / "output"
    assert rows((output / "summary.md").read_text())[1:] == [first, second]
    found = json.loads((output / SPEC / "seed2" / "results.json").read_text())
    assert found["scores"] == scores(mIoU=20.0)


def test_further_metrics_have_a_column_and_may_be_the_target(study):
    head, *_ = rows(study("TEST.METRICS", "('Fbeta(beta=2.0)',)", "STUDY.TARGET", "Fbeta(beta=2)"))
    assert head == ["loss", "seeds", "Fbeta(beta=2)", *SIX]


def test_a_target_that_is_not_scored_is_refused(make_cfg):
    with pytest.raises(ValueError, match=r"STUDY.TARGET 'Dice' is not scored; .* TEST.METRICS"):
        check_study(make_cfg("STUDY.TARGET", "Dice"))


def test_fewer_metrics_are_read_from_finished_cells_and_more_refused(study):
    study("TEST.METRICS", "('Dice',)")
    assert rows(study())[0] == ["loss", "seeds", *SIX]
    with pytest.raises(ValueError, match="was trained without the scores of worstIoU; delete it"):
        study("TEST.METRICS", "('Dice', 'worstIoU')")
    assert len(study.trained) == 4


def test_finished_cells_are_not_trained_again(study, tmp_path):
    study("STUDY.SEEDS", "[1]")
    kept = tmp_path / "output" / SPEC / "seed1" / "results.json"
    written = kept.stat().st_mtime_ns
    study()
    assert study.trained[2:] == [("cross_entropy", 2), (SPEC, 2)]
    assert kept.stat().st_mtime_ns == written


def test_a_cell_that_was_cut_off_is_trained_again(study, tmp_path):
    study()
    cell = tmp_path / "output" / SPEC / "seed1"
    (cell / "results.json").rename(cell / "results.partial")
    study()
    assert study.trained[4:] == [(SPEC, 1)]


def test_cells_of_another_config_are_refused_with_what_differs(study):
    study()
    with pytest.raises(ValueError, match=r"  SOLVER\.MAX_ITER: 4 -> 9\n"):
        study("SOLVER.MAX_ITER", 9)
    assert len(study.trained) == 4


@pytest.mark.parametrize("key, value", [("TEST.PROTOCOL", "paper"), ("TEST.TOLERANCE", 1)])
def test_scores_of_another_protocol_are_not_shown_as_this_one(study, key, value):
    """A study's results are scores: what they were measured with is no free key."""
    study()
    with pytest.raises(ValueError, match=key):
        study(key, value)


def test_scores_of_another_loss_in_the_same_file_are_not_shown_as_this_one(study, tmp_path):
    """A search that was made again writes another loss into the same searched_loss.json."""
    path = tmp_path / "searched_loss.json"
    losses = ("STUDY.LOSSES", f"['{path}']", "STUDY.SEEDS", "[1]")
    load_spec("voc-miou-bezier").model_copy(update={"name": "found"}).save(path)
    study(*losses)
    load_spec("voc-miou-bezier-paper").model_copy(update={"name": "found"}).save(path)
    with contextlib.suppress(ValueError):  # to refuse is as good as to train again
        study(*losses)
        assert len(study.trained) == 2
