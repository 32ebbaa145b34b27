"""hooks/writers.py: every point once, whatever is killed and resumed between."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from detectron2.utils.events import EventStorage
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from auto_seg_loss.hooks.writers import Board, MetricsFile, keep_rows_before, read_rows
from autoseg_core.files import DamagedFileError

LAYOUT = {"training": {"loss": ["Multiline", ["total_loss"]]}}


def put(storage: EventStorage, iteration: int, **scalars: float) -> None:
    storage.iter = iteration
    storage.put_scalars(**scalars, smoothing_hint=False)


def events(directory: Path) -> EventAccumulator:
    return EventAccumulator(str(directory), size_guidance={"images": 0, "tensors": 0}).Reload()


def steps(directory: Path, tag: str) -> list[int]:
    return [event.step for event in events(directory).Scalars(tag)]


# --- metrics.json ---


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "metrics.json"


def test_rows_hold_what_is_new_by_iteration(path):
    writer = MetricsFile(path, 0)
    with EventStorage() as storage:
        put(storage, 3, score=1.0)
        put(storage, 5, loss=2.0)
        writer.write()
        writer.write()
        put(storage, 5, late=3.0)  # an evaluation, after the losses of its iteration were written
        writer.write()
    assert read_rows(path) == [
        {"iteration": 3, "score": 1.0},
        {"iteration": 5, "loss": 2.0},
        {"iteration": 5, "late": 3.0},
    ]
    writer.close()


def test_a_resumed_training_takes_back_what_came_after_its_checkpoint(path):
    rows = [{"iteration": at, "loss": float(at)} for at in (3, 7, 9, 10, 12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"iteration": 13, "lo')
    writer = MetricsFile(path, 10)
    with EventStorage(10) as storage:
        put(storage, 12, loss=0.5)
        writer.write()
    writer.close()
    assert read_rows(path) == [*rows[:3], {"iteration": 12, "loss": 0.5}]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_null_and_come_back_as_nan(path, value):
    writer = MetricsFile(path, 0)
    with EventStorage() as storage:
        put(storage, 3, absent=value, there=1.0)
        writer.write()
    writer.close()
    assert "NaN" not in path.read_text() and "Inf" not in path.read_text()
    assert json.loads(path.read_text()) == {"iteration": 3, "absent": None, "there": 1.0}
    assert math.isnan(read_rows(path)[0]["absent"])


# --- event files ---


@pytest.fixture(autouse=True)
def seconds_apart(monkeypatch):
    """Readers take files in the order of their names, which hold the second of their beginning."""
    clock = itertools.count(1_700_000_000)
    monkeypatch.setattr(event_file_writer, "time", SimpleNamespace(time=lambda: next(clock)))


def record(
    directory: Path,
    start: int,
    iterations: list[int],
    close: bool = True,
) -> Board:
    board = Board(directory, LAYOUT, start)
    with EventStorage(start) as storage:
        for iteration in iterations:
            put(storage, iteration, loss=float(iteration))
            storage.put_image("picture", np.zeros((3, 2, 2), np.uint8))
            board.write()
    if close:
        board.close()
    return board


def test_scalars_images_and_layout_are_written(tmp_path):
    record(tmp_path, 0, [2, 5])
    found = events(tmp_path)
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(2, 2.0), (5, 5.0)]
    assert [e.step for e in found.Images("picture")] == [2, 5]
    assert "custom_scalars__config__" in found.Tags()["tensors"]


def test_points_that_do_not_come_again_are_gone(tmp_path):
    record(tmp_path, 0, [2, 5, 8])
    killed = record(tmp_path, 4, [], close=False)
    assert steps(tmp_path, "loss") == [2]
    killed.close()


def test_a_training_that_begins_anew_leaves_no_older_events_and_nothing_else_alone(tmp_path):
    record(tmp_path, 0, [2, 5, 8])
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "other").mkdir()
    record(tmp_path / "other", 0, [1])
    record(tmp_path, 0, [3])
    assert steps(tmp_path, "loss") == [3]
    assert steps(tmp_path / "other", "loss") == [1]
    assert (tmp_path / "notes.txt").exists()


def test_a_scalar_after_others_of_its_iteration_is_written(tmp_path):
    board = Board(tmp_path, LAYOUT, 0)
    with EventStorage() as storage:
        put(storage, 4, loss=1.0)
        board.write()
        put(storage, 4, score=2.0)
        board.write()
        board.write()
    board.close()
    assert steps(tmp_path, "score") == [4] and steps(tmp_path, "loss") == [4]


@pytest.mark.parametrize("line", [b"\xff", b"[]", b"{}", b'{"iteration": 3, "loss": "low"}'])
def test_a_line_that_is_no_row_names_the_file(tmp_path, line):
    path = tmp_path / "metrics.json"
    path.write_bytes(b'{"iteration": 2}\n' + line + b"\n")
    with pytest.raises(DamagedFileError, match=r"metrics\.json is damaged .*; mend or delete it"):
        keep_rows_before(path, 9)
