"""Executors by name: they evaluate candidates and yield results in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rl.executors.base import Candidate, Executor, ExecutorError
from rl.executors.processes import ProcessExecutor
from rl.executors.serial import SerialExecutor
from rl.proxy import ProxyTask

__all__ = [
    "Candidate",
    "Executor",
    "ExecutorError",
    "ProcessExecutor",
    "SerialExecutor",
    "make_executor",
]


def make_executor(name: str, make: Callable[[], ProxyTask], **options: Any) -> Executor:
    """The executor of that name for the task made by ``make()``.

    Args:
        name: "serial", "processes" or "ray".
        make: called without arguments; `serial` calls it immediately, the others in each worker,
            so for them it must be picklable.
        options: keywords of its class; all take ``max_retries`` and ``timeout``.

    Raises:
        ValueError, TypeError: unknown name, unknown option, wrong value.
        ImportError: a required extra is not installed.
    """
    if name == "serial":
        return SerialExecutor(make(), **options)
    if name == "processes":
        return ProcessExecutor(make, **options)
    if name == "ray":
        from rl.executors.ray import RayExecutor

        return RayExecutor(make, **options)
    raise ValueError(f"unknown executor {name!r}; known: serial, processes, ray")
