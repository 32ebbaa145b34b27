"""The command line that compares agents, as a user runs it."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from autoseg_core import SearchSpace
from benchmarks.agents.__main__ import main

TINY = ["--budget", "12", "--samples", "6", "--seeds", "2", "--metric", "mAcc"]


def _table(capsys: pytest.CaptureFixture[str], directory: Path, *arguments: str) -> str:
    main([*TINY, "--output", str(directory), *arguments])
    return capsys.readouterr().out


def test_a_comparison_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agents = "ppo,ppo:baseline=mu,ratio=joint,cma_es:sigma=0.3,random"
    out = _table(
        capsys, tmp_path, "--proxy", "quadratic", "--proxy", "two_peaks", "--agents", agents
    )
    rows = [line.split("|")[1:3] for line in out.splitlines() if line.startswith("| ")][1:]
    labels = ["ppo", "ppo:baseline=mu,ratio=joint", "cma_es:sigma=0.3", "random"]
    expected = [[proxy, label] for proxy in ("quadratic", "two_peaks") for label in labels]
    assert [[cell.strip() for cell in row] for row in rows] == expected
    assert (tmp_path / "table.md").read_text() == out
    figures = {"regret_quadratic.png", "regret_two_peaks.png"}
    assert {path.name for path in tmp_path.iterdir()} == {"table.md", *figures}


def test_the_old_command_still_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["compare.py", "--help"])
    monkeypatch.delitem(sys.modules, "benchmarks.agents.__main__")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("rl.compare", run_name="__main__")
    said = capsys.readouterr()
    assert ended.value.code == 0 and "--journal-noise" in said.out and "deprecated" in said.err


def test_agents_compared_on_a_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"kind": "header", "format": 1, "space": SearchSpace("mAcc").to_dict()}]
    common = {"kind": "candidate", "seed": 0, "status": "ok"}
    for index, theta in enumerate(np.random.default_rng(0).random((40, 6)).tolist()):
        records.append({**common, "id": f"r00c{index}", "theta": theta, "reward": theta[0] / 2})
    path = tmp_path / "journal.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    journal = ("--journal", str(path), "--journal-noise")
    out = _table(capsys, tmp_path / "out", *journal, "--agents", "cma_es, random")
    assert "| replay  | cma_es" in out
    assert "held-out RMSE" in out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--proxy", "quadratic", "--agents", "ppo,pppo"], "pppo"),
        (["--proxy", "quadratic", "--agents", "ppo,random,ppo"], "ppo,random,ppo"),
        (["--proxy", "quadratic", "--agents", "ppo:colour=1"], "ppo:colour=1"),
        (["--proxy", "quadratic", "--agents", "ppo:clip"], "ppo:clip"),
        (["--proxy", "quadratic", "--agents", "ppo:clip=7"], "ppo:clip=7"),
        (["--proxy", "quadratic", "--budget", "13"], "budget of 13"),
        (["--proxy", "cubic"], "cubic"),
        (["--journal", "missing.jsonl"], "missing.jsonl"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agents = [] if "--agents" in arguments else ["--agents", "random"]
    with pytest.raises(SystemExit) as stopped:
        main([*TINY, "--output", str(tmp_path / "out"), *agents, *arguments])
    assert stopped.value.code == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
