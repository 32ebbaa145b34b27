"""Executors by name: they evaluate candidates and yield results in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rl.executors.base import Candidate, Executor, ExecutorError
from rl.executors.serial import SerialExecutor
from rl.proxy import ProxyTask

__all__ = [
    "Candidate",
    "Executor",
    "ExecutorError",
    "SerialExecutor",
    "make_executor",
]


def make_executor(name: str, make: Callable[[], ProxyTask], **options: Any) -> Executor:
    """The executor of that name for the task made by ``make()``.

    Args:
        name: "serial" or "ray".
        make: called without arguments; `serial` calls it immediately, `ray` in each worker, so
            for `ray` it must be picklable.
        options: keywords of its class; both take ``max_retries`` and ``timeout``.

    Raises:
        ValueError, TypeError: unknown name, unknown option, wrong value.
        ImportError: a required extra is not installed.
    """
    if name == "serial":
        return SerialExecutor(make(), **options)
    if name == "ray":
        from rl.executors.ray import RayExecutor

        return RayExecutor(make, **options)
    raise ValueError(f"unknown executor {name!r}; known: serial, ray")
