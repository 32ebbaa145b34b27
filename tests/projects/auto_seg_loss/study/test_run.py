"""run.py: which cells are trained, kept, reported. The script: test_study_net.py."""

from __future__ import annotations

import json

import pytest
from tables import rows_of

from auto_seg_loss.data import LabelError
from auto_seg_loss.runtime.errors import ConfigError
from autoseg_core import load_spec

SPEC = "voc-miou-bezier"
EVERY = [("cross_entropy", 1), (SPEC, 1), ("cross_entropy", 2), (SPEC, 2)]


def test_finished_cells_are_kept_and_cut_off_ones_trained_again(study, tmp_path):
    _, first, second = rows_of(study("STUDY.SEEDS", [1]).text)
    assert first[:3] == ["cross_entropy", "1", "10.00"] and second[:3] == [SPEC, "1", "10.00"]
    record = tmp_path / "output" / "trials.jsonl"
    text = record.read_text()
    record.write_text(text[:-9])  # the last line was cut off by a kill
    first = study()
    assert study.trained == [*EVERY[:2], *EVERY[1:]]
    assert study() == first and len(study.trained) == 5
    assert rows_of((tmp_path / "output" / "summary.md").read_text()) == rows_of(first.text)


def test_cells_of_another_config_are_refused_with_what_differs(study):
    study("STUDY.SEEDS", [2])
    with pytest.raises(ConfigError, match=r"TEST\.TOLERANCE: 5 -> 1"):
        study("TEST.TOLERANCE", 1)
    assert len(study.trained) == 2


def test_cells_of_other_files_are_trained_again(study, tmp_path):
    """A search that was made again writes another loss into the same searched_loss.json."""
    loss, start = tmp_path / "searched_loss.json", tmp_path / "start.pth"
    load_spec(SPEC).model_copy(update={"name": "found"}).save(loss)
    start.write_bytes(b"1")
    options = ("STUDY.LOSSES", [str(loss)], "STUDY.SEEDS", [1], "MODEL.WEIGHTS", start)
    for _ in range(2):
        study(*options)
    assert len(study.trained) == 1
    load_spec("voc-miou-bezier-paper").model_copy(update={"name": "found"}).save(loss)
    study(*options)
    assert len(study.trained) == 2
    start.write_bytes(b"2")
    study(*options)
    assert len(study.trained) == 3


def test_a_diverged_cell_is_a_result(study):
    study.raising |= dict.fromkeys(EVERY, FloatingPointError("the loss is NaN"))
    first = study()
    assert rows_of(first.text)[1][2:] == ["nan ± nan"] * 6
    assert study() == first and study.trained == EVERY


def test_a_failed_cell_is_reported_and_left_alone_until_it_is_asked_for(study, tmp_path):
    study.raising[SPEC, 1] = RuntimeError("the disk is full\nand more")
    outcome = study()
    assert study.trained == EVERY
    (failure,) = outcome.failures
    assert failure == f"{SPEC}, seed 1: RuntimeError: the disk is full"
    _, first, second = rows_of(outcome.text)
    assert first[1:3] == ["2", "15.00 ± 7.07"] and second[1:3] == ["1", "20.00"]
    assert "fewer than two seeds" in outcome.text
    assert failure in (tmp_path / "output" / "summary.md").read_text()
    lines = (tmp_path / "output" / "trials.jsonl").read_text().splitlines()
    (kept,) = [line for line in lines if "failed" in line]
    assert "and more" in json.loads(kept)["trace"]
    study.raising.clear()
    assert len(study().failures) == 1 and len(study.trained) == 4
    assert study(retry_failed=True).failures == ()
    assert study.trained[4:] == [(SPEC, 1)]


def test_a_cell_that_fails_keeps_the_scores_that_it_had(study, tmp_path):
    known = rows_of(study().text)
    more = ("STUDY.BORDERS", True)
    study.raising[SPEC, 1] = RuntimeError("no memory")
    for retry in (False, True):
        outcome = study(*more, retry_failed=retry)
        assert outcome.failures == (f"{SPEC}, seed 1: RuntimeError: no memory",)
        found = rows_of(outcome.text)
        assert [row[: len(known[0])] for row in found] == known
        assert [row[-1] for row in found[1:]] == ["0.00 ± 0.00", "0.00"]
    assert study().failures == (), "what is asked for here is known"
    study.raising.clear()
    assert rows_of(study(*more, retry_failed=True).text)[2][-1] == "0.00 ± 0.00"


def test_damaged_data_ends_a_study_at_once_and_leaves_no_failed_cell(study):
    study.raising[SPEC, 1] = LabelError("7.png holds colours")
    with pytest.raises(LabelError, match=r"7\.png holds colours"):
        study()
    assert study.trained == EVERY[:2]
    study.raising.clear()
    assert study().failures == () and study.trained[2:] == EVERY[1:]
