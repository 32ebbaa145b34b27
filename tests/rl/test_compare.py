"""The command line that compares agents, as a user runs it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from autoseg_core import METRICS, SearchSpace
from rl.compare import main
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
    assert {path.name for path in tmp_path.iterdir()} == {
        "table.md",
        "regret_quadratic.png",
        "regret_two_peaks.png",
        "tensorboard",
    }
    assert len(list((tmp_path / "tensorboard").iterdir())) == 4


def test_equal_arguments_give_an_equal_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--proxy", "quadratic", "--agents", "ppo,cma_es,random", "--noise", "0.05"]
    first, second = (_table(capsys, tmp_path / name, *arguments) for name in "ab")
    assert first == second
    other = _table(capsys, tmp_path / "c", *arguments[:-1], "0.1")
    assert first != other


def test_the_table_has_tpe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna")
    out = _table(capsys, tmp_path, "--proxy", "quadratic", "--agents", "random,tpe")
    assert "evaluations to random's reward" in out


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
    arguments = ["--journal", str(tmp_path / "journal.jsonl"), "--agents", "cma_es,random"]
    out = _table(capsys, tmp_path / "out", *arguments)
    assert "| replay  | cma_es" in out
    assert "held-out RMSE" in out
    noisy = _table(capsys, tmp_path / "noisy", *arguments, "--journal-noise")
    assert noisy != out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--proxy", "quadratic", "--agents", "ppo,pppo"], "unknown agent 'pppo'"),
        (["--proxy", "quadratic", "--agents", "ppo:colour=1"], "agent ppo:colour=1: .*colour"),
        (["--proxy", "quadratic", "--budget", "5"], "a multiple of 6 samples, got 5"),
        (["--proxy", "quadratic", "--budget", "0"], "a multiple of 6 samples, got 0"),
        (["--proxy", "quadratic", "--budget", "13"], "a multiple of 6 samples, got 13"),
        (
            ["--proxy", "quadratic", "--seeds", "0"],
            "seeds and samples >= 1, got 0 seeds, 6 samples",
        ),
        (["--proxy", "quadratic", "--samples", "1", "--agents", "cma_es"], "needs n >= 4, got 1"),
        (["--proxy", "quadratic", "--samples", "1", "--agents", "ppo"], "PPO .* n >= 2, got 1"),
        (["--proxy", "cubic"], "unknown proxy 'cubic'"),
        (["--proxy", "nowhere_at_all:make"], "No module named 'nowhere_at_all'"),
        (["--proxy", "replay"], "name them with --journal"),
        (["--journal", "missing.jsonl"], "No such file.*missing.jsonl"),
        (["--proxy", "quadratic", "--agents", ","], "names no agent"),
        (["--proxy", "quadratic", "--noise", "-1"], "noise .*-1"),
        (["--proxy", "quadratic", "--pieces", "0"], "pieces"),
        ([], "name a --proxy or a --journal"),
    ],
)
def test_mistakes_are_said_in_words(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agents = [] if "--agents" in arguments else ["--agents", "random"]
    with pytest.raises(SystemExit) as stopped:
        main([*TINY, "--output", str(tmp_path / "out"), *agents, *arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err.split("error:", 1)[1]
    assert re.search(words, " ".join(error.split()))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("raises", "words"),
    [
        ("UnicodeError('7.png is no image')", "7.png is no image"),
        ("OSError(2, 'No such file', '7.png')", "No such file: '7.png'"),
        ("rl.proxy.LostError('no memory')", "no memory"),
    ],
)
def test_an_evaluation_without_a_reward_ends_it(
    raises: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "my_damaged.py").write_text(
        "import rl.proxy\nfrom rl.proxies.quadratic import Quadratic\n"
        "class Damaged(Quadratic):\n"
        "    data_errors = (UnicodeError,)\n"
        "    def evaluate(self, theta, seed, budget=1.0):\n"
        f"        if theta[0] > 0.5: raise {raises}\n"
        "        return super().evaluate(theta, seed, budget)\n"
        "def make(): return Damaged([0.5] * 12)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    tiny = [*TINY[:-2], "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stopped:
        main([*tiny, "--proxy", "my_damaged:make", "--agents", "random"])
    sys.modules.pop("my_damaged", None)
    assert stopped.value.code == 2
    assert "no verdict" in (error := capsys.readouterr().err) and words in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [("--surface", "linear"), ("--pieces", "0")])
def test_a_surface_needs_its_metric(
    option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--proxy", "quadratic", *option])
    assert "of a --metric: name one" in capsys.readouterr().err


def test_a_metric_of_one_s_own_is_imported_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_truthful.py").write_text(
        "from autoseg_core import METRICS, Metric, register_metric\n"
        "register_metric(Metric('MyOwn', METRICS['mIoU'].per_class))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    known = ["--import", "my_truthful", "--metric", "MyOwn", "--proxy", "quadratic"]
    try:
        table = _table(capsys, tmp_path / "out", *known, "--agents", "random")
    finally:
        METRICS.pop("MyOwn", None)
        sys.modules.pop("my_truthful", None)
    assert "quadratic" in table
