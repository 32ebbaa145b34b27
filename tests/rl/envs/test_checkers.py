"""Gymnasium's and Stable-Baselines3's checkers on every registered id, with every proxy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import rl
from autoseg_core import SearchSpace
from rl.executors import Candidate, SerialExecutor
from rl.journal import Journal
from rl.proxies import PROXIES, Quadratic
from rl.records import candidate_record

assert rl  # registers the ids
IDS = sorted(name for name in gymnasium.registry if name.startswith("autoseg/"))
SPACE = SearchSpace("mAcc")


def _named(name: str, **kwargs: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda folder: {"proxy": name, "proxy_kwargs": kwargs, "metric": "mAcc"}


def _object(folder: Path) -> dict[str, Any]:
    return {"proxy": Quadratic(np.linspace(0.2, 0.8, SPACE.dim), noise=0.1, space=SPACE)}


def _replay(folder: Path) -> dict[str, Any]:
    """Of the journal of a small search on the quadratic."""
    path = folder / "journal.jsonl"
    thetas = np.random.default_rng(0).random((24, SPACE.dim))
    candidates = [Candidate(f"r00c{i:02d}", theta, 0) for i, theta in enumerate(thetas)]
    with Journal.create(path, {"space": SPACE.to_dict()}) as journal:
        for candidate, result in SerialExecutor(_object(folder)["proxy"]).run(candidates):
            journal.append(candidate_record(candidate, result))
    return {"proxy": "replay", "proxy_kwargs": {"journal": str(path)}}


ARGUMENTS = {
    "quadratic": _named("quadratic", noise=0.1),
    "rastrigin": _named("rastrigin"),
    "two_peaks": _named("two_peaks"),
    "shapes": _named("shapes", iterations=8),
    "replay": _replay,
    "object": _object,
}


def test_every_id_and_every_proxy_is_checked() -> None:
    assert IDS == ["autoseg/LossSchedule-v0", "autoseg/LossSearch-v0"]
    assert set(ARGUMENTS) == {*PROXIES, "object"}


@pytest.mark.parametrize("proxy", ARGUMENTS)
@pytest.mark.parametrize("name", IDS)
def test_gymnasium_s_checker_finds_nothing(name: str, proxy: str, tmp_path: Path) -> None:
    env = gymnasium.make(name, render_mode="rgb_array", **ARGUMENTS[proxy](tmp_path))
    check_env(env.unwrapped)  # also renders; what it warns of is an error here
    env.close()


@pytest.mark.parametrize("proxy", ARGUMENTS)
@pytest.mark.parametrize("name", IDS)
def test_stable_baselines_checker_finds_nothing(name: str, proxy: str, tmp_path: Path) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    arguments = ARGUMENTS[proxy](tmp_path)
    env = gymnasium.make(name, render_mode="rgb_array", normalize_action=True, **arguments)
    checker.check_env(env, skip_render_check=False)


@pytest.mark.parametrize("name", IDS)
def test_its_one_remark_on_coordinates_as_actions(name: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with pytest.warns(UserWarning) as remarks:
        checker.check_env(gymnasium.make(name))
    assert len(remarks) == 1
    assert "symmetric and normalized Box action space" in str(remarks[0].message)
