"""losses.py: which losses are known, and which of a journal are taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auto_seg_loss.proxy import build_proxy
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search import pinned_config
from auto_seg_loss.search_setup import build_sets, build_space, candidate_spec
from auto_seg_loss.study.losses import (
    canonical_loss,
    canonical_metric,
    pick_candidates,
    save_candidates,
    soft_file,
)
from autoseg_core import SearchSpace, load_spec
from rl.journal import Journal, JournalError

SPACE = SearchSpace("mAcc")
CONFIG = {"SEARCH": {"ABSENT": "zero", "TOLERANCE": 3}, "TEST": {"DROP_BACKGROUND": False}}


def thetas(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(count, SPACE.dim))


@pytest.fixture
def journal(tmp_path) -> Path:
    """Eleven candidates with rewards 0, 0.1 … 1 in disorder, and what is to be left out."""
    path = tmp_path / "journal.jsonl"
    header = {"config": CONFIG, "space": SPACE.to_dict()}
    with Journal.create(path, header) as book:
        for i, theta in enumerate(thetas(11)):
            record = {"id": f"r00c{i:02d}", "theta": theta, "reward": (i * 7 % 11) / 10}
            book.append({"kind": "candidate", "status": "ok", **record})
        extra = {"theta": thetas(1)[0], "reward": 1.0}
        book.append({"kind": "candidate", "status": "failed", "id": "r01c00", **extra})
        book.append({"kind": "candidate", "status": "ok", "id": "r01c01", **extra})  # met before
        book.append({"kind": "candidate", "status": "ok", "id": "s00c00m0", **extra})
        book.append({"kind": "rung", "status": "ok", "id": "r01c02", "budget": 0.5, **extra})
    return path


def test_they_are_spread_over_the_ranks_of_the_rewards(journal):
    found = pick_candidates(journal, 6, journal.parent)
    assert [one.reward for one in found] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    everything = pick_candidates(journal, 11, journal.parent)
    assert len({one.spec.name for one in everything}) == 11
    assert {one.spec.name for one in everything} == {f"r00c{i:02d}" for i in range(11)}


def test_a_loss_is_the_one_that_was_rewarded(journal):
    best = pick_candidates(journal, 3, journal.parent)[-1]
    index = int(best.spec.name[-2:])
    (term,) = best.spec.terms
    expected = SPACE.control_points(thetas(11)[index])
    np.testing.assert_array_equal(term.control_points, expected)
    assert (term.metric, term.absent, term.tolerance) == ("mAcc", "zero", 3)


@pytest.mark.parametrize("count", [2, 12])
def test_too_few_and_too_many_are_refused(journal, count):
    with pytest.raises(ConfigError, match=r"STUDY\.CANDIDATES"):
        pick_candidates(journal, count, journal.parent)


def test_a_saved_loss_is_scaled_as_in_the_search(make_cfg, shapes, tmp_path):
    """What its proxy has trained with; a second call keeps the file."""
    cfg = make_cfg("SEARCH.METRIC", "mAcc", "SEARCH.SCALE_ITERS", 2, "OUTPUT_DIR", tmp_path)
    path, points = tmp_path / "journal.jsonl", thetas(3)
    with Journal.create(path, {"config": pinned_config(cfg), "space": SPACE.to_dict()}) as book:
        for i, theta in enumerate(points):
            record = {"id": f"r00c{i:02d}", "theta": theta, "reward": i / 10}
            book.append({"kind": "candidate", "status": "ok", **record})
    picked = pick_candidates(path, 3, tmp_path / "losses")
    save_candidates(path, picked)
    proxy = build_proxy(cfg, *build_sets(cfg))
    for theta, one in zip(points, picked, strict=True):
        proxy.evaluate(theta, seed=1)
        scale = proxy.model.sem_seg_head.loss.spec.scale
        saved = load_spec(tmp_path / "losses" / f"{one.spec.name}.json")
        assert scale != 1.0 and saved == one.spec.scaled(scale)
    one.spec.scaled(7.0).save(one.path)
    save_candidates(path, picked)
    assert load_spec(one.path).scale == 7.0


def test_an_unsearched_surrogate_has_the_settings_of_the_candidates(make_cfg, shapes, tmp_path):
    keys = ("ABSENT", "zero", "DROP_BACKGROUND", True, "VOID_EDGES", True, "TOLERANCE", 2)
    options = [f"SEARCH.{key}" if isinstance(key, str) and key.isupper() else key for key in keys]
    cfg = make_cfg("OUTPUT_DIR", tmp_path, "SEARCH.METRIC", "BF1", *options)
    space = build_space(cfg)
    (term,) = load_spec(soft_file(cfg, "BF1")).terms
    (twin,) = candidate_spec(cfg, space, space.identity()).terms
    assert term == twin


def test_a_journal_of_something_else_is_refused(tmp_path):
    Journal.create(tmp_path / "journal.jsonl", {"agent": "mine"}).close()
    with pytest.raises(JournalError, match=r"journal\.jsonl"):
        pick_candidates(tmp_path / "journal.jsonl", 3, tmp_path)


@pytest.mark.parametrize(
    "canonical, name, words",
    [
        (canonical_loss, "crossentropy", r"--losses.* cross_entropy,.*'crossentropy'"),
        (canonical_loss, "soft:mIuo", "--losses.*mIuo"),
        (canonical_loss, "auto_seg_loss", "--losses.* cross_entropy,.*'auto_seg_loss'"),
        (canonical_metric, "mIuo", "--metrics.*mIuo"),
    ],
)
def test_a_name_that_does_not_exist_is_refused(canonical, name, words):
    with pytest.raises(ConfigError, match=words):
        canonical(name)


def test_equal_names_become_equal_texts():
    assert canonical_metric("miou + BF1") == "mIoU+BF1"
    assert canonical_loss("soft:miou + BF1") == "soft:mIoU+BF1"
    assert canonical_loss("Dice") == canonical_loss(" dice") == "dice"
