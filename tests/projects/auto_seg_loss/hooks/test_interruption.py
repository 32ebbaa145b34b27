"""WholeSteps: an interrupted training is kept as it was after its last whole step."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from auto_seg_loss import trainer as trainer_module
from auto_seg_loss.trainer import Trainer
from rl.signals import Interrupted, interruptible


@pytest.fixture
def trainer(shapes, make_cfg) -> Trainer:
    """Of six iterations, with SOLVER.CHECKPOINT_PERIOD beyond them."""
    cfg = make_cfg("SOLVER.MAX_ITER", 6, "SOLVER.CHECKPOINT_PERIOD", 100, "TEST.SAMPLES", 0)
    Path(cfg.OUTPUT_DIR).mkdir()
    return Trainer(cfg)


def interrupt_in(trainer: Trainer, iteration: int, times: int = 1) -> None:
    """Have the step of that iteration signalled half way: between backward and update."""
    original = trainer._backward

    def backward(batch):
        losses = original(batch)
        for _ in range(times if trainer.iter == iteration else 0):
            os.kill(os.getpid(), signal.SIGINT)
        return losses

    trainer._backward = backward


def train(trainer: Trainer) -> None:
    with interruptible():
        trainer.train()


def test_the_checkpoint_is_that_after_the_step(trainer):
    interrupt_in(trainer, 3)
    with pytest.raises(Interrupted):
        train(trainer)
    output = Path(trainer.cfg.OUTPUT_DIR)
    assert (output / "last_checkpoint").read_text() == "model_0000003.pth"
    kept = torch.load(output / "model_0000003.pth", weights_only=False)
    assert kept["iteration"] == kept["trainer"]["iteration"] == 3
    # The schedule has gone on with the weights: else every later rate would be one step behind.
    assert kept["trainer"]["hooks"]["LRScheduler"]["last_epoch"] == 4
    again = Trainer(trainer.cfg)
    again.resume_or_load(resume=True)
    assert again.start_iter == 4
    again.train()
    assert (output / "last_checkpoint").read_text() == "model_final.pth"


def test_the_last_step_leaves_the_final_model_and_is_not_evaluated(trainer, monkeypatch):
    monkeypatch.setattr(trainer_module, "evaluate", lambda *_: pytest.fail("evaluated"))
    interrupt_in(trainer, 5)
    with pytest.raises(Interrupted):
        train(trainer)
    assert (Path(trainer.cfg.OUTPUT_DIR) / "last_checkpoint").read_text() == "model_final.pth"


def test_a_second_signal_does_not_wait_and_nothing_half_done_is_kept(trainer):
    interrupt_in(trainer, 3, times=2)
    with pytest.raises(Interrupted):
        train(trainer)
    assert trainer.iter == 3
    assert not list(Path(trainer.cfg.OUTPUT_DIR).glob("*.pth"))
