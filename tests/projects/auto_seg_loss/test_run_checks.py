"""run_checks.py: what no training can run with is refused before anything is written."""

from __future__ import annotations

import pytest

from auto_seg_loss.run_checks import (
    check_device,
    check_gpus,
    check_output,
    check_schedule,
)


def test_a_plain_config_passes(make_cfg):
    check_device(make_cfg())
    check_schedule(make_cfg())
    check_output(make_cfg())


@pytest.mark.parametrize("below", [(), ("deeper",)])
def test_an_output_that_is_a_file(make_cfg, tmp_path, below):
    (tmp_path / "taken").touch()
    path = tmp_path.joinpath("taken", *below)
    with pytest.raises(ValueError, match=r"OUTPUT_DIR .*taken is a file; name a folder\."):
        check_output(make_cfg("OUTPUT_DIR", path))


def test_no_output(make_cfg):
    with pytest.raises(ValueError, match="OUTPUT_DIR is empty"):
        check_output(make_cfg("OUTPUT_DIR", ""))


@pytest.mark.parametrize(
    "options, words",
    [
        (("MODEL.DEVICE", "gpu"), r"MODEL\.DEVICE must be a device .* cpu or cuda, got 'gpu'"),
        (("MODEL.DEVICE", "cuda:99"), r"cuda:99, but PyTorch sees \d+ CUDA .* MODEL\.DEVICE cpu"),
        (("MODEL.SEM_SEG_HEAD.LOSS_BACKEND", "triton"), "triton needs a CUDA device.*auto"),
        (
            ("MODEL.DEVICE", "meta", "MODEL.SEM_SEG_HEAD.LOSS_BACKEND", "native"),
            "native needs a CPU device, and MODEL.DEVICE is meta; set LOSS_BACKEND auto",
        ),
    ],
)
def test_devices(make_cfg, options, words):
    with pytest.raises(ValueError, match=words):
        check_device(make_cfg(*options))


def test_more_gpus_than_there_are(make_cfg):
    check_gpus(1, make_cfg())
    with pytest.raises(ValueError, match=r"--num-gpus 99 .* PyTorch sees \d+ here; leave it out"):
        check_gpus(99, make_cfg())


@pytest.mark.parametrize("key", ["SOLVER.MAX_ITER", "SOLVER.IMS_PER_BATCH", "SOLVER.ACCUMULATE"])
@pytest.mark.parametrize("value", [0, -3])
def test_schedules(make_cfg, key, value):
    with pytest.raises(ValueError, match=rf"{key} must be 1 or more, got {value}\."):
        check_schedule(make_cfg(key, value))
