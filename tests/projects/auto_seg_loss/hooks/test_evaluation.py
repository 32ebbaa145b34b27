"""hooks/evaluation.py: when evaluations take place, and where their results go."""

from __future__ import annotations

import json

import pytest
from detectron2.utils.events import EventWriter, get_event_storage

from auto_seg_loss.hooks.evaluation import Evaluation


class File(EventWriter):
    """Remembers the iteration at each call."""

    def __init__(self) -> None:
        self.written: list[int] = []

    def write(self) -> None:
        self.written.append(get_event_storage().iter)


@pytest.fixture
def evaluate(train, tmp_path):
    """``evaluate(period, ...)``: the iterations with a score, in their order, and the file's."""

    def run(period, iterations=10, *, start=0, rows=()):
        path = tmp_path / "metrics.json"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        scores, file = iter(range(100)), File()
        hook = Evaluation(period, lambda: {"sem_seg": {"mIoU": next(scores)}}, path)
        log = train(hook, iterations, start=start, files=[file])
        found = list(log.scalars["sem_seg/mIoU"])
        assert found == file.written
        return found

    return run


@pytest.mark.parametrize("period, expected", [(0, [10]), (4, [3, 7, 10]), (5, [4, 10])])
def test_results_are_written_at_once(evaluate, period, expected):
    assert evaluate(period) == expected


def test_an_evaluation_lost_after_its_checkpoint_is_made_up_for(evaluate):
    losses = {"iteration": 3, "total_loss": 1.0, "loss_sem_seg": 1.0}
    earlier = {"iteration": 1, "sem_seg/mIoU": 1.0}
    assert evaluate(4, start=4, rows=[earlier, losses]) == [3, 7, 10]


@pytest.mark.parametrize("name", ["sem_seg/mIoU", "shapes_sem_seg_test/sem_seg/mIoU"])
def test_one_that_is_there_is_not_repeated(evaluate, name):
    rows = [{"iteration": 3, "total_loss": 1.0}, {"iteration": 3, name: 1.0}]
    assert evaluate(4, start=4, rows=rows) == [7, 10]


def test_a_finished_training_is_evaluated_at_its_last_iteration_again(evaluate):
    assert evaluate(5, start=10) == [10]
