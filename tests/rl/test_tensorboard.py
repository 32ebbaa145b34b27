"""TensorBoard events, read back with TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from autoseg_core.surfaces.space import SearchSpace
from rl.agents import PPO
from rl.executors import SerialExecutor
from rl.journal import Journal, read_journal
from rl.proxies import Quadratic
from rl.search import SearchSettings, run_search
from rl.tensorboard import TensorBoard

SETTINGS = SearchSettings(rounds=2, samples=3, top_k=1, reseeds=2)
SPACE = SearchSpace("mAcc")


def _run(home: Path) -> EventAccumulator:
    identity = SPACE.identity()
    task = Quadratic(np.full(SPACE.dim, 0.6), noise=0.01)
    with Journal.resume(home / "journal.jsonl", {}) as journal:
        callbacks = [TensorBoard(home / "events", SPACE)]
        agent = PPO(identity, seed=0)
        run_search(agent, SerialExecutor(task), journal, SETTINGS, callbacks, identity=identity)
    (file,) = (home / "events").glob("events.out.tfevents.*")
    events = EventAccumulator(str(file))
    events.Reload()
    return events


def _scalars(events: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    tags = events.Tags()["scalars"]
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in tags}


def test_tags_and_values(tmp_path: Path) -> None:
    events = _run(tmp_path)
    scalars = _scalars(events)
    policy = [f"policy_{kind}/{name}" for kind in ("mean", "spread") for name in SPACE.names]
    search = ["search/reward", "search/best", "search/failed", "search/round_mean"]
    scores = ["scores/reward", "scores/rmse", "selection/reward"]
    assert sorted(scalars) == sorted([*policy, *search, *scores])
    records = read_journal(tmp_path / "journal.jsonl")
    rewards = [r["reward"] for r in records if r["kind"] == "candidate" and r["id"][0] == "r"]
    steps, values = zip(*scalars["search/reward"], strict=True)
    assert steps == tuple(range(6))
    np.testing.assert_allclose(values, rewards, rtol=1e-6)
    means = [r["mean"][0] for r in records if r["kind"] == "round"]
    steps, values = zip(*scalars[policy[0]], strict=True)
    assert steps == (0, 1, 2)
    np.testing.assert_allclose(values, [SPACE.identity()[0], *means], rtol=1e-6)
    assert [image.step for image in events.Images("curves")] == [0, 1, 2]
    assert "report/text_summary" in events.Tags()["tensors"]


@pytest.mark.parametrize("lines", [3, 7, 100])
def test_resuming_duplicates_nothing(tmp_path: Path, lines: int) -> None:
    first, path = _scalars(_run(tmp_path)), tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))
    assert _scalars(_run(tmp_path)) == first


def test_other_files_of_the_directory_stay(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "notes.txt").write_text("mine")
    _run(tmp_path)
    assert (tmp_path / "events" / "notes.txt").read_text() == "mine"
