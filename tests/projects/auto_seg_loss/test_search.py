"""search.py: a search put together from a config. The script itself: ../test_search_net.py."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from PIL import Image

from auto_seg_loss.runtime.scripts import explain_user_errors
from auto_seg_loss.search import (
    check_search,
    found_spec,
    journal_header,
    open_journal,
    pin_start,
    search,
)
from auto_seg_loss.search_setup import build_space, network_name
from autoseg_core import LossSpec
from rl.agents import agent_class
from rl.estimates import Finalist
from rl.events import SearchResult
from rl.journal import Journal, JournalError, read_journal
from rl.proxy import ProxyResult
from rl.selection import race
from rl.settings_diff import differences

TRAIN, VAL, TEST = (f"shapes_sem_seg_{split}" for split in ("train", "val", "test"))


def test_a_damaged_label_stops_a_search_at_once_with_its_name(
    own_shapes, make_cfg, tmp_path, capsys
):
    """Every candidate would meet it; a search of failures ended with the identity as its winner."""
    cfg = make_cfg(
        *("DATALOADER.NUM_WORKERS", 1, "SEARCH.WARM_START.MAX_ITER", 0),
        *("SOLVER.IMS_PER_BATCH", 8, "SEARCH.PROXY.MAX_ITER", 2),
    )
    (tmp_path / "output").mkdir(exist_ok=True)
    with open_journal(cfg, resume=False) as journal:
        path = max((own_shapes / "SegmentationClass").glob("train_*.png"))
        Image.new("L", (64, 48), 99).save(path)
        with pytest.raises(SystemExit) as stopped, explain_user_errors():
            search(cfg, journal)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert str(path) in error and "99" in error and "Traceback" not in error
    assert [r["kind"] for r in read_journal(journal.path)] == ["header", "start"]
    assert not (tmp_path / "output" / "searched_loss.json").exists()


@pytest.mark.parametrize(
    "agent, node", [("ppo", "PPO"), ("cma_es", "CMA_ES"), ("tpe", "TPE"), ("gp", "GP")]
)
def test_an_agents_node_has_its_options_with_its_defaults(make_cfg, agent, node):
    """SIGMA_FINAL is None by default in rl, which a config cannot say: the same sigma is."""
    if agent in ("gp", "tpe"):
        pytest.importorskip("optuna")
    parameters = dict(inspect.signature(agent_class(agent)).parameters)
    for name in ("identity", "seed", "rounds"):
        del parameters[name]
    options = {key.lower(): value for key, value in make_cfg().SEARCH[node].items()}
    expected = {name: one.default for name, one in parameters.items()}
    if agent == "ppo":
        assert options.pop("sigma_final") == options["sigma"]
        assert expected.pop("sigma_final") is None
    assert options == expected


@pytest.mark.parametrize(
    "options, words",
    [
        (("SEARCH.SURFACE", "spline"), "'spline'.*bezier, linear"),
        (("SEARCH.AGENT", "sgd"), "'sgd'.*ppo, random"),
        (("SEED", -1), "SEED"),
        (("SEARCH.HOLDOUT.BLOCK", 100), "use smaller blocks or more images"),
        (("SEARCH.AGENT", "cma_es", "SEARCH.SAMPLES", 1), "SEARCH.SAMPLES: .*4 samples"),
        (("SEARCH.AGENT", "cma_es", "SEARCH.CMA_ES.SIGMA", 0.0), "sigma > 0, got 0"),
        (("SEARCH.EXECUTOR.NAME", "slurm"), "'slurm'.*serial, processes, ray"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_searched_is_refused_with_what_can(shapes, make_cfg, options, words):
    with pytest.raises(ValueError, match=words):
        check_search(make_cfg(*options))


@pytest.mark.parametrize(
    ("key", "value", "pinned"),
    [
        ("OUTPUT_DIR", "elsewhere", False),
        ("VIS_PERIOD", 7, False),
        ("SEARCH.EXECUTOR.NAME", "ray", False),
        ("SEARCH.TPE.STARTUP", 1, False),
        ("SEARCH.PPO.SIGMA", 0.1, True),
        ("TEST.PROTOCOL", "paper", True),
        ("MODEL.WEIGHTS", "some.pth", True),
        ("SEARCH.EXECUTOR.MAX_RETRIES", 0, True),
    ],
)
def test_a_journal_pins_the_settings_with_an_effect(shapes, make_cfg, key, value, pinned):
    rows = differences(journal_header(make_cfg()), journal_header(make_cfg(key, value)))
    assert [row.partition(":")[0] for row in rows] == [f"config.{key}"] * pinned


def result_at(theta: np.ndarray) -> SearchResult:
    finalists = [Finalist("identity", np.zeros_like(theta)), Finalist("mean", theta)]
    rewards = [0.5, 0.625]
    selection = race(finalists, 2, lambda seed, left: [ProxyResult(rewards[i]) for i in left])
    return SearchResult(theta, selection.winner.mean, theta, selection, 4, 0, 0)


def test_the_found_spec_says_where_it_comes_from(shapes, make_cfg):
    options = ("SEARCH.METRIC", "BF1", "SEARCH.PIECES", 3, "SEARCH.WARM_START.MAX_ITER", 0)
    cfg = make_cfg(*options, "SEARCH.PROXY.MAX_ITER", 17)
    space = build_space(cfg)
    theta = np.random.default_rng(0).random(space.dim)
    spec = found_spec(cfg, result_at(theta), ())
    assert spec.name == "shapes-bf1-bezier"
    assert LossSpec.from_json(spec.to_json()) == spec
    found = [np.array(curve) for curve in spec.terms[0].control_points]
    np.testing.assert_array_equal(np.stack(found), space.control_points(theta))
    origin = spec.provenance
    assert (origin.dataset, origin.seed, origin.reward) == (TRAIN, 1, 0.625)
    assert (origin.batch, origin.iterations, origin.lr) == (4, 17, cfg.SOLVER.BASE_LR)
    assert origin.network == "AnyLossDeepLabV3PlusHead on build_small_resnet_backbone"
    timm = ("MODEL.BACKBONE.NAME", "build_timm_backbone", "MODEL.TIMM.NAME", "resnet18")
    cfg = make_cfg("MODEL.META_ARCHITECTURE", "FrozenFeatures", *timm)
    assert network_name(cfg) == "AnyLossDeepLabV3PlusHead on frozen features of resnet18"


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
