"""Room on a cluster, and addresses where there is none."""

from __future__ import annotations

import socket

import pytest

ray = pytest.importorskip("ray")

from rl.executors import ExecutorError  # noqa: E402
from rl.executors.ray_cluster import check_reachable, fitting  # noqa: E402


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """One node with 4 CPUs and a GPU, and one that has died. Another job holds the GPU."""
    node = {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}
    monkeypatch.setattr(ray, "nodes", lambda: [node, {**node, "Alive": False}])
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 4.0})


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers"), [(0.1, 0.0, 40), (1.5, 0.0, 2), (1.0, 0.5, 2)]
)
def test_as_many_as_fit_and_a_wait_is_told(
    cpus: float, gpus: float, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert fitting(None, cpus, gpus) == workers
    assert fitting(1, cpus, gpus) == 1
    assert ("{'CPU': 1.0, 'GPU': 0.5}: waiting" in caplog.text) == (gpus > 0)


@pytest.mark.parametrize(
    ("workers", "cpus", "gpus"),
    [(5, 1.0, 0.0), (1, 1.0, 2.0), (None, 1.0, 2.0), (-1, 1.0, 0.0), (1, -1.0, 0.0), (1, 0.0, 0.0)],
)
def test_workers_that_do_not_fit_are_refused(workers: int | None, cpus: float, gpus: float) -> None:
    with pytest.raises(ExecutorError, match="do not fit"):
        fitting(workers, cpus, gpus)


def test_an_address_where_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(OSError, match="refused"):  # Ray would need a quarter of an hour
        check_reachable(address)
    check_reachable("auto")
