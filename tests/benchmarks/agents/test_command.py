"""The command line that compares agents, as a user runs it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from autoseg_core import SearchSpace
from benchmarks.agents.__main__ import main
from rl.journal import Journal
from rl.proxies import Quadratic

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


def _journal(path: Path) -> None:
    space = SearchSpace("mAcc")
    task = Quadratic(np.full(space.dim, 0.6), noise=0.01)
    thetas = np.random.default_rng(0).random((40, space.dim))
    with Journal.create(path, {"space": space.to_dict()}) as journal:
        for index, theta in enumerate(thetas):
            reward = task.evaluate(theta, 0).reward
            journal.append(
                {
                    "kind": "candidate",
                    "id": f"r00c{index:02d}",
                    "seed": 0,
                    "theta": theta,
                    "status": "ok",
                    "reward": reward,
                    "scores": {"mAcc": reward},
                    "reason": "",
                }
            )


def test_agents_compared_on_a_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _journal(tmp_path / "journal.jsonl")
    journal = ("--journal", str(tmp_path / "journal.jsonl"), "--journal-noise")
    out = _table(capsys, tmp_path / "out", *journal, "--agents", "cma_es,random")
    assert "| replay  | cma_es" in out
    assert "held-out RMSE" in out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--proxy", "quadratic", "--agents", "ppo,pppo"], "pppo"),
        (["--proxy", "quadratic", "--agents", "ppo:colour=1"], "ppo:colour=1"),
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
