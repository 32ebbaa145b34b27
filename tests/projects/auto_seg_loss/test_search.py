"""search.py: a search put together from a config. The script itself: ../test_search_net.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog

from auto_seg_loss.data import SplitError
from auto_seg_loss.search import (
    build_agent,
    build_proxy,
    build_sets,
    build_space,
    check_search,
    found_spec,
    journal_header,
    pin_start,
    search_settings,
)
from autoseg_core import METRICS, LossSpec, SearchSpace
from rl.agents import PPO, RandomSearch
from rl.events import SearchResult
from rl.headers import differences
from rl.journal import Journal, JournalError
from rl.proxy import ProxyResult
from rl.selection import Estimate, Finalist, select

TRAIN, VAL, TEST = (f"shapes_sem_seg_{split}" for split in ("train", "val", "test"))
HOLDOUT = "SEARCH.HOLDOUT."


def names(dicts) -> list[str]:
    return [item["image_id"] for item in dicts]


# --- the space and the agent ---


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("surface", ["bezier", "linear"])
def test_the_space_is_the_one_named(make_cfg, metric, surface):
    space = build_space(make_cfg("SEARCH.METRIC", metric, "SEARCH.SURFACE", surface))
    assert space.names == SearchSpace(metric, surface).names


def test_pieces_and_constraints_are_those_of_the_config(make_cfg):
    options = ("SEARCH.TRUTH_TABLE", False, "SEARCH.MONOTONE", False, "SEARCH.PIECES", 3)
    space = build_space(make_cfg(*options))
    assert space.pieces == 3
    assert (space.constraints.truth_table, space.constraints.monotone) == (False, False)


@pytest.mark.parametrize("agent, kind", [("ppo", PPO), ("random", RandomSearch)])
def test_the_agent_is_the_one_named(make_cfg, agent, kind):
    cfg = make_cfg("SEARCH.AGENT", agent)
    space = build_space(cfg)
    built = build_agent(cfg, space)
    assert type(built) is kind
    np.testing.assert_allclose(built.mean, space.identity(), rtol=1e-6)


@pytest.mark.parametrize(
    "key, value",
    [
        ("SIGMA", 0.1),
        ("SIGMA_FINAL", 0.02),
        ("LR", 0.01),
        ("EPOCHS", 3),
        ("CLIP", 0.05),
        ("BASELINE", "mu"),
        ("RATIO", "joint"),
        ("ADAM", "fresh"),
    ],
)
def test_every_key_of_ppo_reaches_the_agent(make_cfg, key, value):
    """Told the same rewards, an agent with another setting goes another way."""

    def path(*options) -> list[float]:
        cfg = make_cfg("SEARCH.ROUNDS", 3, *options)
        space = build_space(cfg)
        agent = build_agent(cfg, space)
        rewards = np.array([0.9, 0.1, 0.2, 0.4])
        for _ in range(3):
            thetas = agent.ask(4)
            agent.tell(thetas, rewards)
        return [*agent.mean.tolist(), *np.asarray(agent.ask(4)).ravel().tolist()]

    assert path() == path()
    assert path("SEARCH.PPO." + key, value) != path()


@pytest.mark.parametrize(
    "options, words",
    [
        (("SEARCH.METRIC", "IoU"), "'IoU'.*mIoU, FWIoU, mAcc, gAcc, BIoU, BF1"),
        (("SEARCH.SURFACE", "spline"), "'spline'.*bezier, linear"),
        (("SEARCH.AGENT", "sgd"), "'sgd'.*ppo, random"),
        (("SEARCH.PPO.BASELINE", "median"), "baseline.*mean, mu"),
        (("SEARCH.PPO.RATIO", "sum"), "ratio.*coordinate, joint"),
        (("SEARCH.PPO.ADAM", "warm"), "adam.*fresh, persistent"),
        (("SEARCH.PIECES", -1), "pieces"),
        (("SEED", -1), "SEED"),
        (("SEARCH.SAMPLES", 0), "samples must be >= 1, got 0"),
        (("SEARCH.ABSENT", "keep"), r"ignore.*zero"),
        (("SEARCH.HOLDOUT.BLOCK", 100), "use smaller blocks or more images"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_searched_is_refused_with_what_can(shapes, make_cfg, options, words):
    with pytest.raises(ValueError, match=words):
        check_search(make_cfg(*options))


def test_a_sound_config_passes(shapes, make_cfg):
    check_search(make_cfg())


# --- the sets ---


@pytest.mark.parametrize("fraction, held", [(0.25, 2), (0.5, 4)])
def test_search_set_and_hold_out_are_carved_from_train(shapes, make_cfg, fraction, held):
    search, holdout = build_sets(make_cfg(HOLDOUT + "FRACTION", fraction))
    train, test = (names(DatasetCatalog.get(name)) for name in (TRAIN, TEST))
    assert len(holdout) == held
    assert sorted(names(search) + names(holdout)) == sorted(train)
    assert not set(names(search) + names(holdout)) & set(test)


def test_equal_seeds_carve_equally_and_others_otherwise(shapes, make_cfg):
    def held(seed: int) -> list[str]:
        return names(build_sets(make_cfg(HOLDOUT + "SEED", seed))[1])

    assert held(0) == held(0)
    assert len({tuple(held(seed)) for seed in range(5)}) > 1


def test_a_hold_out_may_be_a_set_of_its_own(shapes, make_cfg):
    search, holdout = build_sets(make_cfg(HOLDOUT + "DATASETS", f"('{VAL}',)"))
    assert names(holdout) == names(DatasetCatalog.get(VAL))
    assert names(search) == names(DatasetCatalog.get(TRAIN))


@pytest.mark.parametrize(
    "options, words",
    [
        ((HOLDOUT + "DATASETS", f"('{TEST}',)"), "the hold-out set and the test set share 6 files"),
        ((HOLDOUT + "DATASETS", f"('{TRAIN}',)"), "the search set and the hold-out set share"),
        (("DATASETS.TEST", f"('{TRAIN}',)"), "the hold-out set and the test set share 4 files"),
        (
            (HOLDOUT + "DATASETS", f"('{VAL}',)", "DATASETS.TEST", f"('{TRAIN}',)"),
            "the search set and the test set share 16 files",
        ),
    ],
)
def test_sets_that_meet_are_refused(shapes, make_cfg, options, words):
    with pytest.raises(SplitError, match=words):
        build_sets(make_cfg(*options))


def test_a_link_to_a_test_image_is_seen_through(shapes, make_cfg, tmp_path, monkeypatch):
    image = DatasetCatalog.get(TEST)[0]
    disguise = tmp_path / "harmless.jpg"
    disguise.symlink_to(image["file_name"])
    records = [{"file_name": str(disguise), "sem_seg_file_name": image["sem_seg_file_name"]}]
    DatasetCatalog.register("disguised", lambda: records)
    try:
        with pytest.raises(SplitError, match="share 2 files"):
            build_sets(make_cfg(HOLDOUT + "DATASETS", "('disguised',)"))
    finally:
        DatasetCatalog.remove("disguised")


# --- the journal's header ---


@pytest.fixture
def header(shapes, make_cfg):
    def make(*options):
        cfg = make_cfg(*options)
        return journal_header(cfg, build_space(cfg), search_settings(cfg), build_sets(cfg))

    return make


@pytest.mark.parametrize(
    "key, value",
    [
        ("OUTPUT_DIR", "elsewhere"),
        ("STUDY.SEEDS", [9]),
        ("TEST.EVAL_PERIOD", 7),
        ("VIS_PERIOD", 7),
    ],
)
def test_settings_without_effect_may_change(header, key, value):
    assert differences(header(), header(key, value)) == []


@pytest.mark.parametrize(
    "key, value",
    [
        ("SEARCH.METRIC", "mAcc"),
        ("SEARCH.PROXY.MAX_ITER", 9),
        ("SEARCH.PPO.SIGMA", 0.1),
        ("SOLVER.BASE_LR", 0.123),
        ("TEST.PROTOCOL", "paper"),
        ("TEST.TOLERANCE", 3),
        ("TEST.DROP_BACKGROUND", True),
        ("MODEL.WEIGHTS", "some.pth"),
        ("SEED", 5),
        ("SEARCH.HOLDOUT.SEED", 3),
    ],
)
def test_settings_with_an_effect_are_pinned(header, key, value):
    rows = differences(header(), header(key, value))
    assert any(row.startswith(f"config.{key}:") for row in rows)


def test_the_header_is_plain_json_and_names_the_held_out_images(header, make_cfg):
    written = json.loads(json.dumps(header()))
    assert written["settings"] == {"rounds": 2, "samples": 2, "seed": 1, "top_k": 1, "reseeds": 1}
    held = [f"{name}.jpg" for name in names(build_sets(make_cfg())[1])]
    assert written["split"]["holdout_names"] == held


# --- what comes out ---


def result_at(theta: np.ndarray) -> SearchResult:
    selection = select([Finalist("identity", theta)], [[ProxyResult(0.625)]])
    assert isinstance(selection.winner, Estimate)
    return SearchResult(theta, 0.625, theta, selection, 1, 0)


@pytest.mark.parametrize("metric, pieces", [("mIoU", 0), ("BF1", 3)])
def test_the_found_spec_says_where_it_comes_from(shapes, make_cfg, metric, pieces):
    options = ("SEARCH.METRIC", metric, "SEARCH.PIECES", pieces, "SEARCH.WARM_START.MAX_ITER", 0)
    cfg = make_cfg(*options, "SEARCH.PROXY.MAX_ITER", 17)
    space = build_space(cfg)
    theta = np.random.default_rng(0).random(space.dim)
    spec = found_spec(cfg, result_at(theta))
    assert spec.name == f"shapes-{metric.lower()}-bezier"
    assert LossSpec.from_json(spec.to_json()) == spec
    found = [np.array(curve) for curve in spec.terms[0].control_points]
    np.testing.assert_array_equal(np.stack(found), space.control_points(theta))
    origin = spec.provenance
    assert (origin.dataset, origin.seed, origin.reward) == (TRAIN, 1, 0.625)
    assert (origin.batch, origin.iterations, origin.lr) == (4, 17, cfg.SOLVER.BASE_LR)
    assert "AnyLossDeepLabV3PlusHead" in origin.network


def test_a_name_can_be_given(shapes, make_cfg):
    cfg = make_cfg("SEARCH.NAME", "my-loss", "SEARCH.WARM_START.MAX_ITER", 0)
    assert found_spec(cfg, result_at(build_space(cfg).identity())).name == "my-loss"


def test_the_proxy_starts_from_cross_entropy_whatever_the_config_names(shapes, make_cfg):
    head = "MODEL.SEM_SEG_HEAD."
    cfg = make_cfg(head + "LOSS_TYPE", "auto_seg_loss", head + "LOSS_SPEC", "voc-miou-bezier")
    proxy = build_proxy(cfg, build_space(cfg), *build_sets(cfg))
    assert proxy.cfg.MODEL.SEM_SEG_HEAD.LOSS_TYPE == "cross_entropy"
    assert not any(".loss." in key for key in proxy.start)


def test_the_proxy_trains_as_long_as_the_search_says(shapes, make_cfg):
    cfg = make_cfg("SEARCH.PROXY.MAX_ITER", 17)
    assert build_proxy(cfg, build_space(cfg), *build_sets(cfg)).cfg.SOLVER.MAX_ITER == 17


# --- the start of the proxies ---


def pinned(path, value: float) -> Journal:
    """A journal that was written with weights of this value."""
    journal = Journal.create(path, {}) if not path.exists() else Journal.resume(path, {})
    with journal:
        pin_start(journal, {"weight": torch.full((3,), value)})
    return journal


def test_a_journal_is_tied_to_the_weights_proxies_start_from(tmp_path):
    path = tmp_path / "journal.jsonl"
    pinned(path, 1.0)
    written = path.read_bytes()
    pinned(path, 1.0)
    assert path.read_bytes() == written
    with pytest.raises(JournalError, match="another warm start"):
        pinned(path, 2.0)


def test_another_machine_is_warned_of(tmp_path, monkeypatch, caplog):
    path = tmp_path / "journal.jsonl"
    pinned(path, 1.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    pinned(path, 1.0)
    assert "'threads': 99" in caplog.text and "may differ" in caplog.text
