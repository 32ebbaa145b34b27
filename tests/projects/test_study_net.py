"""study_net.py as a user runs it: the table, cells kept, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from auto_seg_loss.study.tensorboard import HPARAMS
from autoseg_core import PAPER_METRICS

SPEC = "voc-miou-bezier"
LOSSES = ("cross_entropy", SPEC)
SETTINGS = (
    *("STUDY.LOSSES", str(list(LOSSES)), "STUDY.SEEDS", "[1, 2]"),
    *("STUDY.IMAGES", 2, "SOLVER.MAX_ITER", 30),
)


@pytest.fixture(scope="module")
def finished(as_user, tiny_config, weights, tmp_path_factory) -> Path:
    """The output of a study of two losses and two seeds; what it printed is in stdout.txt."""
    directory = tmp_path_factory.mktemp("study")
    command = ("study_net.py", "--config-file", tiny_config)
    options = ("OUTPUT_DIR", "run", "MODEL.WEIGHTS", weights, *SETTINGS)
    run = as_user(*command, *options, cwd=directory)
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


def scores(output: Path, loss: str, seed: int) -> dict[str, float]:
    path = output / loss / f"seed{seed}" / "results.json"
    found: dict[str, float] = json.loads(path.read_text())["scores"]
    return found


def test_the_table_is_the_mean_and_spread_of_the_cells(finished):
    head, *rows = table((finished / "stdout.txt").read_text())
    assert head == ["loss", "seeds", *PAPER_METRICS]
    assert [row[0] for row in rows] == list(LOSSES)
    for row in rows:
        assert row[1] == "2"
        for name, cell in zip(PAPER_METRICS, row[2:], strict=True):
            values = [scores(finished, row[0], seed)[name] for seed in (1, 2)]
            assert cell == f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def test_a_study_that_is_asked_to_stop_says_how_to_go_on(scripts, tiny_config, weights, tmp_path):
    """The same command does; the cell that is finished is kept."""
    output = tmp_path / "run"
    done = output / "cross_entropy" / "seed1" / "results.json"
    command = ("study_net.py", "--config-file", tiny_config, "OUTPUT_DIR", output)
    settings = ("MODEL.WEIGHTS", weights, *SETTINGS, "SOLVER.MAX_ITER", 200)
    run = scripts.start(*command, *settings).stop_when(done.exists, signal.SIGINT)
    assert run.status == 130, run.stderr
    assert run.interruption() == [str(argument) for argument in (*command, *settings)]
    assert not (output / "summary.md").exists()


def reports(output: Path) -> list[str]:
    return [(output / name).read_text() for name in ("summary.md", "summary.csv", "cells.csv")]


def trained(output: Path) -> dict[Path, int]:
    """When each cell was finished."""
    return {path: path.stat().st_mtime_ns for path in output.rglob("results.json")}


def test_a_killed_study_resumes_to_the_same_summary(
    scripts, study, tiny_config, weights, finished, tmp_path
):
    output = tmp_path / "run"
    done = output / "cross_entropy" / "seed1" / "results.json"
    begun = output / SPEC / "seed1" / "run.json"
    command = ("study_net.py", "--config-file", tiny_config, "OUTPUT_DIR", output)
    run = scripts.start(*command, "MODEL.WEIGHTS", weights, *SETTINGS).stop_when(begun.exists)
    assert run.status == -signal.SIGKILL and done.is_file()
    kept = trained(output)
    assert 1 <= len(kept) < 4, "the kill came too late to show anything"
    study(output, flags=("--resume",)).assert_ok()
    assert reports(output) == reports(finished)
    assert kept.items() <= trained(output).items()


def test_a_second_study_of_the_directory_is_refused(scripts, study, tiny_config, weights, tmp_path):
    output = tmp_path / "run"
    command = ("study_net.py", "--config-file", tiny_config, "OUTPUT_DIR", output)
    settings = ("MODEL.WEIGHTS", weights, *SETTINGS, "SOLVER.MAX_ITER", 100000)
    first = scripts.start(*command, *settings)
    try:
        first.wait_until(lambda: any(output.rglob("run.json")))
        text = study(output, "SOLVER.MAX_ITER", 100000).refusal()
    finally:
        first.kill()
    assert "Another study is running in" in text


def test_a_failed_cell_is_reported_and_trained_again_on_demand(study, copy, finished):
    cell = copy / SPEC / "seed2"
    (cell / "results.json").unlink()
    failure = {"reason": "RuntimeError: no memory", "trace": ""}
    (cell / "failed.json").write_text(json.dumps(failure))
    others = trained(copy)
    run = study(copy)
    assert run.status == 1 and "Traceback" not in run.stderr
    assert re.search(rf"failed \(.*--retry-failed.*\):\n{SPEC}, seed 2: \w+Error: ", run.stderr)
    assert table(run.stdout)[2][1] == "1"
    study(copy, flags=("--retry-failed",)).assert_ok()
    assert reports(copy) == reports(finished)
    assert others.items() <= trained(copy).items()


def test_a_file_in_the_way_ends_a_study_at_once_with_its_name(study, copy, finished):
    """A folder where a file should be stands for a full disk and the like."""
    cell = copy / SPEC / "seed2"
    shutil.rmtree(cell)
    (cell / "metrics.json").mkdir(parents=True)
    assert str(cell / "metrics.json") in study(copy).refusal()
    (cell / "metrics.json").rmdir()
    study(copy).assert_ok()
    assert reports(copy) == reports(finished)


def test_ray_gives_the_same_study(study, finished, tmp_path):
    pytest.importorskip("ray")
    output = tmp_path / "run"
    node = "SEARCH.EXECUTOR."
    options = (node + "WORKERS", 1, node + "CPUS", 0.01)  # each takes seconds to import Detectron2
    study(output, *options, flags=("--executor", "ray")).assert_ok()
    assert reports(output) == reports(finished)


def test_cells_of_the_first_layout_are_accepted(study, copy):
    """Once a cell was its results and its training's files; a checkpoint may have been removed."""
    for cell in (path.parent for path in list(copy.rglob("results.json"))):
        shutil.rmtree(cell / "predictions")
        for name in ("inspection.json", "cell.lock", "model_final.pth"):
            (cell / name).unlink()
    before = trained(copy)
    printed = table((copy / "stdout.txt").read_text())
    assert table(study(copy).assert_ok().stdout) == printed
    assert trained(copy) == before
    assert not list(copy.rglob("inspection.json"))


