"""train_net.py as a user runs it: trains, resumes, evaluates, and refuses in one line."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
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
    """``train(OUTPUT_DIR, argument, ...)`` with SETTINGS unless options say otherwise."""

    def run(output: Path, *arguments: Any, options: tuple[Any, ...] = ()):
        options = ("OUTPUT_DIR", output, "MODEL.WEIGHTS", weights, *SETTINGS, *options)
        return scripts.run("train_net.py", "--config-file", tiny_config, *arguments, *options)

    return run


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory) -> Path:
    """The output of a training of ten iterations; what it printed is in stdout.txt."""
    output = tmp_path_factory.mktemp("train") / "run"
    run = train(output).assert_ok()
    (output / "stdout.txt").write_text(run.stdout)
    return output


@pytest.fixture
def copy(trained, tmp_path) -> Path:
    """The same, to go on with."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


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


def test_the_events_of_a_resumed_training_neither_repeat_nor_lose_a_point(trained, copy, train):
    """As if killed after the checkpoint of iteration 3."""
    # Older than the events to come, by the second in the file's name.
    (events,) = copy.glob("events.out.tfevents.*")
    events.rename(copy / "events.out.tfevents.1000000000.host.1.0")
    (copy / "last_checkpoint").write_text("model_0000003.pth")
    train(copy, "--resume").assert_ok()
    found, expected = everything(copy), everything(trained)
    # Detectron2 does not time the first two iterations after a start; metrics.json only grows.
    timed = {"time", "eta_seconds", "speed/images_per_second"}
    tags = {t for t in expected if "metrics.json" not in t} - timed
    assert {tag: found[tag] for tag in tags} == {tag: expected[tag] for tag in tags}


def test_a_training_that_is_asked_to_stop_says_how_to_go_on(scripts, tiny_config, tmp_path):
    output = tmp_path / "run"
    last = output / "last_checkpoint"
    command = ("train_net.py", "--config-file", tiny_config, "OUTPUT_DIR", output)
    options = ("SOLVER.CHECKPOINT_PERIOD", 10, "SOLVER.MAX_ITER", 100_000)
    run = scripts.start(*command, *options)
    run.stop_when(lambda: last.exists() and last.stat().st_size > 0, signal.SIGTERM)
    assert run.status == 143, run.stderr
    told = run.interruption()
    assert told == ["train_net.py", "--resume", *map(str, (*command[1:], *options))]
    # It is kept to its last step, not only to the last period's checkpoint.
    kept = torch.load(output / last.read_text(), weights_only=False)["iteration"]
    rows = map(json.loads, (output / "metrics.json").read_text().splitlines())
    # The log's estimate of the time left may be of the step that has not begun.
    assert kept >= max(row["iteration"] for row in rows if "total_loss" in row)


def test_resume_with_another_config_says_what_differs_and_changes_nothing(copy, train):
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    run = train(copy, "--resume", options=("SOLVER.MOMENTUM", 0.5, "SOLVER.NESTEROV", True))
    rows = [line.strip() for line in run.refusal().splitlines() if " -> " in line]
    assert rows == ["SOLVER.MOMENTUM: 0.9 -> 0.5", "SOLVER.NESTEROV: false -> true"]
    names = {path.name for path in copy.iterdir()}
    assert names >= {"model_0000003.pth", "model_final.pth", "config.yaml", "log.txt"}
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


def printed_scores(text: str) -> dict[str, list[str]]:
    """Task -> names and numbers, of the last evaluation's lines to copy and paste."""
    found = re.findall(r"copypaste: Task: (.*)\n.*copypaste: (.*)\n.*copypaste: (.*)", text)
    return {task: [names, numbers] for task, names, numbers in found}


def test_eval_only_shows_both_protocols_side_by_side(trained, train, tmp_path):
    weights = ("MODEL.WEIGHTS", trained / "model_final.pth")
    both = {}
    for protocol, other in (("strict", "paper"), ("paper", "strict")):
        options = (*weights, "TEST.PROTOCOL", protocol)
        run = train(tmp_path / protocol, "--eval-only", options=options).assert_ok()
        scores = printed_scores(run.stdout)
        assert list(scores) == ["sem_seg", f"sem_seg_{other}"]
        both[protocol] = [scores["sem_seg"], scores[f"sem_seg_{other}"]]
        numbers = r" +[\d.]+" * 6
        assert re.search(rf"^{protocol}{numbers}\n{other}{numbers}$", run.stdout, re.MULTILINE)
    assert both["strict"] == both["paper"][::-1]
    assert both["strict"][0] != both["strict"][1]
    before = printed_scores((trained / "stdout.txt").read_text())
    assert list(before) == ["sem_seg"] and both["strict"][0] == before["sem_seg"]
    assert before["sem_seg"][0] == ",".join(PAPER_METRICS)
    assert not (tmp_path / "strict" / "model_final.pth").exists()
    assert not (tmp_path / "strict" / "run.json").exists()


def test_more_processes_than_gpus_are_refused_in_one_line(train, tmp_path):
    gpus = torch.cuda.device_count()
    text = train(tmp_path / "run", "--num-gpus", max(2, gpus + 1)).refusal()
    assert f"PyTorch finds {gpus} GPUs" in text and text.count("\n") == 1
    assert not (tmp_path / "run").exists()
    text = train(tmp_path / "run", "--num-machines", 2).refusal()
    assert "several processes need MODEL.DEVICE cuda" in text and text.count("\n") == 1
