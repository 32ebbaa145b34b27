"""What train_net.py writes for TensorBoard, also after a resume."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from autoseg_core import PAPER_METRICS

HEAD = "MODEL.SEM_SEG_HEAD."
SEARCHED = (HEAD + "LOSS_TYPE", "auto_seg_loss", HEAD + "LOSS_SPEC", "voc-miou-bezier")
PERIODS = ("SOLVER.CHECKPOINT_PERIOD", 4, "TEST.EVAL_PERIOD", 4, "VIS_PERIOD", 3)
SETTINGS = (*SEARCHED, "SOLVER.MAX_ITER", 10, *PERIODS)

CLASSES = ("background", "ellipse", "polygon", "square", "bar", "disc", "triangle")
DUE = [2, 5, 8, 9]  # every VIS_PERIOD iterations, and the last
EVALUATED = [3, 7, 10]
LAST = "sem_seg/mIoU"
WRITTEN = [2, 3, 5, 7, 8, 9]  # both
SAMPLES = [f"samples/shapes_sem_seg_test/test_0000{index}" for index in range(3)]


@pytest.fixture(scope="module")
def train(scripts, tiny_config, weights):
    """``train(OUTPUT_DIR, argument, ...)`` with SETTINGS unless options say otherwise."""

    def run(output: Path, *arguments: Any, options=(), wait=True):
        options = ("OUTPUT_DIR", output, "MODEL.WEIGHTS", weights, *SETTINGS, *options)
        start = scripts.run if wait else scripts.start
        return start("train_net.py", "--config-file", tiny_config, *arguments, *options)

    return run


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory) -> Path:
    """The output of a finished training of ten iterations."""
    output = tmp_path_factory.mktemp("board") / "run"
    train(output).assert_ok()
    return output


def aged(trained: Path, output: Path) -> Path:
    """A copy whose events are older than any to come, by the second in the file's name."""
    shutil.copytree(trained, output)
    (events,) = output.glob("events.out.tfevents.*")
    events.rename(output / "events.out.tfevents.1000000000.host.1.0")
    return output


def cut(trained: Path, output: Path) -> Path:
    """A copy, as if killed in iteration 6 or later, after the checkpoint of iteration 3."""
    aged(trained, output)
    (output / "last_checkpoint").write_text("model_0000003.pth")
    (output / "model_final.pth").unlink()
    return output


@pytest.fixture(scope="module")
def resumed(trained, train) -> Path:
    """The same training, cut off and gone on with; beside it."""
    output = cut(trained, trained.with_name("resumed"))
    train(output, "--resume").assert_ok()
    return output


def everything(output: Path) -> dict[str, list[int]]:
    """Tag -> steps, of the events and of metrics.json, in one table."""
    sizes = {"images": 0, "scalars": 0, "tensors": 0}
    events = EventAccumulator(str(output), size_guidance=sizes).Reload()
    found = {tag: [e.step for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    found |= {tag: [e.step for e in events.Images(tag)] for tag in events.Tags()["images"]}
    found["layout"] = [e.step for e in events.Tensors("custom_scalars__config__")]
    for line in (output / "metrics.json").read_text().splitlines():
        row = json.loads(line)
        for name in row:
            found.setdefault(f"metrics.json {name}", []).append(row["iteration"])
    return found


def test_scalars_and_images_have_these_tags(trained):
    tags = {tag for tag in everything(trained) if "metrics.json" not in tag}
    columns = ("IoU", "Acc", "BIoU", "BF1")
    expected = {
        *("total_loss", "lr", "time", "data_time", "eta_seconds"),
        *("lr/backbone", "lr/sem_seg_head", "speed/images_per_second", "memory/host_peak_MiB"),
        "surrogate/mIoU",
        *(f"counts/mIoU/{n}/{c}" for n in ("target", "intersection", "union") for c in CLASSES),
        *(f"sem_seg/{name}" for name in PAPER_METRICS),
        *(f"sem_seg/{column}-{label}" for column in columns for label in CLASSES),
        *("surfaces", "layout", *SAMPLES),
    }
    assert tags - {"memory/cuda_peak_MiB"} == expected


@pytest.mark.parametrize(
    "tag, steps",
    [
        ("sem_seg/mIoU", EVALUATED),
        ("sem_seg/BF1-disc", EVALUATED),
        ("surrogate/mIoU", DUE),
        ("counts/mIoU/intersection/background", DUE),
        ("speed/images_per_second", DUE),
        ("lr/backbone", DUE),
        ("total_loss", WRITTEN),
        ("surfaces", [0]),
        (SAMPLES[0], EVALUATED),
    ],
)
def test_points_lie_at_the_iterations_they_were_measured_at(trained, tag, steps):
    assert everything(trained)[tag] == steps


# --- resume ---


def test_a_resumed_training_neither_repeats_nor_loses_a_point(trained, resumed):
    found, expected = everything(resumed), everything(trained)
    # Detectron2 does not time the first two iterations after a start.
    timed = {f"{file}{name}" for file in ("", "metrics.json ") for name in ("time", "eta_seconds")}
    assert set(found) == set(expected)
    assert all(found[name] == steps for name, steps in expected.items() if name not in timed)


def test_a_killed_training_that_is_resumed_has_every_point_once(train, tmp_path):
    output, last = tmp_path / "run", tmp_path / "run" / "last_checkpoint"
    options = ("SOLVER.MAX_ITER", 40, "TEST.SAMPLES", 1)
    run = train(output, options=options, wait=False)
    run.stop_when(lambda: last.exists() and last.stat().st_size > 0)
    assert run.status == -9 and not (output / "model_final.pth").exists()
    train(output, "--resume", options=options).assert_ok()
    found = everything(output)
    due, evaluated = [*range(2, 40, 3), 39], [*range(3, 39, 4), 40]
    for name, steps in (("surrogate/mIoU", due), ("sem_seg/mIoU", evaluated)):
        assert found[name] == found[f"metrics.json {name}"] == steps
    assert found[SAMPLES[0]] == evaluated and found["surfaces"] == found["layout"] == [0]


def test_an_evaluation_lost_between_checkpoint_and_result_is_made_up_for(trained, train, tmp_path):
    output = cut(trained, tmp_path / "run")
    path = output / "metrics.json"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(x for x in lines if "sem_seg/" not in x))
    train(output, "--resume").assert_ok()
    assert everything(output)["metrics.json sem_seg/mIoU"] == EVALUATED
