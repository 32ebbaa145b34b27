"""hooks/interruption.py: an interrupted training is kept as it was after its last whole step."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from detectron2.utils import comm

from auto_seg_loss.hooks import kept_when_interrupted
from auto_seg_loss.trainer import Trainer
from rl.signals import Interrupted, interruptible


@pytest.fixture
def trainer(shapes, make_cfg) -> Trainer:
    """Of six iterations, with SOLVER.CHECKPOINT_PERIOD beyond them."""
    cfg = make_cfg("SOLVER.MAX_ITER", 6, "SOLVER.CHECKPOINT_PERIOD", 100, "TEST.SAMPLES", 0)
    Path(cfg.OUTPUT_DIR).mkdir()
    return Trainer(cfg)


def interrupt_in(trainer: Trainer, iteration: int) -> None:
    """Have the step of that iteration signalled half way: between backward and update."""
    original = trainer._trainer._backward

    def backward(batch):
        losses = original(batch)
        if trainer.iter == iteration:
            os.kill(os.getpid(), signal.SIGINT)
        return losses

    trainer._trainer._backward = backward


def train(trainer: Trainer) -> None:
    with interruptible(), kept_when_interrupted(trainer):
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


def test_the_last_step_leaves_the_final_model(trainer):
    interrupt_in(trainer, 5)
    with pytest.raises(Interrupted):
        train(trainer)
    assert (Path(trainer.cfg.OUTPUT_DIR) / "last_checkpoint").read_text() == "model_final.pth"


def test_before_the_first_step_there_is_nothing_to_keep(trainer):
    with pytest.raises(Interrupted), interruptible(), kept_when_interrupted(trainer):
        os.kill(os.getpid(), signal.SIGTERM)
    assert not list(Path(trainer.cfg.OUTPUT_DIR).glob("*.pth"))


def test_after_a_step_that_failed_signals_act_at_once(trainer):
    def fail(*args, **kwargs):
        raise FloatingPointError("diverged")

    trainer._trainer._backward = fail
    with interruptible():
        with pytest.raises(FloatingPointError), kept_when_interrupted(trainer):
            trainer.train()
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("the signal still waits for the end of a step")


@pytest.mark.parametrize("processes, saved", [(1, ["model_final"]), (2, [])])
def test_of_several_processes_nothing_is_saved(trainer, monkeypatch, processes, saved):
    """Others may wait in the middle of a step."""
    trainer.train()
    names = []
    monkeypatch.setattr(comm, "get_world_size", lambda: processes)
    monkeypatch.setattr(trainer.checkpointer, "save", lambda name, **_: names.append(name))
    with pytest.raises(Interrupted), interruptible(), kept_when_interrupted(trainer):
        os.kill(os.getpid(), signal.SIGINT)
    assert names == saved
