"""Running trainings: one after the other, in processes on this machine, or on a Ray cluster."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import torch
from detectron2.config import CfgNode
from tqdm import tqdm

from auto_seg_loss.config import changed, register_names
from auto_seg_loss.data.catalog import datasets_root
from auto_seg_loss.executor import worker_sizes
from auto_seg_loss.study.record import Record, Result, Trial
from rl.executors.base import ExecutorError
from rl.executors.processes import begin_worker, default_workers, forkserver, kept_children
from rl.executors.serial import one_line

T = TypeVar("T")
Call = tuple[Any, ...]
"""A function of a config and further arguments."""
Submit = Callable[[Callable[..., Result], Call], "Future[Result]"]


@dataclass(frozen=True, eq=False)
class Job:
    """A trial to run: ``function(cfg, trial, *arguments)`` returns its result for the record."""

    record: Record
    trial: Trial
    cfg: CfgNode
    arguments: Call = ()


def run_jobs(
    function: Callable[..., Result], jobs: Sequence[Job], workers: int = 1
) -> Iterator[tuple[Job, Result]]:
    """Run the trials of jobs, and record each when done. An exception of ``function`` ends it.

    SEARCH.EXECUTOR of the first job's config selects Ray, with its workers, CPUs and GPUs; a
    worker that dies is replaced MAX_RETRIES times per job, which then gives {"failed": the
    reason}. Otherwise ``workers``, if > 1, is the number of processes, with one thread each; if 1,
    ``processes`` selects as many as its WORKERS, with the threads of this process each, and
    ``serial`` this process. A process that dies ends the run. ``ExecutorError`` for this, and for
    workers that do not fit. With equal threads equal jobs give equal results, whichever process
    runs them.
    """
    for job, result in _results(function, jobs, workers):
        yield job, job.record.add(job.trial, result)


def _results(
    function: Callable[..., Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Result]]:
    name = jobs[0].cfg.SEARCH.EXECUTOR.NAME if jobs else "serial"
    if name == "serial" and workers == 1:
        for job in jobs:
            yield job, function(job.cfg, job.trial, *job.arguments)
        return
    if name == "ray":
        pool = _on_ray(jobs[0].cfg, len(jobs))
    elif workers > 1:
        pool = _in_processes(workers, 1)
    else:
        wanted = jobs[0].cfg.SEARCH.EXECUTOR.WORKERS
        pool = _in_processes(wanted or default_workers(), torch.get_num_threads())
    with pool as submit:
        submitted = {submit(function, (job.cfg, job.trial, *job.arguments)): job for job in jobs}
        for future in as_completed(submitted):
            yield submitted[future], future.result()


def told(made: Iterable[T], label: str, total: int, every: float = 60.0) -> Iterator[T]:
    """The same, with a progress bar on a terminal, else a line every ``seconds``, on stderr."""
    began = said = time.monotonic()
    bar = tqdm(made, label, total, disable=None if total else True, dynamic_ncols=True)
    for number, one in enumerate(bar, 1):
        now = time.monotonic()
        if not sys.stderr.isatty() and (now - said >= every or number == total):
            left = tqdm.format_interval((now - began) / number * (total - number))
            print(f"{label}: {number}/{total}, {left} left", file=sys.stderr, flush=True)
            said = now
        yield one


@contextmanager
def _in_processes(workers: int, threads: int) -> Iterator[Submit]:
    context = forkserver(__name__)
    begun: list[BaseProcess] = []
    place = (threads, str(datasets_root().absolute()))
    with ProcessPoolExecutor(workers, context, _begin, place) as pool:
        try:
            with kept_children(begun):
                yield lambda *job: pool.submit(_elsewhere, *job)
        except BrokenProcessPool:
            raise ExecutorError(
                "A worker process was killed, perhaps for lack of memory: use fewer workers. "
                "The same command continues the run."
            ) from None
        except BaseException:  # a failure, or Ctrl-C: the results of running jobs would be lost
            for process in begun:
                process.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _on_ray(cfg: CfgNode, jobs: int) -> Iterator[Submit]:
    """A thread waits for each worker, so that signals, which arrive in this one, find it outside
    Ray: Ray breaks when a handler raises inside it."""
    import ray

    from rl.executors.ray_cluster import connect, fitting

    sizes, retries = worker_sizes(cfg), cfg.SEARCH.EXECUTOR.MAX_RETRIES
    place = (torch.get_num_threads(), str(datasets_root().absolute()), str(Path.cwd()))
    task = ray.remote(_on_cluster).options(
        num_cpus=sizes["cpus"], num_gpus=sizes["gpus"], max_retries=retries
    )
    running = set()

    def result(function: Callable[..., Result], call: Call) -> Result:
        running.add(reference := task.remote(function, call, *place))
        try:
            made: Result = ray.get(reference)
            return made
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:
            return {"failed": f"its worker died: {one_line(error)}", "trace": str(error)}
        finally:
            running.discard(reference)

    ours = connect()
    try:
        fitting(**sizes)
        # Without WORKERS all jobs are queued at once, so that nodes that join later get some.
        with ThreadPoolExecutor(sizes["workers"] or jobs) as pool:
            try:
                yield lambda *job: pool.submit(result, *job)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                for reference in list(running):
                    ray.cancel(reference, force=True)
    finally:
        if ours:
            ray.shutdown()


def _begin(threads: int, datasets: str) -> None:
    """In a new process, whose environment is that of the first pool's start."""
    os.environ["DETECTRON2_DATASETS"] = datasets
    begin_worker(threads)


def _on_cluster(
    function: Callable[..., Result], call: Call, threads: int, datasets: str, directory: str
) -> Result:
    """Runs in the same directory as the driver, where relative paths of configs start."""
    torch.set_num_threads(threads)
    os.environ["DETECTRON2_DATASETS"] = datasets
    os.chdir(directory)
    # A worker sees only its own GPUs, numbered from 0.
    own = changed(call[0], {"MODEL.DEVICE": torch.device(call[0].MODEL.DEVICE).type})
    return _elsewhere(function, (own, *call[1:]))


def _elsewhere(function: Callable[..., Result], call: Call) -> Result:
    register_names(call[0])
    return function(*call)
