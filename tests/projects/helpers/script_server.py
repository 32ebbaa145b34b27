"""Runs scripts in forks of one process that has imported Detectron2 already: an import takes 4 s.

A fork is a process of its own, with the script as its `__main__`, its own working directory,
environment, output files and exit status, and it can be killed. Talks JSON, one line per message:

    {"start": {"script", "arguments", "directory", "environment", "stdout", "stderr"}} -> pid
    {"has ended": pid} -> 1 or 0, at once
    {"wait": pid} -> exit status, -9 after SIGKILL
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import sys
import traceback
from typing import Any


def import_everything() -> None:
    """All that the scripts import, also what torch and Matplotlib load at their first use."""
    import numpy as np
    import torch
    import torch.utils.tensorboard
    from detectron2.utils.collect_env import collect_env_info

    from autoseg_core import SearchSpace
    from rl.agents import PPO
    from rl.figures import draw_curves

    collect_env_info()  # default_setup logs it, and so loads half of setuptools

    torch.set_num_threads(1)
    PPO(np.array([0.5]), seed=0).tell(np.array([[0.1], [0.2]]), np.array([0.0, 1.0]))
    space = SearchSpace("gAcc")
    draw_curves(space, [space.identity()], ["identity"])


def become(job: dict[str, Any]) -> None:
    """Turn this process into the job: where it is, what it sees, where its output goes."""
    os.chdir(job["directory"])
    os.environ.update(job["environment"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for target, path, mode in (
        (0, os.devnull, os.O_RDONLY),
        (1, job["stdout"], flags),
        (2, job["stderr"], flags),
    ):
        descriptor = os.open(path, mode, 0o644)
        os.dup2(descriptor, target)
        os.close(descriptor)
    sys.argv = [job["script"], *job["arguments"]]


def run(job: dict[str, Any]) -> None:
    """The script, to its end; leaves by SystemExit as the interpreter would."""
    try:
        runpy.run_path(job["script"], run_name="__main__")
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)


def reply(value: int) -> None:
    print(int(value), flush=True)


if __name__ == "__main__":
    import_everything()
    gc.freeze()  # a collection in a fork would copy every page
    reply(os.getpid())
    for line in sys.stdin:
        message = json.loads(line)
        if "has ended" in message:
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT  # the status is left for "wait"
            reply(os.waitid(os.P_PID, message["has ended"], options) is not None)
            continue
        if "wait" in message:
            _, status = os.waitpid(message["wait"], 0)
            reply(os.waitstatus_to_exitcode(status))
            continue
        child = os.fork()
        if child == 0:
            become(message["start"])
            run(message["start"])
        reply(child)
