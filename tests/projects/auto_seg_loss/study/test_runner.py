"""runner.py: which cells are trained, kept, refused, reported. The script: test_study_net.py."""

from __future__ import annotations

import contextlib
import json
import shutil

import pytest

from auto_seg_loss.data import LabelError
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.resume import sole_run
from auto_seg_loss.study import runner
from auto_seg_loss.study.finished import data_digest
from autoseg_core import PAPER_METRICS, load_spec
from autoseg_core.files import DamagedFileError
from rl.locks import FileLock
from rl.search import SearchError

SPEC = "voc-miou-bezier"
EVERY = [("cross_entropy", 1), (SPEC, 1), ("cross_entropy", 2), (SPEC, 2)]


def scores(**values: float) -> dict[str, float]:
    return {name: values.get(name, 0.0) for name in PAPER_METRICS}


def rows(table: str) -> list[list[str]]:
    """The cells of the first Markdown table, without the rule below its head."""
    lines = [line for line in table.split("\n\n")[0].splitlines() if line.startswith("|")]
    lines = [line for line in lines if not set(line) <= set("|-: ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_loss_is_trained_with_every_seed(study, tmp_path):
    _, first, second = rows(study())
    assert study.trained == EVERY
    assert first[:3] == ["cross_entropy", "2", "15.00 ± 7.07"]
    assert second[:3] == [SPEC, "2", "15.00 ± 7.07"]
    output = tmp_path / "output"
    assert rows((output / "summary.md").read_text())[1:] == [first, second]
    found = json.loads((output / SPEC / "seed2" / "results.json").read_text())
    assert found["scores"] == scores(mIoU=20.0)


def test_further_metrics_have_a_column_and_may_be_the_target(study):
    head, *_ = rows(study("TEST.METRICS", "('Fbeta(beta=2.0)',)", "STUDY.TARGET", "Fbeta(beta=2)"))
    assert head == ["loss", "seeds", "Fbeta(beta=2)", *PAPER_METRICS]


def test_fewer_metrics_are_read_from_finished_cells_and_more_refused(study):
    study("TEST.METRICS", "('Dice',)")
    assert rows(study())[0] == ["loss", "seeds", *PAPER_METRICS]
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


def test_what_a_cut_off_training_left_is_not_mixed_with_the_next(study, tmp_path):
    """Detectron2 appends to its metrics.json, and an old checkpoint is not this training's."""
    cell = tmp_path / "output" / "cross_entropy" / "seed1"
    cell.mkdir(parents=True)
    left = [cell / name for name in ("metrics.json", "model_final.pth", "events.out.tfevents.1.x")]
    for path in left:
        path.write_text("half")
    study()
    assert not any(path.exists() for path in left)


def test_a_damaged_result_is_refused_with_what_to_do(study, tmp_path):
    study()
    path = tmp_path / "output" / SPEC / "seed1" / "results.json"
    for text in (b'{"scores": ', b"[]", b"\xff", b'{"scores": {"mIoU": "high"}, "inputs": {}}'):
        path.write_bytes(text)
        with pytest.raises(DamagedFileError, match=r"results\.json is damaged .*; delete its"):
            study()


def test_cells_of_another_config_are_refused_with_what_differs(study):
    study()
    with pytest.raises(ValueError, match=r"  SOLVER\.MAX_ITER: 4 -> 9\n"):
        study("SOLVER.MAX_ITER", 9)
    assert len(study.trained) == 4


def test_nothing_is_trained_before_all_finished_cells_are_checked(study, tmp_path):
    study("STUDY.SEEDS", "[2]")
    with pytest.raises(ValueError, match=r"  SOLVER\.MAX_ITER: 4 -> 9\n"):
        study("SOLVER.MAX_ITER", 9)
    assert len(study.trained) == 2


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


def test_tolerances_cannot_be_measured_without_a_checkpoint(study):
    study()
    with pytest.raises(ConfigError, match=r"no model_final\.pth to measure STUDY\.TOLERANCES"):
        study("STUDY.TOLERANCES", "[1]")


def test_a_diverged_cell_needs_no_checkpoint_for_tolerances(study):
    """It is a result, with which a study goes on however often it is called."""
    study.diverging |= set(EVERY)
    first = study("STUDY.TOLERANCES", "[1]")
    assert rows(first)[1][2:] == ["nan ± nan"] * 8
    assert study("STUDY.TOLERANCES", "[1]") == first
    assert rows(study("STUDY.TOLERANCES", "[1, 2]"))[1][2:] == ["nan ± nan"] * 10
    assert study.trained == EVERY


# --- cells that fail ---


def test_a_failed_cell_is_reported_and_the_others_go_on(study, tmp_path):
    study.breaking.add((SPEC, 1))
    outcome = study.outcome()
    assert study.trained == EVERY
    (failure,) = outcome.failures
    assert failure == f"{SPEC}, seed 1: RuntimeError: the disk is full"
    _, first, second = rows(outcome.text)
    assert first[1:3] == ["2", "15.00 ± 7.07"] and second[1:3] == ["1", "20.00"]
    assert failure in (tmp_path / "output" / "summary.md").read_text()
    kept = json.loads((tmp_path / "output" / SPEC / "seed1" / "failed.json").read_text())
    assert "and more" in kept["trace"] and "Traceback" in kept["trace"]


def test_seeds_of_failed_cells_are_in_no_comparison(study):
    """Of two seeds one is left: no verdict, said in words."""
    study.breaking.add((SPEC, 1))
    text = study()
    assert f"{SPEC} - cross_entropy: mIoU +0.00 (no verdict: fewer than two seeds" in text


def test_damaged_data_ends_a_study_at_once_and_leaves_no_failed_cell(study, tmp_path):
    study.damaged.add((SPEC, 1))
    with pytest.raises(LabelError, match=r"7\.png holds colours"):
        study()
    assert study.trained == EVERY[:2]
    assert not list((tmp_path / "output").rglob("failed.json"))
    study.damaged.clear()
    assert study.outcome().failures == ()
    assert study.trained[2:] == EVERY[1:]


def test_a_failed_cell_is_left_alone_until_it_is_asked_for(study, tmp_path):
    study.breaking.add((SPEC, 1))
    study()
    study.breaking.clear()
    assert len(study.outcome().failures) == 1 and len(study.trained) == 4
    assert study.outcome(retry_failed=True).failures == ()
    assert study.trained[4:] == [(SPEC, 1)]
    assert not (tmp_path / "output" / SPEC / "seed1" / "failed.json").exists()


def test_a_device_that_is_not_here_is_needed_for_training_alone(study):
    with pytest.raises(ConfigError, match=r"MODEL\.DEVICE must be a device"):
        study("MODEL.DEVICE", "gpu")
    first = study()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "check_device", lambda _: pytest.fail("looked for a device"))
        assert study() == first


def test_other_images_of_the_same_names_are_refused(study, shapes, tmp_path, monkeypatch):
    study()
    copy = tmp_path / "datasets"
    shutil.copytree(shapes, copy)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(copy))
    assert study("STUDY.SEEDS", "[1]")
    label = next((copy / "shapes").rglob("test_*.png"))
    label.write_bytes(label.read_bytes() + b"longer")
    data_digest.cache_clear()  # as in another process
    with pytest.raises(ConfigError, match="on other images or labels of the same names"):
        study()


