"""A training that goes on from a checkpoint ends as if it had never been interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import content_of, equal
from detectron2.utils.env import seed_all_rng

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.trainer import Trainer

HELPER = Path(__file__).parents[1] / "helpers" / "two_processes_training.py"
PERIODS = ("SOLVER.CHECKPOINT_PERIOD", 2, "TEST.SAMPLES", 0)


def go(cfg: Any, resume: bool, seed: int = 0) -> Trainer:
    """The trainer after its training."""
    Path(cfg.OUTPUT_DIR).mkdir(exist_ok=True)
    seed_all_rng(seed)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=resume)
    trainer.train()
    return trainer


def final(cfg: Any) -> dict[str, Any]:
    return content_of(Path(cfg.OUTPUT_DIR) / "model_final.pth")


@pytest.mark.parametrize(
    "options",
    [
        ("DATALOADER.NUM_WORKERS", 2),
        ("SOLVER.ACCUMULATE", 2, "SOLVER.AMP.ENABLED", True),
        ("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.STEPS", "(1, 3)"),
        ("TEST.PRECISE_BN.ENABLED", True, "TEST.PRECISE_BN.NUM_ITER", 2, "TEST.EVAL_PERIOD", 2),
    ],
    ids=lambda options: options[0] if options else "",
)
def test_it_ends_with_the_same_weights_momenta_and_generators(shapes, make_cfg, options):
    """Also where the seed of the second process is another, as with SEED -1."""
    cfg = make_cfg("SOLVER.MAX_ITER", 4, *PERIODS, *options)
    go(cfg, resume=False)
    whole = final(cfg)
    (Path(cfg.OUTPUT_DIR) / "last_checkpoint").write_text("model_0000001.pth")
    trainer = go(cfg, resume=True, seed=9)
    assert trainer.start_iter == 2
    assert equal(final(cfg), whole)


def test_of_several_processes_each_goes_on_where_it_was(
    scripts, tiny_config, make_cfg, weights, shapes, tmp_path
):
    """Their scores are those of the checkpoint, and with a folder each they would not go on."""
    scripts.run(str(HELPER), tiny_config, tmp_path, weights).assert_ok()
    whole, resumed = (content_of(tmp_path / f"{n}.pth") for n in (1, 2))
    assert len(whole["random"]) == 2 and not equal(*whole["random"])
    assert equal(whole, resumed)
    trainer = Trainer(make_cfg("TEST.SAMPLES", 0))
    trainer.checkpointer.load(str(tmp_path / "2.pth"), checkpointables=[])
    expected = json.loads((tmp_path / "scores.json").read_text())
    assert trainer.test()["sem_seg"] == pytest.approx(expected, abs=1e-9, nan_ok=True)
    for rank in "01":
        assert "OUTPUT_DIR must be the same folder" in (tmp_path / f"{rank}.txt").read_text()


def test_another_number_of_processes_is_said(shapes, make_cfg, caplog):
    cfg = make_cfg("SOLVER.MAX_ITER", 4, *PERIODS)
    go(cfg, resume=False)
    path = Path(cfg.OUTPUT_DIR) / "model_final.pth"
    whole = torch.load(path, weights_only=True)
    torch.save({**whole, "random": whole["random"] * 2}, path)
    with caplog.at_level("WARNING"):
        go(cfg, resume=True)
    assert "the random generators of 2 processes, and these are 1: they are reseeded" in caplog.text


def test_at_its_end_it_writes_the_final_checkpoint_and_evaluates(shapes, make_cfg):
    cfg = make_cfg("SOLVER.MAX_ITER", 2, *PERIODS)
    go(cfg, resume=False)
    whole, path = final(cfg), Path(cfg.OUTPUT_DIR) / "model_final.pth"
    path.write_bytes(b"half a file")
    (Path(cfg.OUTPUT_DIR) / "last_checkpoint").write_text("model_0000001.pth")
    trainer = go(cfg, resume=True, seed=9)
    assert equal(final(cfg), whole) and trainer.results["sem_seg"]
    assert (Path(cfg.OUTPUT_DIR) / "last_checkpoint").read_text() == path.name


def rates(cfg: Any) -> dict[int, float]:
    rows = (Path(cfg.OUTPUT_DIR) / "metrics.json").read_text().splitlines()
    found = [json.loads(row) for row in rows]
    return {row["iteration"]: row["lr"] for row in found if "lr" in row}


def test_a_longer_training_follows_the_longer_schedule_from_there_on(shapes, make_cfg, caplog):
    options = ("VIS_PERIOD", 1, "SOLVER.WARMUP_ITERS", 0, *PERIODS)
    go(make_cfg("SOLVER.MAX_ITER", 4, *options), resume=False)
    cfg = make_cfg("SOLVER.MAX_ITER", 8, "SOLVER.BASE_LR", 0.01, *options)
    with caplog.at_level("INFO"):
        go(cfg, resume=True)
    expected = [0.05 * (1 - i / 4) ** 0.9 for i in range(4)]
    expected += [0.01 * (1 - i / 8) ** 0.9 for i in range(4, 8)]
    assert rates(cfg) == pytest.approx(dict(enumerate(expected)))
    words = f"changed, MAX_ITER 8: a learning rate of {expected[4]:g} at iteration 4"
    assert f"{words}, where it would have been 0" in caplog.text


def test_a_shorter_training_than_is_done_is_refused(shapes, make_cfg):
    go(make_cfg("SOLVER.MAX_ITER", 4, *PERIODS), resume=False)
    with pytest.raises(ConfigError, match=r"4 iterations are done .*MAX_ITER is 3; give"):
        go(make_cfg("SOLVER.MAX_ITER", 3, *PERIODS), resume=True)
