"""Where losses are used: half precision, torch.compile, processes, the scripts, the tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from autoseg_core.surrogates.distributed import AllReduce
from benchmarks.gpu.rows import Row, at_most, batch, loss_of

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "projects" / "AutoSegLoss"


def training(device: str) -> Iterator[Row]:
    """AMP, GradScaler, and torch.compile of network and loss in one graph."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 5, 1)).to(
        device
    )
    loss, images = loss_of("mIoU").to(device), torch.randn(4, 3, 64, 64, device=device)
    target = batch((4, 5, 64, 64), device)[1]
    images[:, 0] += target.clamp(max=5)  # something to learn
    backend = "inductor" if device == "cuda" else "aot_eager"
    plain = loss(network(images), target)

    def forward(images: Tensor, target: Tensor) -> Tensor:
        value: Tensor = loss(network(images), target)
        return value

    compiled = torch.compile(forward, fullgraph=True, backend=backend)
    error = float((compiled(images, target) - plain).abs().detach())
    yield at_most("torch.compile(network + loss), off the eager loss", error, 1e-3, ".1e")
    scaler, optimizer = torch.amp.GradScaler(device), torch.optim.SGD(network.parameters(), 1.0)
    half = torch.float16 if device == "cuda" else torch.bfloat16
    values = []
    for _ in range(30 if device == "cuda" else 5):
        optimizer.zero_grad()
        with torch.autocast(device, half):
            value = compiled(images, target)
        scaler.scale(value).backward()
        scaler.step(optimizer)
        scaler.update()
        values.append(float(value.detach()))
    fell = values[-1] < values[0]
    said = f"{values[0]:.3f} → {values[-1]:.3f}"
    yield Row("loss under autocast, GradScaler, torch.compile", said, "falls", fell)


def processes(device: str) -> Iterator[Row]:
    """The sum of counts by torch.distributed, in value and gradient, with one process."""
    name = "nccl" if device == "cuda" else "gloo"
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(name, init_method=f"file://{folder}/store", rank=0, world_size=1)
        counts = torch.arange(4.0, device=device, requires_grad=True)
        # Called directly: losses skip it if there is one process.
        total = AllReduce.apply(counts)
        (slope,) = torch.autograd.grad(total, counts, 1 + counts.detach())
        dist.destroy_process_group()
    good = total.tolist() == [0, 1, 2, 3] and slope.tolist() == [1, 2, 3, 4]
    yield Row(f"{name}, one process", "equal" if good else "not equal", "equal", good)


# Script: its config, its options, and those that make it a matter of seconds on a CPU.
SCRIPTS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "search_net.py": (
        "features/Shapes.yaml",
        {"SEARCH.ROUNDS": "3", "SEARCH.SELECTION.TOP_K": "1"},
        {"SEARCH.ROUNDS": "1", "SEARCH.SAMPLES": "6", "SEARCH.PROXY.MAX_ITER": "3"},
    ),
    "train_net.py": (
        "shapes/Base-Shapes.yaml",
        {
            "MODEL.SEM_SEG_HEAD.LOSS_TYPE": "auto_seg_loss",
            "MODEL.SEM_SEG_HEAD.LOSS_SPEC": "voc-miou-bezier",
        },
        {"SOLVER.MAX_ITER": "5"},
    ),
    "study_net.py": (
        "shapes/Base-Shapes.yaml",
        {"STUDY.LOSSES": "['cross_entropy', 'voc-miou-bezier']", "STUDY.SEEDS": "[1]"},
        {"SOLVER.MAX_ITER": "5"},
    ),
}


def scripts(device: str) -> Iterator[Row]:
    """search_net, train_net and study_net as a user runs them, on made images."""
    with tempfile.TemporaryDirectory() as folder:
        images = {"train": "24", "val": "4", "test": "4"} if device == "cpu" else {}
        options = [word for name, count in images.items() for word in (f"--{name}", count)]
        run([str(ROOT / "datasets" / "make_shapes.py"), "--root", folder, *options], folder)
        for script, (config, usual, tiny) in SCRIPTS.items():
            output = Path(folder, script)
            values = {"MODEL.DEVICE": device, "OUTPUT_DIR": str(output), **usual}
            values["FEATURES.CACHE"] = f"{folder}/features"
            values |= tiny if device == "cpu" else {}
            command = [str(PROJECT / script), "--config-file", str(PROJECT / "configs" / config)]
            start = time.monotonic()
            run([*command, *(word for pair in values.items() for word in pair)], folder)
            seconds = time.monotonic() - start
            yield Row(f"{script} on shapes", f"{seconds:.0f} s", "runs", True)
            if script == "search_net.py":
                journal = (output / "journal.jsonl").read_text()
                rate = journal.count('{"kind": "candidate"') / seconds
                yield Row("candidates per second, start included", f"{rate:.2f}", "-", None)


def run(arguments: list[str], data: str) -> None:
    """Run a script; its last words where it fails."""
    environment = {**os.environ, "DETECTRON2_DATASETS": data}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise RuntimeError(
            f"{Path(arguments[0]).name} failed:\n{(done.stdout + done.stderr)[-2000:]}"
        )


def tests(device: str) -> Iterator[Row]:
    """The tests that are skipped where there is no GPU."""
    folders = ("tests/autoseg_core/native", "tests/autoseg_core/surrogates")
    chosen = "cuda or on_a_gpu"
    command = [sys.executable, "-m", "pytest", "-q", "-k", chosen, "-p", "no:cacheprovider"]
    if device == "cuda" and find_spec("xdist"):  # to compile kernels takes longer than to run them
        command += ["-n", "8"]
    done = subprocess.run([*command, *folders], cwd=ROOT, capture_output=True, text=True)
    summary = (done.stdout.strip().splitlines() or [""])[-1]
    whole = done.returncode == 0 and (device == "cpu" or "skipped" not in summary)
    if not whole:
        print(done.stdout, file=sys.stderr)
    yield Row("tests that need CUDA", re.sub(r" in .*|=", "", summary).strip(), "all pass", whole)
