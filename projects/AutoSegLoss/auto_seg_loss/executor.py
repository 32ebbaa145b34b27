"""Who evaluates a search's candidates: this process, or workers that build the proxy anew.

A worker gets the config as text, the folder of the data sets and the file of the warm start, all
resolved by the driver, and refuses to work from anything but the driver's start and images.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode

from auto_seg_loss.config import project_defaults, register_names
from auto_seg_loss.data import split_record
from auto_seg_loss.data.catalog import datasets_root
from auto_seg_loss.proxy import (
    DetectronProxy,
    build_network,
    proxy_at,
    proxy_config,
    starting_network,
)
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search_setup import build_sets
from auto_seg_loss.warm_start import read_warm_start, state_digest, warm_start, warm_start_file
from rl.executors import EXECUTORS, Candidate, Executor, ExecutorError, make_executor
from rl.executors.attempts import AttemptPolicy
from rl.proxy import ProxyResult, ProxyTask

Plan = tuple[Callable[[], ProxyTask], dict[str, Any]]


def open_executor(cfg: CfgNode, proxy: DetectronProxy) -> Executor:
    """The executor that SEARCH.EXECUTOR names; workers start from the weights of ``proxy``."""
    if cfg.SEARCH.PROXY.STACK > 1:
        return StackedExecutor(proxy, cfg.SEARCH.PROXY.STACK)
    make, options = plan(cfg, proxy)
    return make_executor(cfg.SEARCH.EXECUTOR.NAME, make, **attempt_options(cfg), **options)


class StackedExecutor(Executor):
    """Trains candidates of equal seed and budget together, ``size`` of them at most.

    An exception is raised: the results of the stacks before are known. ``ExecutorError`` where the
    GPU has no memory for a stack.
    """

    def __init__(self, proxy: DetectronProxy, size: int) -> None:
        self.proxy, self.size = proxy, size

    def run(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, ProxyResult]]:
        """Yield (candidate, result) in order."""
        for (seed, budget), group in groupby(candidates, lambda one: (one.seed, one.budget)):
            while stack := list(islice(group, self.size)):
                thetas = [one.theta for one in stack]
                try:
                    results = self.proxy.evaluate_together(thetas, seed, budget)
                except torch.cuda.OutOfMemoryError as error:
                    raise ExecutorError(
                        f"The GPU has no memory for {len(stack)} candidates at once; begin anew, "
                        f"with a lower SEARCH.PROXY.STACK: {error}"
                    ) from error
                yield from zip(stack, results, strict=True)


def plan(cfg: CfgNode, proxy: DetectronProxy) -> Plan:
    """For the executor that SEARCH.EXECUTOR names: what makes its task, and its own options."""
    return _PLANS[cfg.SEARCH.EXECUTOR.NAME](cfg, proxy)


def check_executor(cfg: CfgNode) -> None:
    """Refuse an executor that cannot run here; ``ValueError`` says why."""
    node = cfg.SEARCH.EXECUTOR
    if node.NAME not in _PLANS:
        raise ConfigError(
            f"Unknown SEARCH.EXECUTOR.NAME {node.NAME!r}; known: {', '.join(_PLANS)}."
        )
    try:
        importlib.import_module(EXECUTORS[node.NAME].partition(":")[0])
    except ImportError as error:
        raise ConfigError(f"SEARCH.EXECUTOR.NAME {node.NAME!r}: {error}") from None
    AttemptPolicy(**attempt_options(cfg))
    if not 0.0 <= node.MAX_LOST <= 1.0:
        raise ConfigError(f"Expected SEARCH.EXECUTOR.MAX_LOST in [0, 1], got {node.MAX_LOST}.")
    if node.WORKERS < 0 or node.CPUS < 0 or node.GPUS <= 0:
        raise ConfigError(
            "Expected SEARCH.EXECUTOR.WORKERS >= 0, CPUS >= 0 and GPUS > 0, got "
            f"{node.WORKERS}, {node.CPUS} and {node.GPUS}."
        )
    if cfg.SEARCH.PROXY.STACK != 1:
        _check_stack(cfg)


def _check_stack(cfg: CfgNode) -> None:
    """``ConfigError`` for what cannot be stacked, or would join candidates that are to be apart."""
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
    """How often and how long every executor tries, as SEARCH.EXECUTOR says."""
    node = cfg.SEARCH.EXECUTOR
    return {"max_retries": node.MAX_RETRIES, "timeout": node.TIMEOUT or None}


def _here(cfg: CfgNode, proxy: DetectronProxy) -> Plan:
    return lambda: proxy, {}


def _in_workers(cfg: CfgNode, proxy: DetectronProxy) -> Plan:
    return worker_recipe(cfg, proxy), worker_sizes(cfg)


def worker_sizes(cfg: CfgNode) -> dict[str, Any]:
    """As ``rl.executors.ray_cluster.fitting`` takes them: how many workers, or None for as many as
    there is room for, and the CPUs and GPUs of each."""
    node = cfg.SEARCH.EXECUTOR
    on_gpu = torch.device(cfg.MODEL.DEVICE).type == "cuda"
    return {
        "workers": node.WORKERS or None,
        # Workers have as many torch threads as there are here: CPU results depend on it.
        "cpus": node.CPUS or (1.0 if on_gpu else float(torch.get_num_threads())),
        "gpus": node.GPUS if on_gpu else 0.0,
    }


def worker_recipe(cfg: CfgNode, proxy: DetectronProxy) -> Callable[[], DetectronProxy]:
    """A picklable function without arguments that builds an equal proxy in another process."""
    elsewhere = cfg.clone()
    elsewhere.defrost()
    if Path(cfg.MODEL.WEIGHTS).is_file():
        elsewhere.MODEL.WEIGHTS = str(Path(cfg.MODEL.WEIGHTS).absolute())
    # Without the driver's index: a worker sees only the GPUs it was given, numbered from 0.
    elsewhere.MODEL.DEVICE = torch.device(cfg.MODEL.DEVICE).type
    start = warm_start_file(cfg).absolute() if cfg.SEARCH.WARM_START.MAX_ITER else None
    return partial(
        proxy_in_worker,
        config=elsewhere.dump(),
        datasets=str(datasets_root().absolute()),
        start=None if start is None else str(start),
        digest=state_digest(proxy.start),
        split=split_record(proxy.search, proxy.holdout),
    )


def proxy_in_worker(
    config: str, datasets: str, start: str | None, digest: str, split: dict[str, Any]
) -> DetectronProxy:
    """The driver's proxy, built from files.

    Args:
        config: the search's config, as YAML.
        datasets: the folder of the data sets, DETECTRON2_DATASETS.
        start: the warm start's file; None when proxies start from MODEL.WEIGHTS or from scratch.
        digest: of the driver's start weights.
        split: the driver's images, as `split_record` names them.

    Raises:
        ConfigError: this machine's start or images are not the driver's.
    """
    os.environ["DETECTRON2_DATASETS"] = datasets
    cfg = project_defaults()
    cfg.merge_from_other_cfg(CfgNode.load_cfg(config))
    register_names(cfg)
    cfg.freeze()
    sets = build_sets(cfg)
    if split_record(*sets) != split:
        raise ConfigError(
            f"The images below {datasets} are not those of the search's driver: all machines must "
            "see the same data sets under the same path."
        )
    proxy_cfg = proxy_config(cfg)
    model = starting_network(proxy_cfg) if start is None else build_network(proxy_cfg)
    if start is None:
        weights = warm_start(proxy_cfg, model, sets[0])
    elif Path(start).is_file():
        _, weights = read_warm_start(Path(start))
    else:
        raise ConfigError(
            f"The warm start {start} does not exist where a worker runs: put OUTPUT_DIR or "
            "SEARCH.WARM_START.WEIGHTS in a folder that all machines share."
        )
    if state_digest(weights) != digest:
        raise ConfigError(
            f"A worker starts from other weights than the search's driver ({start or 'no file'}): "
            "the file was changed meanwhile, or the worker's PyTorch differs."
        )
    return proxy_at(weights, proxy_cfg, model, *sets)


_PLANS: dict[str, Callable[[CfgNode, DetectronProxy], Plan]] = {
    "serial": _here,
    "ray": _in_workers,
}
