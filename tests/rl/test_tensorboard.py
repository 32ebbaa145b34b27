"""TensorBoard events, read back with TensorBoard's own readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_searches import Breaking, cut, small_search
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from autoseg_core import SearchSpace
from rl.agents import PPO
from rl.events import SearchSettings
from rl.journal import read_journal
from rl.tensorboard import TensorBoard

SETTINGS = SearchSettings(rounds=2, samples=3, top_k=1, reseeds=2)
SPACE = SearchSpace("mAcc")
NAMES = [f"r{round_:02d}c{i:02d}" for round_ in range(2) for i in range(3)]


def _search(home: Path, *errors: Exception) -> None:
    """A search with its events in home/events; its first evaluations raise these."""
    task, agent = Breaking(np.full(SPACE.dim, 0.6), noise=0.01), PPO(SPACE.identity(), seed=0)
    task.errors = errors
    callbacks = [TensorBoard(home / "events", SPACE, ("reward", "rmse"))]
    small_search(home / "journal.jsonl", task, agent, callbacks, SETTINGS, max_lost=1.0)


def _read(run: Path) -> EventAccumulator:
    (file,) = run.glob("events.out.tfevents.*")
    events = EventAccumulator(str(file), size_guidance={"histograms": 0, "images": 0})
    events.Reload()
    return events


def _scalars(events: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    tags = events.Tags()["scalars"]
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in tags}


def _everything(home: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Scalars of all runs, by the run's name."""
    runs = {path.parent for path in (home / "events").rglob("events.out.tfevents.*")}
    return {str(run.relative_to(home)): _scalars(_read(run)) for run in sorted(runs)}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("searched")
    _search(home)
    return home


def test_a_round_that_is_lost_as_a_whole_is_a_gap(tmp_path: Path) -> None:
    _search(tmp_path, *[RuntimeError("no worker")] * SETTINGS.samples)
    steps = [step for step, _ in _scalars(_read(tmp_path / "events"))["search/reward"]]
    assert steps == [3, 4, 5]


def test_tags_and_values(searched: Path) -> None:
    records, events = read_journal(searched / "journal.jsonl"), _read(searched / "events")
    scalars = _scalars(events)
    policy = [f"policy_{kind}/{name}" for kind in ("mean", "spread") for name in SPACE.names]
    search = ["search/reward", "search/best", "search/failed", "search/lost", "search/round_mean"]
    scores = ["scores/reward", "scores/rmse", "selection/reward"]
    assert sorted(scalars) == sorted([*policy, *search, *scores])
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


def test_every_candidate_is_a_row_with_all_keys(searched: Path) -> None:
    """With keys that differ, the HPARAMS tab hides columns."""
    candidates = {r["id"]: r for r in read_journal(searched / "journal.jsonl") if "id" in r}
    runs = {path.name: path for path in (searched / "events" / "candidates").iterdir()}
    assert sorted(runs) == NAMES
    for name, run in runs.items():
        events, one = _read(run), candidates[name]
        content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        row = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
        theta = {f"theta/{key}": x for key, x in zip(SPACE.names, one["theta"], strict=True)}
        expected = {**theta, "round": NAMES.index(name) // 3}
        assert {key: value.number_value for key, value in row.items()} == expected
        scores = {f"scores/{key}": value for key, value in one["scores"].items()}
        values = {tag: points[0][1] for tag, points in _scalars(events).items()}
        assert values == pytest.approx({"reward": one["reward"], **scores}, rel=1e-6)


def test_resuming_duplicates_nothing(searched: Path) -> None:
    first, path = _everything(searched), searched / "journal.jsonl"
    cut(path, 3)
    _search(searched)
    assert _everything(searched) == first
