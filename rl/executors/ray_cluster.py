"""The Ray cluster an executor works on: found or started, and how much room it has."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import Any

import ray


def connect(address: str | None) -> bool:
    """Make Ray ready in this process; whether it was not before, and so is ours to shut down.

    Ray that is initialised already is used as it is. Otherwise: the cluster at `address`, or at
    the environment's RAY_ADDRESS, or one of this machine's own, without dashboard, usage
    statistics and other talk.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not (log := logging.getLogger("ray")).level:
        log.setLevel(logging.ERROR)
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            # "local" said aloud: left to itself, Ray joins any cluster that runs on this machine.
            address=address or os.environ.get("RAY_ADDRESS") or "local",
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,  # would put a handler on the root logger
        )
    finally:
        # Ray installs its own, which would keep a search from stopping in its own order.
        if in_main_thread and handler is not None:
            signal.signal(signal.SIGTERM, handler)
    return True


def room(cpus: float, gpus: float) -> int:
    """How many workers of so many CPUs and GPUs each the living nodes can hold together."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return sum(_room_of_node(node["Resources"], cpus, gpus) for node in nodes if node["Alive"])


def _room_of_node(resources: dict[str, float], cpus: float, gpus: float) -> int:
    shares = [(resources.get("CPU", 0.0), cpus), (resources.get("GPU", 0.0), gpus)]
    # Ray counts in steps of 1/10000: 1 / 0.1 must not come out as 9.
    return min(int(there / wanted + 1e-6) for there, wanted in shares if wanted > 0)
