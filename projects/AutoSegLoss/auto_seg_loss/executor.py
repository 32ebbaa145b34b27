"""Executors of a search's candidates: this process, stacks of candidates, or workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from typing import Any, cast

import torch
from detectron2.config import CfgNode
from torch import Tensor

from auto_seg_loss.config import changed, project_defaults, register_names
from auto_seg_loss.data.catalog import Pairs, datasets_root
from auto_seg_loss.data.splits import FILE_KEYS
from auto_seg_loss.features.stacked import evaluate_stacked
from auto_seg_loss.proxy import DetectronProxy, build_network, proxy_config
from auto_seg_loss.runtime.errors import ConfigError
from rl.executors import Candidate, Executor, ExecutorError, SerialExecutor, make_executor
from rl.proxy import ProxyResult, ProxyTask


def open_executor(cfg: CfgNode, proxy: DetectronProxy) -> Executor:
    """The executor that SEARCH.EXECUTOR names; workers start from the weights of ``proxy``."""
    name, attempts, sizes = cfg.SEARCH.EXECUTOR.NAME, attempt_options(cfg), worker_sizes(cfg)
    if cfg.SEARCH.PROXY.STACK > 1:
        return StackedExecutor(proxy, cfg.SEARCH.PROXY.STACK)
    if name == "serial":
        return SerialExecutor(proxy, **attempts)
    if name == "processes":
        on_gpu = torch.device(cfg.MODEL.DEVICE).type == "cuda"  # one for all
        sizes = {"workers": sizes["workers"] or (1 if on_gpu else None)}
    return make_executor(name, worker_recipe(cfg, proxy), **attempts, **sizes)


class StackedExecutor(Executor):
    """Trains candidates of equal seed and budget together, ``size`` of them at most.

    Exceptions are raised; the results of earlier stacks are kept. ``ExecutorError`` if the GPU has
    no memory for a stack.
    """

    def __init__(self, proxy: DetectronProxy, size: int) -> None:
        self.proxy, self.size = proxy, size

    def run(self, candidates: Sequence[Candidate]) -> Iterator[ProxyResult]:
        """Yield their results in order."""
        for (seed, budget), group in groupby(candidates, lambda one: (one.seed, one.budget)):
            while stack := list(islice(group, self.size)):
                thetas = [one.theta for one in stack]
                try:
                    results = evaluate_stacked(self.proxy, thetas, seed, budget)
                except torch.cuda.OutOfMemoryError as error:
                    raise ExecutorError(
                        f"The GPU has no memory for {len(stack)} candidates at once; start again "
                        f"with a lower SEARCH.PROXY.STACK: {error}"
                    ) from error
                yield from results


def check_executor(cfg: CfgNode) -> None:
    """Refuse an executor that cannot run here; ``ValueError`` says why."""
    node, no_task = cfg.SEARCH.EXECUTOR, cast(ProxyTask, None)
    try:  # Ray does not start before the first candidate
        make_executor(node.NAME, lambda: no_task, **attempt_options(cfg))
    except (ValueError, ImportError) as error:
        raise ConfigError(f"SEARCH.EXECUTOR (NAME {node.NAME!r}): {error}.") from None
    if not (0 <= node.MAX_LOST <= 1 and node.WORKERS >= 0 and node.CPUS >= 0 and node.GPUS > 0):
        raise ConfigError(
            "Expected SEARCH.EXECUTOR.MAX_LOST in [0, 1], WORKERS >= 0, CPUS >= 0 and GPUS > 0, "
            f"got {node.MAX_LOST}, {node.WORKERS}, {node.CPUS} and {node.GPUS}."
        )
    if cfg.SEARCH.PROXY.STACK != 1:
        _check_stack(cfg)


def _check_stack(cfg: CfgNode) -> None:
    """``ConfigError`` if candidates cannot be stacked, or must be evaluated separately."""
    needed = {
        "a value >= 1": cfg.SEARCH.PROXY.STACK >= 1,
        "SEARCH.EXECUTOR.NAME serial": cfg.SEARCH.EXECUTOR.NAME == "serial",
        "SEARCH.EXECUTOR.TIMEOUT 0": not cfg.SEARCH.EXECUTOR.TIMEOUT,
        "MODEL.META_ARCHITECTURE FrozenFeatures": cfg.MODEL.META_ARCHITECTURE == "FrozenFeatures",
        "MODEL.AUX_HEAD.ENABLED False": not cfg.MODEL.AUX_HEAD.ENABLED,
        "SOLVER.CLIP_GRADIENTS.ENABLED False": not cfg.SOLVER.CLIP_GRADIENTS.ENABLED,
        "SOLVER.AMP.ENABLED False": not cfg.SOLVER.AMP.ENABLED,
    }
    if missing := [name for name, met in needed.items() if not met]:
        raise ConfigError(
            f"SEARCH.PROXY.STACK {cfg.SEARCH.PROXY.STACK} needs {', '.join(missing)}."
        )


def attempt_options(cfg: CfgNode) -> dict[str, Any]:
    """Retries and timeout of every executor, from SEARCH.EXECUTOR."""
    node = cfg.SEARCH.EXECUTOR
    return {"max_retries": node.MAX_RETRIES, "timeout": node.TIMEOUT or None}


def worker_sizes(cfg: CfgNode) -> dict[str, Any]:
    """Arguments of ``rl.executors.ray_cluster.fitting``: number of workers, or None for as many as
    fit, and the CPUs and GPUs of each."""
    node = cfg.SEARCH.EXECUTOR
    on_gpu = torch.device(cfg.MODEL.DEVICE).type == "cuda"
    return {
        "workers": node.WORKERS or None,
        # Workers have as many torch threads as this process: CPU results depend on it.
        "cpus": node.CPUS or (1.0 if on_gpu else float(torch.get_num_threads())),
        "gpus": node.GPUS if on_gpu else 0.0,
    }


def worker_recipe(cfg: CfgNode, proxy: DetectronProxy) -> Callable[[], DetectronProxy]:
    """A picklable function without arguments that builds an equal proxy in another process.

    It contains the weights and the records of the images, so that all workers have those of the
    driver; they need the image files, and those of FEATURES, under the same paths.
    """
    # Without the driver's index: a worker sees only the GPUs it was given, numbered from 0.
    values = {"MODEL.DEVICE": torch.device(cfg.MODEL.DEVICE).type}
    values["FEATURES.CACHE"] = os.path.abspath(cfg.FEATURES.CACHE)
    if os.path.isfile(cfg.FEATURES.WEIGHTS):  # else a name that a worker resolves itself
        values["FEATURES.WEIGHTS"] = os.path.abspath(cfg.FEATURES.WEIGHTS)
    elsewhere = changed(cfg, values)
    start = {name: tensor.cpu() for name, tensor in proxy.start.items()}
    sets = (
        [{**one, **{key: os.path.abspath(one[key]) for key in FILE_KEYS}} for one in records]
        for records in (proxy.search, proxy.holdout)
    )
    return partial(proxy_in_worker, elsewhere.dump(), str(datasets_root().absolute()), start, *sets)


def proxy_in_worker(
    config: str, datasets: str, start: dict[str, Tensor], search: Pairs, holdout: Pairs
) -> DetectronProxy:
    """The proxy of a search's config, given as YAML, with images and weights from the driver.

    datasets: the folder of the data sets, DETECTRON2_DATASETS.
    """
    os.environ["DETECTRON2_DATASETS"] = datasets
    cfg = project_defaults()
    cfg.merge_from_other_cfg(CfgNode.load_cfg(config))
    register_names(cfg)
    cfg.freeze()
    proxy_cfg = proxy_config(cfg)
    return DetectronProxy(proxy_cfg, build_network(proxy_cfg), start, search, holdout)
