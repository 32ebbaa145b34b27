"""The Ray cluster of an executor: finding or starting it, and its capacity."""

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
    """Initialise Ray in this process; returns whether we did, and so have to shut it down.

    Ray that is already initialised is used as is. Otherwise: the cluster at `address`, or at
    the environment's RAY_ADDRESS, or a new one on this machine.

    Raises ExecutorError when the cluster cannot be joined.
    """
    if ray.is_initialized():
        return False
    # Explicitly "local": by default Ray joins any cluster that runs on this machine.
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
    except Exception as error:  # Ray has many exception types, and few say what to do
        raise ExecutorError(
            f"cannot join the Ray cluster at {address!r}: {error}. Check the address "
            "(RAY_ADDRESS), that its head runs and is reachable from this machine, that "
            "RAY_AUTH_MODE and the token match the head's, and that it has the same version "
            f"of Ray, {ray.__version__}"
        ) from error
    finally:
        # Ray installs its own handler, which would prevent a search from stopping in order.
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGTERM, handler)
    return True


def check_reachable(address: str) -> None:
    """OSError unless something listens there: Ray would retry for a quarter of an hour."""
    url = urlsplit(address if "://" in address else f"//{address}")
    if url.hostname and url.port:  # Ray handles others, such as "auto"
        socket.create_connection((url.hostname, url.port), timeout=10.0).close()


def fitting(workers: int | None, cpus: float, gpus: float) -> int:
    """The number of workers of this size; None: as many as the live nodes can hold together.

    Raises ExecutorError if they do not fit: Ray would wait forever, silently.
    """
    wanted = {name: share for name, share in (("CPU", cpus), ("GPU", gpus)) if share}
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    room = sum(
        # Ray counts in steps of 1/10000: 1 / 0.1 must not come out as 9.
        min((int(has.get(name, 0) / share + 1e-6) for name, share in wanted.items()), default=0)
        for has in (node["Resources"] for node in nodes if node["Alive"])
    )
    if not 1 <= (workers or 1) <= room:
        raise ExecutorError(
            f"{workers or 1} workers with {cpus:g} CPUs and {gpus:g} GPUs each do not fit: the "
            f"cluster has room for {room}; use fewer or smaller ones"
        )
    free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    if any(free.get(name, 0.0) < share for name, share in wanted.items()):
        _logger.warning("other jobs hold the resources of a worker, %s: waiting for them", wanted)
    return workers or room