def test_cells_that_failed_with_another_config_are_trained_again(study):
    """As after a mistake in the config: nothing is finished, so nothing keeps the old one."""
    study.breaking |= set(EVERY)
    study()
    study.breaking.clear()
    assert study.outcome("SOLVER.BASE_LR", 0.01).failures == ()
    assert study.trained[4:] == EVERY


def test_a_failure_of_a_finished_cell_does_not_stick(study, tmp_path):
    """Such as that of a second process, which had waited for the cell's lock in vain."""
    study()
    failure = tmp_path / "output" / SPEC / "seed1" / "failed.json"
    failure.write_text(json.dumps({"reason": "another process trains it", "trace": ""}))
    assert len(study.outcome().failures) == 1
    assert study.outcome(retry_failed=True).failures == ()
    assert not failure.exists() and study.trained == EVERY


def test_a_cell_that_exceeds_the_timeout_fails_and_the_others_go_on(study):
    study.hanging.add((SPEC, 1))
    (failure,) = study.outcome("SEARCH.EXECUTOR.TIMEOUT", 1).failures
    assert failure == f"{SPEC}, seed 1: RuntimeError: stopped after 1 s, its timeout"
    assert study.trained == EVERY
    study.hanging.clear()
    assert study.outcome(retry_failed=True).failures == ()


def test_too_many_lost_cells_end_a_study_which_can_go_on(study):
    """2 of 4, where MAX_LOST is 0.25; the fourth is not begun, the lost ones can be trained again.

    A cell that raises is no loss of the executor's: the next may be of another loss or network.
    """
    study.hanging |= {(SPEC, 1), ("cross_entropy", 2)}
    with pytest.raises(SearchError, match=r"2 of 4 .* 0\.25 .* its timeout\. .*--retry-failed"):
        study("SEARCH.EXECUTOR.TIMEOUT", 1)
    assert study.trained == EVERY[:3]
    study.hanging.clear()
    assert study.outcome(retry_failed=True).failures == ()
    assert study.trained[3:] == EVERY[1:]


def test_a_loss_whose_every_cell_failed_is_a_row_without_scores(study):
    study.breaking |= {(SPEC, 1), (SPEC, 2)}
    *_, last = rows(study())
    assert last == [SPEC, "0", *["-"] * 6]


def test_two_studies_of_one_directory_refuse_each_other(make_study):
    study = make_study()
    with (
        sole_run(study.config, "study"),
        pytest.raises(ConfigError, match=r"Another study is running in .*output; wait for it"),
        sole_run(study.config, "study"),
    ):
        pass
    with sole_run(study.config, "study"):  # the first let go
        pass


def test_a_cell_that_another_process_trains_fails(study, monkeypatch, tmp_path):
    from auto_seg_loss.study import cells

    monkeypatch.setattr(cells, "_PATIENCE", 0.0)
    cell = tmp_path / "output" / "cross_entropy" / "seed1"
    cell.mkdir(parents=True)
    lock = FileLock(cell / "cell.lock")
    (failure,) = study.outcome().failures
    assert failure.startswith("cross_entropy, seed 1: ConfigError: another process trains")
    lock.release()
