"""What train_net.py shows in TensorBoard: asked of a real server, also after a resume."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from PIL import Image
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


class Server:
    """TensorBoard on a directory, as `make tensorboard` starts it, and its data API."""

    def __init__(self, directory: Path, runs: tuple[str, ...]) -> None:
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(directory)]
        command += ["--port", "0", "--host", "127.0.0.1"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        found = next(filter(None, (re.search(r"http://\S+", x) for x in self._announcements())))
        self.address = found[0].rstrip("/")
        while not self._has_read(runs):  # in the background
            time.sleep(0.05)

    def _has_read(self, runs: tuple[str, ...]) -> bool:
        """Whether it knows the last point of each."""
        tags = self.get("plugin/scalars/tags")
        return all(
            LAST in tags.get(run, {})
            and self.get("plugin/scalars/scalars", run=run, tag=LAST)[-1][1] == EVALUATED[-1]
            for run in runs
        )

    def _announcements(self) -> Iterator[str]:
        assert self.process.stderr is not None
        yield from (line for line in self.process.stderr if " at http" in line)

    def get(self, path: str, **query: Any) -> Any:
        with urlopen(f"{self.address}/data/{path}?{urlencode(query)}") as answer:
            return json.load(answer)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture(scope="module")
def server(trained, resumed) -> Iterator[Server]:
    """One server for all questions to the two trainings, the runs `run` and `resumed`."""
    started = Server(trained.parent, ("run", "resumed"))
    yield started
    started.close()


def points(server: Server, tag: str, run: str = "run") -> dict[int, float]:
    rows = server.get("plugin/scalars/scalars", run=run, tag=tag)
    assert len({step for _, step, _ in rows}) == len(rows)
    return {step: value for _, step, value in rows}


# --- the server ---


def test_scalars_have_these_tags(server):
    tags = set(server.get("plugin/scalars/tags")["run"])
    columns = ("IoU", "Acc", "BIoU", "BF1")
    expected = {
        *("total_loss", "lr", "time", "data_time", "eta_seconds"),
        *("lr/backbone", "lr/sem_seg_head", "speed/images_per_second", "memory/host_peak_MiB"),
        "surrogate/mIoU",
        *(f"counts/mIoU/{n}/{c}" for n in ("target", "intersection", "union") for c in CLASSES),
        *(f"sem_seg/{name}" for name in PAPER_METRICS),
        *(f"sem_seg/{column}-{label}" for column in columns for label in CLASSES),
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
    ],
)
def test_points_lie_at_the_iterations_they_were_measured_at(server, tag, steps):
    assert list(points(server, tag)) == steps


def test_surrogate_and_loss_fit_together(server):
    """Losses are smoothed by a median over 20 iterations, so only the first are comparable."""
    score, rate = points(server, "surrogate/mIoU"), points(server, "lr/backbone")
    assert all(0 < value < 1 for value in score.values())
    assert list(rate.values()) == sorted(rate.values(), reverse=True)
    counts = [points(server, f"counts/mIoU/{n}/background")[2] for n in ("intersection", "target")]
    assert 0 < counts[0] < counts[1] < 4 * 32 * 32


def test_images_show_the_surfaces_once_and_samples_at_every_evaluation(server):
    tags = server.get("plugin/images/tags")["run"]
    assert set(tags) == {"surfaces", *SAMPLES}
    query = {"run": "run", "sample": 0}
    steps = {tag: server.get("plugin/images/images", tag=tag, **query) for tag in tags}
    first = steps[SAMPLES[0]][0]
    assert [row["step"] for row in steps["surfaces"]] == [0]
    assert [row["step"] for row in steps[SAMPLES[0]]] == EVALUATED
    with urlopen(f"{server.address}/data/plugin/images/individualImage?{first['query']}") as file:
        assert Image.open(file).size == (4 * 64 + 3 * 4, 48)


def test_custom_scalars_group_what_is_there(server):
    categories = server.get("plugin/custom_scalars/layout")["category"]
    charts = {(c["title"], chart["title"]): chart for c in categories for chart in c["chart"]}
    assert {title for title, _ in charts} == {
        *("training", "scores", "speed and memory", "counts of the loss"),
    }
    seen = []
    for chart in charts.values():
        (pattern, *more) = chart["multiline"]["tag"]
        answers = [
            server.get("plugin/custom_scalars/scalars", run="run", tag=p) for p in (pattern, *more)
        ]
        assert any(answer["tag_to_events"] for answer in answers), chart
        seen += [tag for answer in answers for tag in answer["tag_to_events"]]
    assert len(set(seen)) == len(seen)
    assert set(server.get("plugin/scalars/tags")["run"]) - set(seen) == {"lr", "eta_seconds"}


# --- resume ---


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


def test_a_resumed_training_neither_repeats_nor_loses_a_point(trained, resumed):
    found, expected = everything(resumed), everything(trained)
    # Detectron2 does not time the first two iterations after a start.
    timed = {f"{file}{name}" for file in ("", "metrics.json ") for name in ("time", "eta_seconds")}
    assert set(found) == set(expected)
    assert all(found[name] == steps for name, steps in expected.items() if name not in timed)


@pytest.mark.parametrize("tag", ["total_loss", "sem_seg/mIoU", "surrogate/mIoU", "lr/backbone"])
def test_the_server_shows_a_resumed_training_as_one(server, tag):
    assert list(points(server, tag, "resumed")) == list(points(server, tag))


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


def test_a_finished_training_that_is_resumed_shows_the_same(trained, train, tmp_path):
    output = aged(trained, tmp_path / "run")
    train(output, "--resume").assert_ok()
    assert everything(output) == everything(trained)


def test_a_training_that_begins_anew_leaves_nothing_of_the_old(trained, train, tmp_path):
    output = aged(trained, tmp_path / "run")
    train(output, options=("SOLVER.MAX_ITER", 3)).assert_ok()
    assert everything(output)["total_loss"] == [2]
    assert everything(output)["metrics.json sem_seg/mIoU"] == [3]


# --- switches ---


def test_everything_can_be_switched_off(train, tmp_path):
    off = ("VIS_PERIOD", 0, "TEST.SAMPLES", 0, "TEST.EVAL_PERIOD", 0)
    train(tmp_path / "run", options=off).assert_ok()
    tags = [tag for tag in everything(tmp_path / "run") if not tag.startswith("metrics.json")]
    extras = ("counts/", "surrogate/", "lr/", "speed/", "memory/", "samples/", "surfaces")
    assert not [tag for tag in tags if tag.startswith(extras)]
    assert {"total_loss", "sem_seg/mIoU"} <= set(tags)


def test_other_losses_have_samples_but_no_counts(train, tmp_path):
    ce = (HEAD + "LOSS_TYPE", "cross_entropy", HEAD + "LOSS_SPEC", "")
    train(tmp_path / "run", options=ce).assert_ok()
    tags = set(everything(tmp_path / "run"))
    assert set(SAMPLES) <= tags and "speed/images_per_second" in tags
    assert not [tag for tag in tags if tag.startswith(("counts/", "surrogate/", "surfaces"))]
