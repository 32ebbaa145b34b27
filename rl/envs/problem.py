"""What an environment poses: the proxy's task, and the space of its thetas, from make's arguments.

Shapes: D search coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral
from typing import Any

import gymnasium

from autoseg_core import SearchSpace, search_space
from rl.proxies import make_task
from rl.proxy import ProxyTask


def asked_space(
    metric: str | None = None, surface: str | None = None, pieces: int | None = None
) -> SearchSpace | None:
    """The space asked for by name, with mIoU and bezier for what is left out.

    None when nothing is asked for, which leaves the space to the proxy. ValueError: unknown names,
    too few pieces.
    """
    if metric is None and surface is None and pieces is None:
        return None
    return search_space(metric or "mIoU", surface or "bezier", pieces)


def build_task(
    proxy: str | ProxyTask, proxy_kwargs: Mapping[str, Any] | None, space: SearchSpace | None
) -> ProxyTask:
    """The proxy's task alone; what a worker process is given to call."""
    task: ProxyTask = make_task(proxy, proxy_kwargs, space)[0]
    return task


class OncePerProcess:
    """A factory of a task that builds it at the first call and then gives the same one again.

    Sent to another process it goes without the task, which is built anew there: a network and its
    data are not what one wants to pickle.
    """

    def __init__(
        self,
        proxy: str | ProxyTask,
        proxy_kwargs: Mapping[str, Any] | None,
        space: SearchSpace | None,
    ) -> None:
        self._build: Callable[[], ProxyTask] = partial(build_task, proxy, proxy_kwargs, space)
        self._task: ProxyTask | None = None

    def __call__(self) -> ProxyTask:
        """The task."""
        if self._task is None:
            self._task = self._build()
        return self._task

    def __getstate__(self) -> dict[str, Any]:
        return {"_build": self._build, "_task": None}


def check_count(name: str, value: int) -> int:
    """value; ValueError unless it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def check_render_mode(render_mode: str | None, metadata: Mapping[str, Any]) -> str | None:
    """render_mode; gymnasium.error.UnsupportedMode unless None or one of metadata's."""
    if render_mode is not None and render_mode not in metadata["render_modes"]:
        raise gymnasium.error.UnsupportedMode(
            f"unknown render_mode {render_mode!r}; expected None or one of "
            f"{', '.join(metadata['render_modes'])}"
        )
    return render_mode
