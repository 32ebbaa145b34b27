"""Many trainings: one after the other, in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode

from auto_seg_loss.config import register_names
from auto_seg_loss.data.catalog import datasets_root
from auto_seg_loss.executor import worker_sizes
from rl.executors.attempts import one_line

Call = tuple[Any, ...]
"""A config, and further arguments, of a function."""
Submit = Callable[[Callable[..., Any], Call], "Future[Any]"]


def map_jobs(
    function: Callable[..., Any], calls: Sequence[Call], workers: int = 1
) -> Iterator[tuple[int, Any]]:
    """``(i, function(*calls[i]))`` as they come. An exception of the function ends it.

    SEARCH.EXECUTOR of the first call's config chooses Ray, with its workers, CPUs and GPUs; a
    worker that dies is replaced MAX_RETRIES times for each call, which then gives {"failed": the
    reason}. ``ExecutorError`` for workers that do not fit. Otherwise ``workers`` is 1 for
    this process, with its threads, or the number of processes, of one thread each. With equal
    threads equal calls give equal results, whichever process makes them.
    """
    on_ray = bool(calls) and calls[0][0].SEARCH.EXECUTOR.NAME == "ray"
    if not on_ray and workers == 1:
        yield from ((place, function(*call)) for place, call in enumerate(calls))
        return
    with _on_ray(calls[0][0]) if on_ray else _in_processes(workers) as submit:
        jobs = {submit(function, call): place for place, call in enumerate(calls)}
        for job in as_completed(jobs):
            yield jobs[job], job.result()


@contextmanager
def _in_processes(workers: int) -> Iterator[Submit]:
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        try:
            yield lambda *job: pool.submit(_elsewhere, *job)
        finally:  # the first failure, or Ctrl-C, ends it; what is under way is waited for
            pool.shutdown(cancel_futures=True)


@contextmanager
def _on_ray(cfg: CfgNode) -> Iterator[Submit]:
    """A thread waits for each worker, so that signals, which come to this one, find it outside
    Ray: Ray breaks when a handler raises inside it."""
    import ray

    from rl.executors.ray_cluster import connect, fitting

    sizes, retries = worker_sizes(cfg), cfg.SEARCH.EXECUTOR.MAX_RETRIES
    place = (torch.get_num_threads(), str(datasets_root().absolute()), str(Path.cwd()))
    task = ray.remote(_on_cluster).options(
        num_cpus=sizes["cpus"], num_gpus=sizes["gpus"], max_retries=retries
    )
    running = set()

    def result(function: Callable[..., Any], call: Call) -> Any:
        running.add(reference := task.remote(function, call, *place))
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:
            return {"failed": f"its worker died: {one_line(error)}", "trace": str(error)}
        finally:
            running.discard(reference)

    ours = connect()
    try:
        with ThreadPoolExecutor(fitting(**sizes)) as pool:
            try:
                yield lambda *job: pool.submit(result, *job)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                for reference in list(running):
                    ray.cancel(reference, force=True)
    finally:
        if ours:
            ray.shutdown()


def _on_cluster(
    function: Callable[..., Any], call: Call, threads: int, datasets: str, directory: str
) -> Any:
    """In the same directory as the driver, which relative paths of configs start from."""
    torch.set_num_threads(threads)
    os.environ["DETECTRON2_DATASETS"] = datasets
    os.chdir(directory)
    own = call[0].clone()
    own.defrost()
    # A worker sees only the GPUs that it was given, numbered from 0.
    own.MODEL.DEVICE = torch.device(own.MODEL.DEVICE).type
    own.freeze()
    return _elsewhere(function, (own, *call[1:]))


def _elsewhere(function: Callable[..., Any], call: Call) -> Any:
    register_names(call[0])
    return function(*call)