def test_more_may_be_asked_for_later(study, copy):
    """Borders and tolerances are measured from the checkpoints; nothing is trained again."""
    before = trained(copy)
    run = study(copy, "STUDY.TOLERANCES", "[1, 5]", "STUDY.BORDERS", True).assert_ok()
    head, *rows = table(run.stdout)
    further = ["BIoU@1", "BF1@1", "BIoU@5", "BF1@5", "border_length", "jaggedness"]
    assert head == ["loss", "seeds", *PAPER_METRICS, *further]
    assert trained(copy) == before
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


# --- TensorBoard ---


@pytest.fixture(scope="module")
def board(finished) -> Iterator[Callable[[str], Any]]:
    """``board(route)``: what a TensorBoard server on the study answers, from its JSON."""
    arguments = ["--logdir", str(finished / "tensorboard"), "--port", "0", "--load_fast", "false"]
    command = [sys.executable, "-m", "tensorboard.main", *arguments]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    lines = iter(server.stderr.readline, "")
    url = next(found[0] for line in lines if (found := re.search(r"http://\S+", line)))

    def ask(route: str) -> Any:
        with urllib.request.urlopen(f"{url}data/{route}") as answer:
            return json.loads(answer.read())

    while len(ask("runs")) < 4:  # it loads in the background
        time.sleep(0.1)
    yield ask
    server.kill()
    server.wait()
    server.stderr.close()


RUNS = {f"{loss}/seed{seed}" for loss in LOSSES for seed in (1, 2)}


def test_the_server_has_a_run_for_each_cell_with_the_same_tags(board):
    assert set(board("runs")) == RUNS
    scalars = board("plugin/scalars/tags")
    assert set(scalars) == RUNS
    assert len({tuple(sorted(tags)) for tags in scalars.values()}) == 1
    tags = next(iter(scalars.values()))
    assert {f"scores/{name}" for name in PAPER_METRICS} | {"total_loss"} == set(tags)
    images = board("plugin/images/tags")
    kinds = ("prediction", "truth", "borders")
    expected = {f"{kind}/{number}" for kind in kinds for number in (0, 1)}
    assert {run: set(tags) for run, tags in images.items()} == dict.fromkeys(RUNS, expected)


def test_the_server_has_the_scores_of_the_cells(board, finished):
    run = urllib.parse.quote(f"{SPEC}/seed2", safe="")
    for name in PAPER_METRICS:
        (point,) = board(f"plugin/scalars/scalars?run={run}&tag=scores%2F{name}")
        assert point[1:] == [30, pytest.approx(scores(finished, SPEC, 2)[name], rel=1e-6)]


