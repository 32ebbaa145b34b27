"""Executors by name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from rl.executors import Candidate, SerialExecutor, make_executor
from rl.proxies import Quadratic


def _make() -> Quadratic:
    return Quadratic([0.5])


def test_serial_makes_the_task_here() -> None:
    with make_executor("serial", _make, max_retries=1, timeout=5.0) as executor:
        assert isinstance(executor, SerialExecutor)
        assert (executor.policy.max_retries, executor.policy.timeout) == (1, 5.0)
        ((_, result),) = executor.run([Candidate("c", np.array([0.5]), 0)])
    assert result.reward == 1.0


def test_ray_by_name() -> None:
    pytest.importorskip("ray")
    from rl.executors.ray import RayExecutor

    with make_executor("ray", _make, workers=3, max_retries=1) as executor:
        assert isinstance(executor, RayExecutor)
        assert executor.policy.max_retries == 1


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown executor 'dask'; known: serial, ray"):
        make_executor("dask", _make)


def test_unknown_options_are_refused() -> None:
    words = "executor 'serial' has no option gpus, workers; it has max_retries, timeout"
    with pytest.raises(ValueError, match=words):
        make_executor("serial", _make, workers=2, timeout=1.0, gpus=1.0)


def test_without_ray() -> None:
    program = """
import sys
sys.modules["ray"] = None  # as if it were not installed
from rl.executors import make_executor
make_executor("serial", object)
print("serial works")
try:
    make_executor("ray", object)
except ImportError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "serial works\nthe ray executor needs Ray: pip install -e '.[ray]'" in ran.stdout
