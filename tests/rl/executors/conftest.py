"""A small Ray cluster in this process, and workers on it that stay warm from test to test."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scripted_task import Scripted, Uneven, torch_threads

if TYPE_CHECKING:
    from rl.executors.ray import RayExecutor


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Is there already: the executors of these tests use it and leave it.

    Four workers fit: those of `shared` stay while others come and go.
    """
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            "local",
            num_cpus=4,
            num_gpus=1,  # Ray counts what it is told; there need be none
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    signal.signal(signal.SIGTERM, handler)
    yield
    assert ray.is_initialized()
    ray.shutdown()


@pytest.fixture
def task(tmp_path: Path) -> Scripted:
    return Scripted(tmp_path)


@pytest.fixture(scope="module")
def shared_task(tmp_path_factory: pytest.TempPathFactory) -> Scripted:
    home = tmp_path_factory.mktemp("shared")
    return Scripted(home, otherwise=Uneven(deadly=home))


@pytest.fixture(scope="module")
def shared(cluster: None, shared_task: Scripted) -> Iterator[RayExecutor]:
    """Two workers that make two attempts; made where torch has 3 threads."""
    from rl.executors.ray import RayExecutor

    with torch_threads(3):
        executor = RayExecutor(shared_task, workers=2, max_retries=1)
    with executor:
        yield executor
