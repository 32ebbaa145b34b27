"""Joining a cluster that somebody else started, by address."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

from rl.executors import Candidate, ExecutorError, SerialExecutor
from rl.executors.ray import RayExecutor
from rl.proxies import Quadratic

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
    # Recent versions ask for a token, which head and driver would have to share.
    "RAY_AUTH_MODE": "disabled",
}
CANDIDATES = [Candidate(f"c{i}", np.array([0.2 * i]), i) for i in range(4)]

DRIVER = """
import json
import numpy as np
import ray
from rl.executors import Candidate, make_executor
from rl.proxies import Quadratic

candidates = [Candidate(f"c{i}", np.array([0.2 * i]), i) for i in range(4)]
with make_executor("ray", lambda: Quadratic([0.5], noise=0.02)) as executor:
    rewards = [result.reward for _, result in executor.run(candidates)]
    address = ray.get_runtime_context().gcs_address
print(json.dumps({"rewards": rewards, "address": address}))
"""


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("", 0))
        return int(unused.getsockname()[1])


@contextmanager
def _head() -> Iterator[int]:
    """A cluster's head with one CPU; its port."""
    port = _free_port()
    # Ray's sockets lie in here, and their paths may have 107 letters only.
    home = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    options = f"--num-cpus 1 --include-dashboard false --port {port} --temp-dir {home}"
    # With --block it lives as long as this process of ours; "ray stop" would end everybody's Ray.
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    head = subprocess.Popen(
        [*command, *options.split()],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _wait_for(head)
        yield port
    finally:
        head.terminate()
        head.communicate()
        shutil.rmtree(home, ignore_errors=True)


def _wait_for(head: subprocess.Popen[str]) -> None:
    assert head.stdout is not None
    said = []
    for line in head.stdout:
        said.append(line)
        if "Ray runtime started" in line:
            return
    raise AssertionError("".join(said))


def test_a_cluster_is_joined_by_the_environment_s_address() -> None:
    with _head() as port:
        driver = subprocess.run(
            [sys.executable, "-c", DRIVER],
            env={**ENVIRONMENT, "RAY_ADDRESS": f"127.0.0.1:{port}"},
            capture_output=True,
            text=True,
            timeout=200,
        )
        socket.create_connection(("127.0.0.1", port)).close()  # the driver left it running
    assert driver.returncode == 0, driver.stderr
    said = json.loads(driver.stdout)
    assert said["address"].endswith(f":{port}")
    serial = SerialExecutor(Quadratic([0.5], noise=0.02)).run(CANDIDATES)
    assert said["rewards"] == [result.reward for _, result in serial]


@pytest.mark.parametrize("given", [True, False])
def test_an_address_where_nobody_listens(given: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{_free_port()}"
    if not given:
        monkeypatch.setenv("RAY_ADDRESS", address)
    start = time.monotonic()
    words = (
        f"cannot join the Ray cluster at '{address}': .*refused.* Check the address .*RAY_ADDRESS.*"
        "RAY_AUTH_MODE and the token are those of the head.* same version of Ray"
    )
    with (
        RayExecutor(lambda: Quadratic([0.5]), address=address if given else None) as executor,
        pytest.raises(ExecutorError, match=words),
    ):
        list(executor.run(CANDIDATES))
    assert time.monotonic() - start < 20  # Ray alone would need a quarter of an hour


def test_an_address_that_is_none() -> None:
    with (
        RayExecutor(lambda: Quadratic([0.5]), address="nowhere") as executor,
        pytest.raises(ExecutorError, match="cannot join the Ray cluster at 'nowhere': Invalid"),
    ):
        list(executor.run(CANDIDATES))
