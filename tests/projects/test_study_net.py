"""study_net.py as a user runs it: the table, cells kept, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from tables import rows_of

from autoseg_core import PAPER_METRICS

SPEC = "voc-miou-bezier"
LOSSES = ("cross_entropy", SPEC)
SETTINGS = (
    *("STUDY.LOSSES", str(list(LOSSES)), "STUDY.SEEDS", "[1, 2]"),
    *("STUDY.IMAGES", 2, "SOLVER.MAX_ITER", 30),
)


@pytest.fixture(scope="module")
def command(tiny_config, weights):
    """``command(OUTPUT_DIR, KEY, VALUE, ...)``: a study with SETTINGS, or what options say."""

    def words(output: Path, *options, flags=()):
        first = ("study_net.py", "--config-file", tiny_config, *flags, "OUTPUT_DIR", output)
        return (*first, "MODEL.WEIGHTS", weights, *SETTINGS, *options)

    return words


@pytest.fixture(scope="module")
def finished(scripts, command, tmp_path_factory) -> Path:
    """The output of a study of two losses and two seeds; what it printed is in stdout.txt."""
    directory = tmp_path_factory.mktemp("study")
    run = scripts.run(*command("run"), directory=directory).assert_ok()
    (directory / "run" / "stdout.txt").write_text(run.stdout)
    (directory / "run" / "stderr.txt").write_text(run.stderr)
    return directory / "run"


def results(output: Path) -> list[dict]:
    """Lines of the record, the settings left out."""
    return [json.loads(line) for line in (output / "trials.jsonl").read_text().splitlines()[1:]]


def scores(output: Path, loss: str, seed: int) -> dict[str, float]:
    """In percent; those of the last line of the cell."""
    found = [x["scores"] for x in results(output) if (x["loss"], x["seed"]) == (loss, seed)]
    return {name: 100 * value for name, value in found[-1]["shapes_sem_seg_test"].items()}


def test_the_table_is_the_mean_and_spread_of_the_cells(finished):
    text = (finished / "stdout.txt").read_text()
    head, *rows = rows_of(text)
    assert head == ["loss", "seeds", *PAPER_METRICS]
    assert [row[0] for row in rows] == list(LOSSES)
    for row in rows:
        assert row[1] == "2"
        for name, cell in zip(PAPER_METRICS, row[2:], strict=True):
            values = [scores(finished, row[0], seed)[name] for seed in (1, 2)]
            assert cell == f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"
    shown = text + (finished / "stderr.txt").read_text()
    assert shown.count("mIoU ") >= 4  # one line per cell, none per iteration
    assert "Starting training" not in shown and "Warning" not in shown


def test_a_killed_study_resumes_to_the_same_summary(scripts, command, finished, tmp_path):
    output = tmp_path / "run"
    begun = output / SPEC / "seed1" / "config.yaml"
    run = scripts.start(*command(output)).stop_when(begun.exists)
    assert run.status == -signal.SIGKILL
    kept = (output / "trials.jsonl").read_text()
    assert 1 <= len(results(output)) < 4, "the kill came too late to show anything"
    scripts.run(*command(output, flags=("--resume",))).assert_ok()
    for name in ("summary.md", "cells.csv"):
        assert (output / name).read_text() == (finished / name).read_text()
    assert (output / "trials.jsonl").read_text().startswith(kept)


def test_a_failed_cell_is_in_no_table_and_the_status_is_1(scripts, command, finished, tmp_path):
    output = Path(shutil.copytree(finished, tmp_path / "run"))
    record = output / "trials.jsonl"
    *others, last = record.read_text().splitlines(keepends=True)
    failed = json.loads(last) | {"failed": "RuntimeError: no memory"}
    del failed["scores"]
    record.write_text("".join([*others, json.dumps(failed) + "\n"]))
    run = scripts.run(*command(output))
    assert run.status == 1 and "Traceback" not in run.stderr
    assert f"{SPEC}, seed 2: RuntimeError: no memory" in run.stderr
    assert rows_of(run.stdout)[2][1] == "1"


def test_a_cell_is_what_train_net_makes_of_its_config(finished, scripts, tmp_path):
    config = finished / SPEC / "seed2" / "config.yaml"
    run = scripts.run("train_net.py", "--config-file", config, "OUTPUT_DIR", tmp_path / "run")
    numbers = re.findall(r"copypaste: (.*)", run.assert_ok().stdout)[-1]
    own = scores(finished, SPEC, 2)
    assert numbers.split(",") == [f"{own[name]:.4f}" for name in PAPER_METRICS]
    distinct = {scores(finished, loss, seed)["mIoU"] for loss in LOSSES for seed in (1, 2)}
    assert len(distinct) == 4, "equal scores would prove nothing"


def test_a_mistake_is_one_line_and_nothing_is_written(scripts, command, tmp_path):
    """Which mistakes: auto_seg_loss/study/test_matrix.py."""
    run = scripts.run(*command(tmp_path / "run", "STUDY.LOSSES", "['cross_entropy', 'none.json']"))
    text = run.refusal()
    assert "none.json" in text and text.count("\n") == 1
    assert not (tmp_path / "run").exists()
