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
SAMPLES = [f"samples/shapes_sem_seg_test/test_0000{index}" for index in range(3)]


@pytest.fixture(scope="module")
def train(scripts, tiny_config, weights):
    """``train(OUTPUT_DIR, argument, ...)`` with SETTINGS."""

    def run(output: Path, *arguments: Any):
        options = ("OUTPUT_DIR", output, "MODEL.WEIGHTS", weights, *SETTINGS)
        return scripts.run("train_net.py", "--config-file", tiny_config, *arguments, *options)

    return run


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory) -> Path:
    """The output of a finished training of ten iterations."""
    output = tmp_path_factory.mktemp("board") / "run"
    train(output).assert_ok()
    return output


@pytest.fixture(scope="module")
def resumed(trained, train) -> Path:
    """The same training, as if killed after the checkpoint of iteration 3, and gone on with."""
    output = Path(shutil.copytree(trained, trained.with_name("resumed")))
    # Older than the events to come, by the second in the file's name.
    (events,) = output.glob("events.out.tfevents.*")
    events.rename(output / "events.out.tfevents.1000000000.host.1.0")
    (output / "last_checkpoint").write_text("model_0000003.pth")
    train(output, "--resume").assert_ok()
    return output


def everything(output: Path) -> dict[str, list[int]]:
    """Tag -> steps, of the events and of metrics.json, in one table."""
    sizes = {"images": 0, "scalars": 0}
    events = EventAccumulator(str(output), size_guidance=sizes).Reload()
    found = {tag: [e.step for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    found |= {tag: [e.step for e in events.Images(tag)] for tag in events.Tags()["images"]}
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
        *("surfaces", *SAMPLES),
    }
    assert tags - {"memory/cuda_peak_MiB"} == expected


def test_points_lie_at_the_iterations_they_were_measured_at(trained):
    found = everything(trained)
    due = ("surrogate/mIoU", "counts/mIoU/intersection/background", "lr/backbone")
    steps = {
        **dict.fromkeys(("sem_seg/mIoU", "sem_seg/BF1-disc", SAMPLES[0]), EVALUATED),
        **dict.fromkeys((*due, "speed/images_per_second"), DUE),
        **{"total_loss": [*range(10)], "surfaces": [0]},
        **{"metrics.json sem_seg/mIoU": EVALUATED, "metrics.json surrogate/mIoU": DUE},
    }
    assert {tag: found[tag] for tag in steps} == steps


def test_the_events_of_a_resumed_training_neither_repeat_nor_lose_a_point(trained, resumed):
    found, expected = everything(resumed), everything(trained)
    # Detectron2 does not time the first two iterations after a start; metrics.json only grows.
    timed = {"time", "eta_seconds", "speed/images_per_second"}
    tags = {t for t in expected if "metrics.json" not in t} - timed
    assert {tag: found[tag] for tag in tags} == {tag: expected[tag] for tag in tags}
