"""Executors by name: they evaluate candidates and yield results in order.

A row names its factory as "module:function", so that the serial executor needs no Ray.
"""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

from rl.executors.base import Candidate, Executor, ExecutorError
from rl.executors.serial import SerialExecutor
from rl.proxy import ProxyTask

__all__ = [
    "EXECUTORS",
    "Candidate",
    "Executor",
    "ExecutorError",
    "SerialExecutor",
    "make_executor",
]

EXECUTORS = {
    "serial": "rl.executors.serial:make_serial",
    "ray": "rl.executors.ray:RayExecutor",
}
"""name -> its factory, called as ``factory(make, **options)``."""


def make_executor(name: str, make: Callable[[], ProxyTask], **options: Any) -> Executor:
    """The executor of that name for the task made by ``make()``.

    Args:
        name: a name of EXECUTORS.
        make: called without arguments; `serial` calls it immediately, `ray` in each worker, so
            for `ray` it must be picklable.
        options: keywords of the factory; all factories take ``max_retries`` and ``timeout``.

    Raises:
        ValueError, TypeError: unknown name, unknown option, wrong value.
        ImportError: a required extra is not installed.
    """
    if name not in EXECUTORS:
        raise ValueError(f"unknown executor {name!r}; known: {', '.join(EXECUTORS)}")
    executor: Executor = resolve_name(EXECUTORS[name])(make, **options)
    return executor