def test_the_server_compares_every_cell_in_hparams(board, finished):
    def ask(kind: str, **request: Any) -> Any:
        text = urllib.parse.quote(json.dumps({"experimentName": "", **request}))
        return board(f"plugin/hparams/{kind}?request={text}")

    experiment = ask("experiment")
    names = [info["name"] for info in experiment["hparamInfos"]]
    assert sorted(names) == sorted(HPARAMS)
    metrics = {info["name"]["tag"] for info in experiment["metricInfos"]}
    assert metrics == {f"scores/{name}" for name in PAPER_METRICS} | {"total_loss"}
    columns = [{"hparam": name} for name in names]
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    asked = {"startIndex": 0, "sliceSize": 100, "colParams": columns, "allowedStatuses": statuses}
    groups = ask("session_groups", **asked)["sessionGroups"]
    rows = {(group["hparams"]["loss"], group["hparams"]["seed"]): group for group in groups}
    assert set(rows) == {(loss, seed) for loss in LOSSES for seed in (1.0, 2.0)}
    for (loss, seed), group in rows.items():
        assert set(group["hparams"]) == set(HPARAMS)
        assert group["sessions"][0]["status"] == "STATUS_SUCCESS"
        values = {one["name"]["tag"]: one["value"] for one in group["metricValues"]}
        for name, value in scores(finished, loss, int(seed)).items():
            assert values[f"scores/{name}"] == pytest.approx(value, rel=1e-6)


def test_losses_and_seeds_make_a_difference(finished):
    """Else equal scores would prove nothing below."""
    found = {scores(finished, loss, seed)["mIoU"] for loss in LOSSES for seed in (1, 2)}
    assert len(found) == 4


def test_the_table_is_kept_in_a_file(finished):
    written = table((finished / "summary.md").read_text())
    assert written == table((finished / "stdout.txt").read_text())


def test_the_terminal_shows_cells_not_iterations(finished):
    text = (finished / "stdout.txt").read_text() + (finished / "stderr.txt").read_text()
    assert text.count("mIoU ") >= 4  # a line a cell
    assert "Starting training" not in text and "Warning" not in text


def test_a_second_run_keeps_finished_cells(finished, study):
    cells = sorted(finished.rglob("results.json"))
    before = [path.stat().st_mtime_ns for path in cells]
    run = study(finished).assert_ok()
    assert [path.stat().st_mtime_ns for path in cells] == before and len(cells) == 4
    assert table(run.stdout) == table((finished / "stdout.txt").read_text())


def test_a_cell_is_what_train_net_makes_of_its_config(finished, scripts, tmp_path):
    config = finished / SPEC / "seed2" / "config.yaml"
    run = scripts.run("train_net.py", "--config-file", config, "OUTPUT_DIR", tmp_path / "run")
    numbers = re.findall(r"copypaste: (.*)", run.assert_ok().stdout)[-1]
    assert numbers.split(",") == [
        f"{scores(finished, SPEC, 2)[name]:.4f}" for name in PAPER_METRICS
    ]


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


@pytest.mark.parametrize(
    "options, words",
    [
        (("STUDY.LOSSES", "['cross_entropy', 'nothing']"), "'nothing'.*voc-miou-bezier"),
        (("STUDY.LOSSES", "['cross_entropy', 'none.json']"), r"none\.json"),
        (("STUDY.LOSSES", "['auto_seg_loss']"), "LOSS_SPEC|STUDY.LOSSES"),
        (("STUDY.LOSSES", "[]"), r"STUDY\.LOSSES"),
        (("STUDY.LOSSES", "['cross_entropy', 'cross_entropy']"), "different losses"),
        (("STUDY.SEEDS", "[]"), r"STUDY\.SEEDS"),
        (("STUDY.SEEDS", "[1, 1]"), r"STUDY\.SEEDS"),
        (("STUDY.TARGET", "IoU"), "'IoU'.*mIoU"),
        (("MODEL.WEIGHTS", "none.pth"), r"none\.pth"),
    ],
    ids=lambda value: "" if isinstance(value, str) else f"{value[0]}={value[1]}",
)
def test_a_mistake_in_the_options_is_one_line_and_nothing_is_written(
    study, tmp_path, options, words
):
    text = study(tmp_path / "run", *options).refusal()
    assert re.search(words, text), text
    assert text.count("\n") == 1
    assert not (tmp_path / "run").exists()
