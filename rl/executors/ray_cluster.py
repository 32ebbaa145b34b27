"""The Ray cluster an executor works on: found or started, and how much room it has."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import ray

from rl.executors.base import ExecutorError

_logger = logging.getLogger(__name__)


def connect(address: str | None = None) -> bool:
    """Make Ray ready in this process; whether it was not before, and so is ours to shut down.

    Ray that is initialised already is used as it is. Otherwise: the cluster at `address`, or at
    the environment's RAY_ADDRESS, or one of this machine's own.

    Raises ExecutorError when the cluster cannot be joined.
    """
    if ray.is_initialized():
        return False
    # "local" said aloud: left to itself, Ray joins any cluster that runs on this machine.
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # NOTSET and INFO are what Ray's import leaves there, by version; others are a user's choice.
    if (log := logging.getLogger("ray")).level in (logging.NOTSET, logging.INFO):
        log.setLevel(logging.ERROR)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        check_reachable(address)
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,  # would put a handler on the root logger
        )
    except Exception as error:  # Ray has many kinds, and few of them say what to do
        raise ExecutorError(
            f"cannot join the Ray cluster at {address!r}: {error}. Check the address "
            "(RAY_ADDRESS), that its head runs and is reachable from this machine, that "
            "RAY_AUTH_MODE and the token match the head's, and that it has the same version "
            f"of Ray, {ray.__version__}"
        ) from error
    finally:
        # Ray installs its own, which would keep a search from stopping in its own order.
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGTERM, handler)
    return True


def check_reachable(address: str) -> None:
    """OSError unless something listens there: Ray would try for a quarter of an hour."""
    url = urlsplit(address if "://" in address else f"//{address}")
    if url.hostname and url.port:  # others, such as "auto", are Ray's to understand
        socket.create_connection((url.hostname, url.port), timeout=10.0).close()


def fitting(workers: int | None, cpus: float, gpus: float) -> int:
    """As many workers of this size as are wanted; None: as the living nodes can hold together.

    Raises ExecutorError when they do not fit: Ray would wait for ever, without a word. ValueError
    for workers of no size, or fewer than none.
    """
    if (workers or 0) < 0 or min(cpus, gpus) < 0 or cpus + gpus == 0:
        raise ValueError(
            f"expected workers >= 0, and cpus and gpus >= 0 but not both 0; got {workers}, "
            f"{cpus:g} and {gpus:g}"
        )
    wanted = {name: share for name, share in (("CPU", cpus), ("GPU", gpus)) if share > 0}
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    room = sum(
        # Ray counts in steps of 1/10000: 1 / 0.1 must not come out as 9.
        min(int(node["Resources"].get(name, 0.0) / share + 1e-6) for name, share in wanted.items())
        for node in nodes
        if node["Alive"]
    )
    if room < (workers or 1):
        raise ExecutorError(
            f"{workers or 1} workers with {cpus:g} CPUs and {gpus:g} GPUs each do not fit: the "
            f"cluster has room for {room}; use fewer or smaller ones"
        )
    free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    if any(free.get(name, 0.0) < share for name, share in wanted.items()):
        _logger.warning("other jobs hold the resources of a worker, %s: waiting for them", wanted)
    return workers or room
