"""search_net.py as a user runs it: a tiny search, killed and resumed, and what it refuses."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from autoseg_core import PAPER_METRICS, SearchSpace, load_spec
from rl.journal import read_journal

PROJECT = Path(__file__).parents[2] / "projects" / "AutoSegLoss"
# A journal: header, start; rounds of two candidates and a round record; finalists; result
BEFORE, ROUNDS, SAMPLES = 2, 2, 2


@pytest.fixture(scope="module")
def finished(shapes_root, tiny_config, tmp_path_factory) -> Path:
    """The output of an uninterrupted search, in an interpreter that has imported nothing before."""
    directory = tmp_path_factory.mktemp("search")
    command = [sys.executable, PROJECT / "search_net.py", "--config-file", tiny_config]
    environment = {"OMP_NUM_THREADS": "1", "DETECTRON2_DATASETS": str(shapes_root)}
    settings = {"cwd": directory, "env": {**os.environ, **environment}}
    subprocess.run([*command, "OUTPUT_DIR", "run"], **settings, check=True)
    return directory / "run"


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """The same, to go on with."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def command(tiny_config):
    """``command(OUTPUT_DIR, argument, ..., options=...)``: arguments for ``scripts``."""

    def build(output: Path, *arguments, options=()):
        tiny = ("search_net.py", "--config-file", tiny_config)
        return (*tiny, *arguments, "OUTPUT_DIR", output, *options)

    return build


def files(output: Path) -> dict[str, bytes]:
    """Path to content of all files below a directory."""
    paths = [path for path in output.rglob("*") if path.is_file()]
    return {str(path.relative_to(output)): path.read_bytes() for path in paths}


def lines(output: Path) -> int:
    """Whole lines of the journal."""
    journal = output / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def of_kind(output: Path, kind: str) -> list[dict]:
    return [record for record in read_journal(output / "journal.jsonl") if record["kind"] == kind]


def test_it_writes_everything_it_promises_and_the_winner_of_the_journal(finished):
    names = {path.name for path in finished.iterdir()}
    results = {"searched_loss.json", "journal.jsonl", "split.json", "curves.png", "tensorboard"}
    assert names >= {*results, "warm_start.pth", "config.yaml", "log.txt"}
    assert not [name for name in names if name.endswith(".partial")]
    with Image.open(finished / "curves.png") as picture:
        assert min(picture.size) > 100
    (result,) = of_kind(finished, "result")
    spec = load_spec(finished / "searched_loss.json")
    points = [p.tolist() for p in SearchSpace("mIoU").control_points(result["theta"])]
    assert [list(map(list, curve)) for curve in spec.terms[0].control_points] == points
    assert spec.provenance.reward == result["reward"]


def test_the_journal_holds_every_candidate(finished):
    header, *_ = read_journal(finished / "journal.jsonl")
    assert header["settings"]["rounds"] == 2 and header["config"]["SEARCH"]["METRIC"] == "mIoU"
    records = of_kind(finished, "candidate")
    search = [record for record in records if record["id"].startswith("r")]
    assert [record["id"] for record in search] == ["r00c00", "r00c01", "r01c00", "r01c01"]
    assert len({record["seed"] for record in search}) == ROUNDS
    for record in records:
        assert record["status"] == "ok" and record["reward"] == record["scores"]["mIoU"]
        assert set(record["scores"]) == set(PAPER_METRICS)
    finalists = [record for record in records if record["id"].startswith("s")]
    assert {record["seed"] for record in finalists}.isdisjoint(r["seed"] for r in search)


def test_a_search_killed_anywhere_ends_as_if_it_had_not_been(scripts, command, finished, tmp_path):
    """One campaign of kills and a Ctrl-C in one directory; each call goes on to the next moment."""
    output = tmp_path / "run"
    warm_start = output / "warm_start.pth"
    result = output / "searched_loss.json"

    def kill(when, *arguments) -> None:
        run = scripts.start(*command(output, *arguments))
        run.stop_when(when)
        assert run.status == -9, f"the search was over before it could be killed\n{run.stderr}"

    kill(lambda: lines(output) == 1)
    assert not warm_start.exists(), "this kill was to strike before or in the warm start"
    run = scripts.start(*command(output, "--resume"))
    run.stop_when(lambda: lines(output) > BEFORE, signal.SIGINT)  # between candidates
    assert run.status == 130, run.stderr
    arguments = run.interruption()
    assert arguments[0] == "search_net.py" and arguments.count("--resume") == 1
    first_final = BEFORE + ROUNDS * (SAMPLES + 1) + 1
    kill(lambda: lines(output) >= first_final, "--resume")  # in the selection
    assert not of_kind(output, "result") and not result.exists()
    scripts.run(*command(output, "--resume")).assert_ok()
    for name in ("searched_loss.json", "journal.jsonl", "split.json"):
        assert (output / name).read_bytes() == (finished / name).read_bytes(), name


def test_processes_go_on_with_a_serial_search_and_write_the_same(scripts, command, finished, copy):
    """Two of them, from the first candidate to the end."""
    journal = copy / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[: BEFORE + 1]))
    (copy / "searched_loss.json").unlink()
    options = ("SEARCH.EXECUTOR.NAME", "processes", "SEARCH.EXECUTOR.WORKERS", 2)
    scripts.run(*command(copy, "--resume", options=options)).assert_ok()
    for name in ("searched_loss.json", "journal.jsonl"):
        assert (copy / name).read_bytes() == (finished / name).read_bytes(), name


def test_resume_with_another_config_lists_what_differs_and_changes_nothing(scripts, command, copy):
    before = files(copy)
    options = ("SOLVER.BASE_LR", 0.123, "SEARCH.HOLDOUT.SEED", 4, "SEARCH.ROUNDS", 3)
    text = scripts.run(*command(copy, "--resume", options=options)).refusal()
    rows = {row.split(":")[0].strip() for row in text.splitlines() if row[:2] == "  "}
    assert rows == {
        "config.SOLVER.BASE_LR",
        "config.SEARCH.HOLDOUT.SEED",
        "config.SEARCH.ROUNDS",
        "settings.rounds",
        "split.holdout_digest",
        "split.holdout_names",
        "split.search_digest",
    }
    assert re.search(r"config\.SOLVER\.BASE_LR: [\d.]+ -> 0\.123$", text, re.MULTILINE)
    assert files(copy) == before
