"""The paper's search on frozen features: how long its candidates take, trained in stacks."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from auto_seg_loss.executor import open_executor
from auto_seg_loss.features.network import frozen_backbone
from auto_seg_loss.proxy import DetectronProxy, build_proxy
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.search_setup import build_sets
from benchmarks.gpu.rows import Row, at_most
from benchmarks.gpu.setups import PROJECT, ROOT, run
from rl.executors import Candidate

BUDGET = 384
"""Evaluations of the paper's search, 12 rounds of 32."""
MINUTES = 10.0


def candidates(device: str) -> Iterator[Row]:
    """One stack of candidates, from features to exact scores, and the same one by one."""
    gpu = device == "cuda"
    stack, iterations, height, width = (32, 300, 192, 256) if gpu else (5, 4, 48, 64)
    with tempfile.TemporaryDirectory() as folder:
        sizes = {"height": height, "width": width, "train": 240 if gpu else 16, "val": 4, "test": 4}
        words = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
        run([str(ROOT / "datasets" / "make_shapes.py"), "--root", folder, *words], folder)
        os.environ["DETECTRON2_DATASETS"] = folder
        start = time.monotonic()
        proxy = frozen_proxy(folder, device, (height, width), stack, iterations)
        made = time.monotonic() - start
        yield Row("features of all images, computed and whitened", f"{made:.1f} s", "-", None)
        together, alone = seconds(proxy, stack), seconds(proxy, 1)
    minutes = at_most(
        f"minutes for {BUDGET} candidates of {iterations} iterations, {stack} in a stack",
        together * BUDGET / stack / 60,
        MINUTES,
    )
    yield minutes if gpu else Row(minutes.check, minutes.measured, "-", None)
    ratio = together / stack / alone
    yield Row("a candidate's time in the stack / alone", f"{ratio:.2f}", "-", None)


def frozen_proxy(
    folder: str, device: str, size: tuple[int, int], stack: int, iterations: int
) -> DetectronProxy:
    """A head of a tiny DeepLabV3+ on the features of a ResNet of random weights."""
    weights = Path(folder, "backbone.pth")
    options = {
        "MODEL.DEVICE": device,
        "MODEL.META_ARCHITECTURE": "FrozenFeatures",
        "MODEL.SEM_SEG_HEAD.ASPP_DROPOUT": 0.0,
        "INPUT.CROP.ENABLED": False,
        "FEATURES.SIZE": size,
        "FEATURES.CACHE": f"{folder}/features",
        "FEATURES.WEIGHTS": weights,
        "SEARCH.PROXY.MAX_ITER": iterations,
        "SEARCH.PROXY.STACK": stack,
        "SEARCH.WARM_START.MAX_ITER": 0,
        "OUTPUT_DIR": folder,
    }
    words = [str(word) for pair in options.items() for word in pair]
    cfg = load_config(str(PROJECT / "configs" / "shapes" / "Base-Shapes.yaml"), words)
    state = frozen_backbone(cfg).state_dict()
    torch.save({f"backbone.{name}": tensor.cpu() for name, tensor in state.items()}, weights)
    cfg.freeze()
    proxy = build_proxy(cfg, *build_sets(cfg))
    proxy.evaluate(proxy.space.identity(), 0, budget=1 / iterations)  # computes the features
    return proxy


def seconds(proxy: DetectronProxy, count: int) -> float:
    """For so many candidates in one pass, and in ``proxy.evaluate`` for one."""
    rng = np.random.default_rng(0)
    thetas = [rng.uniform(0.2, 0.8, proxy.space.dim) for _ in range(count)]
    start = time.monotonic()
    if count == 1:
        proxy.evaluate(thetas[0], 1)
    else:
        with open_executor(proxy.cfg, proxy) as executor:
            list(executor.run([Candidate(f"c{i}", theta, 1) for i, theta in enumerate(thetas)]))
    return time.monotonic() - start
