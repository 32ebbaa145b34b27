"""TensorBoard events, read back with TensorBoard's own readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.get_experiment import Handler as GetExperiment
from tensorboard.plugins.hparams.list_session_groups import Handler as ListSessionGroups

from autoseg_core import SearchSpace
from rl.agents import PPO
from rl.events import SearchSettings
from rl.executors import SerialExecutor
from rl.journal import Journal, read_journal
from rl.proxies import Quadratic
from rl.search import run_search
from rl.tensorboard import TensorBoard

SETTINGS = SearchSettings(rounds=2, samples=3, top_k=1, reseeds=2)
SPACE = SearchSpace("mAcc")
SCORES = ("reward", "rmse")
NAMES = [f"r{round_:02d}c{i:02d}" for round_ in range(2) for i in range(3)]


def _search(home: Path) -> list[dict[str, Any]]:
    """A search with its events in home/events; returns its journal."""
    identity = SPACE.identity()
    proxy = Quadratic(np.full(SPACE.dim, 0.6), noise=0.01)
    with Journal.resume(home / "journal.jsonl", {}) as journal:
        callbacks = [TensorBoard(home / "events", SPACE, SCORES)]
        agent = PPO(identity, seed=0)
        run_search(agent, SerialExecutor(proxy), journal, SETTINGS, callbacks, identity=identity)
    return read_journal(home / "journal.jsonl")


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


# --- the search's own run ---


def test_tags_and_values(tmp_path: Path) -> None:
    records = _search(tmp_path)
    events = _read(tmp_path / "events")
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


# --- a run for each candidate ---


def _hparams(events: Path) -> tuple[Any, list[Any]]:
    """What the HPARAMS tab gets for this LOGDIR: the experiment and its session groups."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(events))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(events))
    backend = Context(base_plugin.TBContext(data_provider=provider))
    request = context.RequestContext()
    experiment = GetExperiment(
        request, backend, "", api_pb2.GetExperimentRequest(include_metrics=True)
    ).run()
    columns = [api_pb2.ColParams(hparam=one.name) for one in experiment.hparam_infos]
    columns += [api_pb2.ColParams(metric=one.name) for one in experiment.metric_infos]
    asked = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=1000,
        col_params=columns,
        include_metrics=True,
        allowed_statuses=[
            api_pb2.STATUS_UNKNOWN,
            api_pb2.STATUS_SUCCESS,
            api_pb2.STATUS_FAILURE,
            api_pb2.STATUS_RUNNING,
        ],
    )
    groups = ListSessionGroups(request, backend, "", asked).run()
    return experiment, list(groups.session_groups)


def _values(group: Any) -> tuple[dict[str, float], dict[str, float]]:
    hparams = {name: value.number_value for name, value in group.hparams.items()}
    return hparams, {one.name.tag: one.value for one in group.metric_values}


HPARAMS = {*(f"theta/{name}" for name in SPACE.names), "round"}
ROW = {"reward", "scores/reward", "scores/rmse"}


def test_every_candidate_is_a_row_with_all_keys(tmp_path: Path) -> None:
    records = _search(tmp_path)
    experiment, groups = _hparams(tmp_path / "events")
    assert {one.name for one in experiment.hparam_infos} == HPARAMS
    assert {one.name.tag for one in experiment.metric_infos} == ROW
    assert len(groups) == len(NAMES)
    runs = {path.parent.name for path in (tmp_path / "events").rglob("events.out.tfevents.*")}
    assert runs == {"events", *NAMES}
    rows = {group.sessions[0].name: _values(group) for group in groups}
    candidates = {r["id"]: r for r in records if r["kind"] == "candidate"}
    for name in NAMES:
        hparams, metrics = rows[f"candidates/{name}"]
        expected = dict(zip(SPACE.names, candidates[name]["theta"], strict=True))
        assert hparams == {
            **{f"theta/{key}": value for key, value in expected.items()},
            "round": NAMES.index(name) // 3,
        }
        scores = {f"scores/{key}": value for key, value in candidates[name]["scores"].items()}
        assert metrics == pytest.approx({"reward": candidates[name]["reward"], **scores}, rel=1e-6)


# --- again and again ---


def test_resuming_duplicates_nothing(tmp_path: Path) -> None:
    _search(tmp_path)
    first, path = _everything(tmp_path), tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    _search(tmp_path)
    assert _everything(tmp_path) == first
