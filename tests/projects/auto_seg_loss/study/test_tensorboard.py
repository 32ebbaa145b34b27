"""tensorboard.py: what is written of a cell. On a real server: ../../test_study_net.py."""

from __future__ import annotations

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from auto_seg_loss.study.finished import CellResult
from auto_seg_loss.study.tensorboard import StudyBoard, hparams_of, training_scalars

LINES = [
    {"iteration": 1, "total_loss": 3.0, "lr": 0.1, "loss_sem_seg": 2.5, "time": 9.0},
    {"iteration": 2, "sem_seg/mIoU": 20.0, "sem_seg/IoU-disc": 1.0, "sem_seg/BF1": 5.0},
    {"iteration": 3, "total_loss": 1.0},
    {"iteration": 4, "sem_seg/mIoU": 99.0},
]


def events(folder) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def points(folder) -> dict[str, list[tuple[int, float]]]:
    read = events(folder)
    tags = read.Tags()["scalars"]
    return {tag: [(one.step, one.value) for one in read.Scalars(tag)] for tag in tags}


@pytest.fixture
def one_cell(make_study):
    """A study's first cell with the metrics of a training of four iterations, and the study."""
    study = make_study("STUDY.LOSSES", "['cross_entropy']", "STUDY.SEEDS", "[1]")
    (cell,) = study.cells
    cell.directory.mkdir(parents=True)
    text = "".join(json.dumps(line) + "\n" for line in LINES) + '{"iteration": 5, "tot'
    (cell.directory / "metrics.json").write_text(text)
    return study, cell


def test_losses_and_scores_of_a_training_are_taken_and_a_torn_line_left_out(one_cell):
    _, cell = one_cell
    assert list(training_scalars(cell.directory, ["mIoU"])) == [
        ("total_loss", 3.0, 1),
        ("loss_sem_seg", 2.5, 1),
        ("scores/mIoU", 20.0, 2),
        ("total_loss", 1.0, 3),
        ("scores/mIoU", 99.0, 4),
    ]


def test_the_last_score_is_the_result(one_cell):
    study, cell = one_cell
    StudyBoard(study).add(CellResult(cell, dict.fromkeys(study.score_names, 50.0)))
    found = points(study.output / "tensorboard" / "cross_entropy" / "seed1")
    assert found["total_loss"] == [(1, 3.0), (3, 1.0)]
    assert found["scores/mIoU"] == [(2, 20.0), (4, 50.0)]
    assert found["scores/gAcc"] == [(4, 50.0)]


def test_going_on_writes_everything_once(one_cell):
    study, cell = one_cell
    run = study.output / "tensorboard" / "cross_entropy" / "seed1"
    for _ in range(2):
        StudyBoard(study).add(CellResult(cell, dict.fromkeys(study.score_names, 50.0)))
    assert len(list(run.iterdir())) == 1
    assert len(points(run)["scores/mIoU"]) == 2


def test_a_failed_cell_has_the_same_keys(one_cell):
    study, cell = one_cell
    StudyBoard(study).add(CellResult(cell, reason="the disk is full"))
    run = study.output / "tensorboard" / "cross_entropy" / "seed1"
    assert {f"scores/{name}" for name in study.score_names} <= set(points(run))


def test_a_cell_is_told_by_labels_or_by_what_the_config_says(one_cell):
    _, cell = one_cell
    assert hparams_of(cell) == {
        "dataset": "shapes_sem_seg_train",
        "network": "AnyLossDeepLabV3PlusHead on build_small_resnet_backbone",
        "loss": "cross_entropy",
        "seed": 1.0,
        "lr": 0.05,
        "iterations": 4.0,
        "batch": 4.0,
    }


def test_the_batch_is_that_of_a_step_of_the_optimiser(make_study):
    """However it is cut into what fits into memory."""
    (cell, *_) = make_study("SOLVER.IMS_PER_BATCH", 8, "SOLVER.ACCUMULATE", 4).cells
    assert hparams_of(cell)["batch"] == 32.0
