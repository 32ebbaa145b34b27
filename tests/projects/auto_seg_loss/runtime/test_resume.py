"""resume.py: a training goes on with what it was started with, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.runtime.resume import begin_training, check_resume, sole_run
from autoseg_core import load_spec
from autoseg_core.files import DamagedFileError


@pytest.fixture
def saved(make_cfg, shapes):
    """``saved(KEY, VALUE, ...)``: the config, recorded as a first run would have."""

    def save(*options):
        cfg = make_cfg(*options)
        begin_training(cfg, resume=False)
        return cfg

    return save


def test_other_images_are_refused(saved, lengthen):
    cfg = saved()
    lengthen("test")
    check_resume(cfg)
    lengthen("train")
    with pytest.raises(ConfigError, match=r"DATASETS\.TRAIN: other images"):
        check_resume(cfg)


def test_free_keys_may_change(saved, make_cfg):
    saved()
    check_resume(make_cfg("DATASETS.TEST", "('shapes_sem_seg_val',)", "SOLVER.MAX_ITER", 9))


def test_a_key_that_is_new_counts_as_its_default(saved, make_cfg):
    path = Path(saved().OUTPUT_DIR) / "run.json"
    record = json.loads(path.read_text())
    del record["config"]["SOLVER"]["ACCUMULATE"], record["config"]["MODEL"]["AUX_HEAD"]
    del record["config"]["INPUT"]["LABEL_PALETTE"], record["config"]["SEARCH"]["HOLDOUT"]["CROP"]
    path.write_text(json.dumps(record))
    check_resume(make_cfg())
    with pytest.raises(ConfigError, match=r"SOLVER\.ACCUMULATE: 1 -> 2"):
        check_resume(make_cfg("SOLVER.ACCUMULATE", 2))


SEARCHED = ("MODEL.SEM_SEG_HEAD.LOSS_TYPE", "auto_seg_loss", "MODEL.SEM_SEG_HEAD.LOSS_SPEC")


def test_of_the_loss_the_content_counts_not_the_name(saved, make_cfg, tmp_path):
    saved(*SEARCHED, "voc-miou-bezier")
    path = tmp_path / "same.json"
    spec = load_spec("voc-miou-bezier")
    noted = spec.provenance.model_copy(update={"note": "It gained two points since."})
    spec.model_copy(update={"name": "mine", "provenance": noted}).save(path)
    check_resume(make_cfg(*SEARCHED, path))
    for other in (load_spec("voc-macc-bezier"), spec.scaled(2.0)):
        other.save(path)
        with pytest.raises(ConfigError, match=r"LOSS_SPEC: names a loss with other content"):
            check_resume(make_cfg(*SEARCHED, path))


def test_a_fresh_training_leaves_no_older_checkpoint_to_resume_and_says_so(saved, caplog):
    cfg = saved()
    last = Path(cfg.OUTPUT_DIR) / "last_checkpoint"
    last.write_text("model_final.pth")
    begin_training(cfg, resume=True)
    assert last.exists()
    assert not caplog.text
    begin_training(cfg, resume=False)
    assert not last.exists() and "starts over and replaces it" in caplog.text


def test_two_trainings_of_a_directory_refuse_each_other(make_cfg):
    cfg = make_cfg()
    words = "Another training is running in .*choose another OUTPUT_DIR"
    with (
        sole_run(cfg, "training"),
        pytest.raises(ConfigError, match=words),
        sole_run(cfg, "training"),
    ):
        pytest.fail("two at a time")
    with sole_run(cfg, "training"):
        pass


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b'{"config": {}}'], ids=lambda text: text[:20].decode(errors="replace")
)
def test_a_damaged_record_is_named(saved, make_cfg, text):
    path = Path(saved().OUTPUT_DIR) / "run.json"
    path.write_bytes(text)
    with pytest.raises(DamagedFileError, match=r"run\.json is damaged .*another OUTPUT_DIR"):
        check_resume(make_cfg())
