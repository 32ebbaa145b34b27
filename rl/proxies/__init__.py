"""Proxies by name, and the conversion of a user's proxy, in any form, to a task.

A row names its factory as "module:function", so that nothing else is imported. A named factory
takes ``space`` (the requested SearchSpace, or None) in addition to its own keywords.
"""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from autoseg_core import SearchSpace
from rl.proxies.quadratic import Quadratic
from rl.proxy import ProxyTask, TrainingTask

__all__ = ["PROXIES", "Quadratic", "make_task", "training_of"]

PROXIES = {
    "quadratic": "rl.proxies.quadratic:from_space",
    "rastrigin": "rl.proxies.known:rastrigin",
    "two_peaks": "rl.proxies.known:two_peaks",
    "shapes": "rl.proxies.shapes:Shapes",
}
"""name -> its factory."""


def make_task(
    proxy: str | ProxyTask | TrainingTask,
    kwargs: Mapping[str, Any] | None = None,
    space: SearchSpace | None = None,
) -> tuple[Any, SearchSpace]:
    """The task given by ``proxy``, and the space of its thetas.

    Args:
        proxy: a name in PROXIES, your own "module:factory", or a task (a ProxyTask, or anything
            that `training_of` takes).
        kwargs: keywords of the factory; none for a task object.
        space: the requested space; None = the proxy's, or mIoU's if it has none.

    Raises:
        ValueError: unknown name, a proxy of another space, kwargs for a finished task.
        TypeError: the thing has no ``evaluate``.
        ImportError, AttributeError: "module:factory" is not there.
    """
    task = _task(proxy, dict(kwargs or {}), space)
    if not hasattr(task, "evaluate") and not hasattr(task, "advance"):
        raise TypeError(
            f"a proxy needs evaluate(theta, seed, budget) -> ProxyResult; {proxy!r} gave "
            f"{type(task).__name__}, which has no such method"
        )
    own: SearchSpace | None = getattr(task, "space", None)
    if own is not None and space is not None and own != space:
        raise ValueError(
            f"the proxy scores thetas of {own}, but {space} was requested; leave metric, surface "
            "and pieces out, or make the proxy for the space you want"
        )
    return task, own or space or SearchSpace("mIoU")


def training_of(task: Any) -> TrainingTask:
    """The task as a training run step by step; TypeError if it does not support that."""
    # The attribute `training` of a torch module is no method.
    method = getattr(task, "training", None)
    training: TrainingTask = method() if callable(method) else task
    if not hasattr(training, "advance"):
        raise TypeError(
            f"{type(task).__name__} cannot train step by step: it has neither training() nor the "
            "methods of rl.proxy.TrainingTask. rl.proxies.blend.Blend(task) makes a model of a "
            "training from its scores"
        )
    return training


def _task(
    proxy: str | ProxyTask | TrainingTask, kwargs: dict[str, Any], space: SearchSpace | None
) -> Any:
    if not isinstance(proxy, str):
        if kwargs:
            raise ValueError(
                f"proxy_kwargs {sorted(kwargs)} are for a factory, but the proxy is an object"
            )
        return proxy
    if ":" in proxy:
        return resolve_name(proxy)(**kwargs)
    if proxy not in PROXIES:
        known = ", ".join(PROXIES)
        raise ValueError(f"unknown proxy {proxy!r}; known: {known}, or your own 'module:factory'")
    return resolve_name(PROXIES[proxy])(space=space, **kwargs)
