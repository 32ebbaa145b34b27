"""Many trainings: one after the other, in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from auto_seg_loss.config import register_names
from auto_seg_loss.data.catalog import datasets_root
from auto_seg_loss.executor import worker_sizes
from rl.executors.attempts import one_line
from rl.signals import uninterrupted

Call = tuple[Any, ...]
"""A config, and further arguments, of a function."""
Results = Iterator[tuple[int, Any]]
"""Number of the call, and what the function returned."""


def map_jobs(function: Callable[..., Any], calls: Sequence[Call], workers: int = 1) -> Results:
    """``(i, function(*calls[i]))`` as they come. An exception of the function ends it.

    SEARCH.EXECUTOR of the first call's config chooses Ray, with its workers, CPUs and GPUs; a
    worker that dies is replaced MAX_RETRIES times for each call, which then gives {"failed": the
    reason}. ``ExecutorError`` for workers that do not fit. Otherwise ``workers`` is 1 for
    this process, with its threads, or the number of processes, of one thread each. With equal
    threads equal calls give equal results, whichever process makes them.
    """
    if calls and calls[0][0].SEARCH.EXECUTOR.NAME == "ray":
        return _on_ray(function, calls)
    if workers > 1:
        return _in_processes(function, calls, workers)
    return ((place, function(*call)) for place, call in enumerate(calls))


def _in_processes(function: Callable[..., Any], calls: Sequence[Call], workers: int) -> Results:
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        jobs = {pool.submit(_elsewhere, function, call): i for i, call in enumerate(calls)}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        finally:  # the first failure, or Ctrl-C, ends it; what is under way is waited for
            pool.shutdown(cancel_futures=True)


def _on_ray(function: Callable[..., Any], calls: Sequence[Call]) -> Results:
    import ray

    from rl.executors.ray_cluster import connect, fitting

    cfg, sizes = calls[0][0], worker_sizes(calls[0][0])
    task = ray.remote(_on_cluster).options(
        num_cpus=sizes["cpus"],
        num_gpus=sizes["gpus"],
        max_retries=cfg.SEARCH.EXECUTOR.MAX_RETRIES,
    )
    place = (torch.get_num_threads(), str(datasets_root().absolute()), str(Path.cwd()))
    waiting, ours = enumerate(calls), connect(None)
    running: dict[Any, int] = {}
    try:
        fitting(**sizes)
        while True:
            room = (sizes["workers"] or len(calls)) - len(running)
            for number, call in islice(waiting, room):
                running[task.remote(function, call, *place)] = number
            if not running:
                return
            # Ray looks at signals while it waits, and breaks when a handler raises anything other
            # than KeyboardInterrupt: a signal acts when the wait is over.
            with uninterrupted():
                finished, _ = ray.wait(list(running), num_returns=1, timeout=0.5)
            for done in finished:
                yield running.pop(done), _outcome(done)
    finally:
        for job in running:
            ray.cancel(job, force=True)
        if ours:
            ray.shutdown()


def _outcome(reference: Any) -> Any:
    """What a call has returned or raised; {"failed": the reason} where its worker died."""
    import ray

    try:
        with uninterrupted():
            return ray.get(reference)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        return {"failed": f"its worker died: {one_line(error)}", "trace": str(error)}


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
