"""study_net.py as a user runs it: the table, cells kept, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoseg_core import PAPER_METRICS

SPEC = "voc-miou-bezier"
LOSSES = ("cross_entropy", SPEC)
SETTINGS = (
    *("STUDY.LOSSES", str(list(LOSSES)), "STUDY.SEEDS", "[1, 2]"),
    *("STUDY.IMAGES", 2, "SOLVER.MAX_ITER", 30),
)


@pytest.fixture(scope="module")
def finished(scripts, tiny_config, weights, tmp_path_factory) -> Path:
    """The output of a study of two losses and two seeds; what it printed is in stdout.txt."""
    directory = tmp_path_factory.mktemp("study")
    command = ("study_net.py", "--config-file", tiny_config)
    options = ("OUTPUT_DIR", "run", "MODEL.WEIGHTS", weights, *SETTINGS)
    run = scripts.run(*command, *options, directory=directory).assert_ok()
    (directory / "run" / "stdout.txt").write_text(run.stdout)
    (directory / "run" / "stderr.txt").write_text(run.stderr)
    return directory / "run"


@pytest.fixture
def study(scripts, tiny_config, weights):
    """``study(OUTPUT_DIR, KEY, VALUE, ...)`` with SETTINGS unless options say otherwise."""

    def run(output: Path, *options, flags=()):
        command = ("study_net.py", "--config-file", tiny_config, *flags, "OUTPUT_DIR", output)
        return scripts.run(*command, "MODEL.WEIGHTS", weights, *SETTINGS, *options)

    return run


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """The finished study, to go on with."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def table(text: str) -> list[list[str]]:
    lines = [line for line in text.split("\n\n")[0].splitlines() if re.match(r"\| *\w", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def results(output: Path) -> list[dict]:
    """Lines of the record, the settings left out."""
    return [json.loads(line) for line in (output / "trials.jsonl").read_text().splitlines()[1:]]


def scores(output: Path, loss: str, seed: int) -> dict[str, float]:
    """In percent; those of the last line of the cell."""
    found = [x["scores"] for x in results(output) if (x["loss"], x["seed"]) == (loss, seed)]
    return {name: 100 * value for name, value in found[-1]["shapes_sem_seg_test"].items()}


def test_the_table_is_the_mean_and_spread_of_the_cells(finished):
    head, *rows = table((finished / "stdout.txt").read_text())
    assert head == ["loss", "seeds", *PAPER_METRICS]
    assert [row[0] for row in rows] == list(LOSSES)
    for row in rows:
        assert row[1] == "2"
        for name, cell in zip(PAPER_METRICS, row[2:], strict=True):
            values = [scores(finished, row[0], seed)[name] for seed in (1, 2)]
            assert cell == f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def reports(output: Path) -> list[str]:
    return [(output / name).read_text() for name in ("summary.md", "cells.csv")]


def test_a_study_that_is_stopped_says_how_to_go_on(scripts, tiny_config, weights, tmp_path):
    """The same command does; the cell that is finished is kept."""
    output = tmp_path / "run"
    command = ("study_net.py", "--config-file", tiny_config, "OUTPUT_DIR", output)
    settings = ("MODEL.WEIGHTS", weights, *SETTINGS, "SOLVER.MAX_ITER", 200)
    begun = output / SPEC / "seed1" / "config.yaml"
    run = scripts.start(*command, *settings).stop_when(begun.exists, signal.SIGINT)
    assert run.status == 130, run.stderr
    assert run.interruption() == [str(argument) for argument in (*command, *settings)]
    assert len(results(output)) == 1 and not (output / "summary.md").exists()


def test_a_killed_study_resumes_to_the_same_summary(
    scripts, study, tiny_config, weights, finished, tmp_path
):
    output = tmp_path / "run"
    begun = output / SPEC / "seed1" / "config.yaml"
    command = ("study_net.py", "--config-file", tiny_config, "OUTPUT_DIR", output)
    run = scripts.start(*command, "MODEL.WEIGHTS", weights, *SETTINGS)
    run.stop_when(begun.exists)
    assert run.status == -signal.SIGKILL
    kept = (output / "trials.jsonl").read_text()
    assert 1 <= len(results(output)) < 4, "the kill came too late to show anything"
    study(output, flags=("--resume",)).assert_ok()
    assert reports(output) == reports(finished)
    assert (output / "trials.jsonl").read_text().startswith(kept)


def test_a_second_study_of_the_directory_is_refused(scripts, study, tiny_config, weights, tmp_path):
    output = tmp_path / "run"
    command = ("study_net.py", "--config-file", tiny_config, "OUTPUT_DIR", output)
    settings = ("MODEL.WEIGHTS", weights, *SETTINGS, "SOLVER.MAX_ITER", 100000)
    first = scripts.start(*command, *settings)
    try:
        first.wait_until(lambda: any(output.rglob("config.yaml")))
        text = study(output, "SOLVER.MAX_ITER", 100000).refusal()
    finally:
        first.kill()
    assert "Another study is running in" in text


def test_a_failed_cell_is_reported_and_trained_again_on_demand(study, copy, finished):
    record = copy / "trials.jsonl"
    *others, last = record.read_text().splitlines(keepends=True)
    failed = json.loads(last) | {"failed": "RuntimeError: no memory"}
    del failed["scores"]
    record.write_text("".join([*others, json.dumps(failed) + "\n"]))
    run = study(copy)
    assert run.status == 1 and "Traceback" not in run.stderr
    assert re.search(rf"failed \(.*--retry-failed.*\):\n{SPEC}, seed 2: \w+Error: ", run.stderr)
    assert table(run.stdout)[2][1] == "1"
    study(copy, flags=("--retry-failed",)).assert_ok()
    assert reports(copy) == reports(finished)


def test_a_file_in_the_way_ends_a_study_at_once_with_its_name(study, tmp_path):
    """A folder where a file should be stands for a full disk and the like."""
    place = tmp_path / "run" / "cross_entropy" / "seed1" / "config.yaml"
    place.mkdir(parents=True)
    assert str(place) in study(tmp_path / "run").refusal()


def test_ray_gives_the_same_study(study, finished, tmp_path):
    pytest.importorskip("ray")
    output = tmp_path / "run"
    node = "SEARCH.EXECUTOR."
    options = (node + "WORKERS", 1, node + "CPUS", 0.01)  # each takes seconds to import Detectron2
    study(output, *options, flags=("--executor", "ray")).assert_ok()
    assert reports(output) == reports(finished)


def test_more_may_be_asked_for_later(study, copy):
    """Borders and tolerances are measured from the checkpoints; nothing is trained again."""
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("model_final.pth")}
    run = study(copy, "STUDY.TOLERANCES", "[1, 5]", "STUDY.BORDERS", True).assert_ok()
    head, *rows = table(run.stdout)
    further = ["BIoU@1", "BF1@1", "BIoU@5", "BF1@5", "border_length", "jaggedness"]
    assert head == ["loss", "seeds", *PAPER_METRICS, *further]
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("model_final.pth")} == before
    for row in rows:  # 5 is TEST.TOLERANCE
        shown = dict(zip(head, row, strict=True))
        assert (shown["BIoU@5"], shown["BF1@5"]) == (shown["BIoU"], shown["BF1"])
        assert shown["BF1@1"] != shown["BF1"]


