"""study_net.py as a user runs it: the table, cells kept, and what it refuses."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from autoseg_core import SIX

SPEC = "voc-miou-bezier"
LOSSES = ("cross_entropy", SPEC)
SETTINGS = ("STUDY.LOSSES", str(list(LOSSES)), "STUDY.SEEDS", "[1, 2]", "SOLVER.MAX_ITER", 30)


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

    def run(output: Path, *options):
        command = ("study_net.py", "--config-file", tiny_config, "OUTPUT_DIR", output)
        return scripts.run(*command, "MODEL.WEIGHTS", weights, *SETTINGS, *options)

    return run


def table(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if re.match(r"\| *\w", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def scores(output: Path, loss: str, seed: int) -> dict[str, float]:
    path = output / loss / f"seed{seed}" / "results.json"
    found: dict[str, float] = json.loads(path.read_text())["scores"]
    return found


def test_the_table_is_the_mean_and_spread_of_the_cells(finished):
    head, *rows = table((finished / "stdout.txt").read_text())
    assert head == ["loss", "seeds", *SIX]
    assert [row[0] for row in rows] == list(LOSSES)
    for row in rows:
        assert row[1] == "2"
        for name, cell in zip(SIX, row[2:], strict=True):
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
    record = json.loads((finished / SPEC / "seed2" / "run.json").read_text())
    config = tmp_path / "cell.yaml"
    config.write_text(json.dumps(record["config"]))  # JSON is YAML
    run = scripts.run("train_net.py", "--config-file", config, "OUTPUT_DIR", tmp_path / "run")
    numbers = re.findall(r"copypaste: (.*)", run.assert_ok().stdout)[-1]
    assert numbers.split(",") == [f"{scores(finished, SPEC, 2)[name]:.4f}" for name in SIX]


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
        (("STUDY.LOSSES", "['cross_entropy', 'dice']"), "'dice'.*voc-miou-bezier"),
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
