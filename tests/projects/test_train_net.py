"""train_net.py as a user runs it: trains, resumes, evaluates, and refuses in one line."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch

from autoseg_core import PAPER_METRICS

HEAD = "MODEL.SEM_SEG_HEAD."
SEARCHED = (HEAD + "LOSS_TYPE", "auto_seg_loss", HEAD + "LOSS_SPEC", "voc-miou-bezier")
SETTINGS = (*SEARCHED, "SOLVER.MAX_ITER", 20, "SOLVER.CHECKPOINT_PERIOD", 10)


@pytest.fixture(scope="module")
def trained(scripts, tiny_config, weights, tmp_path_factory) -> Path:
    """The output of a training of twenty iterations; what it printed is in stdout.txt."""
    output = tmp_path_factory.mktemp("train") / "run"
    options = ("OUTPUT_DIR", output, "MODEL.WEIGHTS", weights, *SETTINGS)
    run = scripts.run("train_net.py", "--config-file", tiny_config, *options).assert_ok()
    (output / "stdout.txt").write_text(run.stdout)
    return output


@pytest.fixture
def copy(trained, tmp_path) -> Path:
    """The same, to go on with."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def train(scripts, tiny_config, weights):
    """``train(OUTPUT_DIR, argument, ...)`` with SETTINGS unless options say otherwise."""

    def run(output: Path, *arguments, options=()):
        options = ("OUTPUT_DIR", output, "MODEL.WEIGHTS", weights, *SETTINGS, *options)
        return scripts.run("train_net.py", "--config-file", tiny_config, *arguments, *options)

    return run


def printed_scores(text: str) -> dict[str, list[str]]:
    """Task -> names and numbers, of the last evaluation's lines to copy and paste."""
    found = re.findall(r"copypaste: Task: (.*)\n.*copypaste: (.*)\n.*copypaste: (.*)", text)
    return {task: [names, numbers] for task, names, numbers in found}


# --- resume ---


def test_a_training_that_is_asked_to_stop_says_how_to_go_on(scripts, tiny_config, tmp_path):
    output = tmp_path / "run"
    last = output / "last_checkpoint"
    command = ("train_net.py", "--config-file", tiny_config, "OUTPUT_DIR", output)
    options = ("SOLVER.CHECKPOINT_PERIOD", 10, "SOLVER.MAX_ITER", 100_000)
    run = scripts.start(*command, *options)
    run.stop_when(lambda: last.exists() and last.stat().st_size > 0, signal.SIGTERM)
    assert run.status == 143, run.stderr
    told = run.interruption()
    assert told == [*map(str, told[:1]), "--resume", *map(str, (*command[1:], *options))]
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
    assert names >= {"model_0000009.pth", "model_final.pth", "config.yaml", "log.txt"}
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


# --- evaluation ---


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


# --- refusals ---


def test_more_processes_than_gpus_are_refused_in_one_line(train, tmp_path):
    gpus = torch.cuda.device_count()
    text = train(tmp_path / "run", "--num-gpus", max(2, gpus + 1)).refusal()
    assert f"PyTorch finds {gpus} GPUs" in text and text.count("\n") == 1
    assert not (tmp_path / "run").exists()
    text = train(tmp_path / "run", "--num-machines", 2).refusal()
    assert "several processes need MODEL.DEVICE cuda" in text and text.count("\n") == 1