def test_predictions_are_kept_as_label_maps(finished):
    """Those of the images that were scored: the network's, at full size."""
    found = sorted(finished.rglob("predictions/*.png"))
    assert len(found) == 4 * 2
    maps = [np.asarray(Image.open(path)) for path in found]
    assert {labels.shape for labels in maps} == {(48, 64)} and max(x.max() for x in maps) < 7
    assert len({labels.tobytes() for labels in maps}) > 4, "losses and seeds predict the same"


def test_the_terminal_shows_cells_not_iterations(finished):
    text = (finished / "stdout.txt").read_text() + (finished / "stderr.txt").read_text()
    assert text.count("mIoU ") >= 4  # one line per cell
    assert "Starting training" not in text and "Warning" not in text


def test_a_second_run_keeps_finished_cells(finished, study):
    before = (finished / "trials.jsonl").read_text()
    run = study(finished).assert_ok()
    assert (finished / "trials.jsonl").read_text() == before
    assert table(run.stdout) == table((finished / "stdout.txt").read_text())
    assert table((finished / "summary.md").read_text()) == table(run.stdout)


def test_a_cell_is_what_train_net_makes_of_its_config(finished, scripts, tmp_path):
    config = finished / SPEC / "seed2" / "config.yaml"
    run = scripts.run("train_net.py", "--config-file", config, "OUTPUT_DIR", tmp_path / "run")
    numbers = re.findall(r"copypaste: (.*)", run.assert_ok().stdout)[-1]
    own = scores(finished, SPEC, 2)
    assert numbers.split(",") == [f"{own[name]:.4f}" for name in PAPER_METRICS]
    distinct = {scores(finished, loss, seed)["mIoU"] for loss in LOSSES for seed in (1, 2)}
    assert len(distinct) == 4, "equal scores would prove nothing"


def test_all_cells_start_from_the_same_weights(scripts, study, tiny_config, tmp_path):
    """A warm start of search_net.py, and a rate of zero: losses and seeds make no difference."""
    search = tmp_path / "search"
    scripts.run(
        *("search_net.py", "--config-file", tiny_config, "OUTPUT_DIR", search),
        *("SEARCH.ROUNDS", 1, "SEARCH.PROXY.MAX_ITER", 1, "SEARCH.SELECTION.TOP_K", 0),
    ).assert_ok()
    output = tmp_path / "study"
    # A norm that does not move, either, makes the networks equal to the last bit.
    frozen = ("SOLVER.BASE_LR", 0.0, "MODEL.RESNETS.NORM", "FrozenBN")
    losses = str(["cross_entropy", str(search / "searched_loss.json")])
    options = ("MODEL.WEIGHTS", search / "warm_start.pth", "STUDY.LOSSES", losses, *frozen)
    study(output, *options, "MODEL.SEM_SEG_HEAD.NORM", "FrozenBN").assert_ok()
    names = ("cross_entropy", "shapes-miou-bezier")
    found = [str(scores(output, loss, seed)) for loss in names for seed in (1, 2)]
    assert len(set(found)) == 1


def test_a_training_that_diverges_is_a_row_of_nan(study, tmp_path):
    options = ("SOLVER.BASE_LR", 1e20, "STUDY.SEEDS", "[1]", "STUDY.LOSSES", "['cross_entropy']")
    (_, row) = table(study(tmp_path / "run", *options).assert_ok().stdout)
    assert row == ["cross_entropy", "1", *["nan"] * 6]


def test_a_mistake_is_one_line_and_nothing_is_written(study, tmp_path):
    """Which mistakes: auto_seg_loss/study/test_matrix.py."""
    text = study(tmp_path / "run", "STUDY.LOSSES", "['cross_entropy', 'none.json']").refusal()
    assert "none.json" in text and text.count("\n") == 1
    assert not (tmp_path / "run").exists()
