"""Counts summed over processes: a loss, and a training step, as one process has with all images.

Real processes over gloo. This file is also what each of them runs: ``python test_distributed.py
RANK FOLDER`` computes every case and leaves the results in FOLDER, where the tests read them.
R: processes (the world); N: images of all of them; C: classes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from autoseg_core import AutoSegLoss

WORLD = 2
# One for each way of counting and averaging; "sigmoid" is mIoU of maps of 0 and 1 for each class.
METRICS = ("mIoU", "BF1", "sigmoid")
CLASSES = 6
SIZES = {"uneven": (1, 5), "void": (2, 4), "empty": (6, 0)}
"""Images of each process. "void": the first one's are all void."""

Share = tuple[Tensor, Tensor]


def shares(case: str) -> list[Share]:
    """Images (n, 3, 14, 18) float64 and target (n, 14, 18) of each process."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(6, 3, 14, 18)))
    labels = samples.with_void(rng, samples.label_maps(rng, CLASSES - 1, (6, 14, 18)))
    sizes = SIZES[case]
    parts = list(torch.from_numpy(labels).split(sizes))
    if case == "void":
        parts[0] = torch.full_like(parts[0], samples.VOID)
    return list(zip(images.split(sizes), parts, strict=True))


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, CLASSES, 1)]
    return nn.Sequential(*layers).double()


def loss_of(metric: str, **options: Any) -> Any:
    if metric == "sigmoid":
        loss = loss_of("mIoU", activation="sigmoid", **options)
        return lambda logits, target: loss(logits, class_maps(target))
    return samples.loss_of(samples.term(metric, tolerance=2), **options)


def class_maps(target: Tensor) -> Tensor:
    own = target[:, None] == torch.arange(CLASSES).view(-1, 1, 1)
    return torch.where(target[:, None] == samples.VOID, samples.VOID, own.long())


def step(model: nn.Module, loss: Any, share: Share) -> list[Tensor]:
    """The loss, and the gradients of the parameters."""
    images, target = share
    value = loss(model(images), target)
    value.backward()
    return [value.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


def curvature(loss: AutoSegLoss, share: Share, losses: int = 1) -> list[Tensor]:
    """The loss, and the gradient of |s|^2 with s that of ``losses`` times the loss, in logits."""
    logits, target = network()(share[0]).detach().requires_grad_(), share[1]
    value = loss(logits, target)
    (slope,) = torch.autograd.grad(losses * value, logits, create_graph=True)
    return [value.detach(), *torch.autograd.grad(slope.square().sum(), logits)]


def compiled(function: Any) -> Any:
    """By torch.compile, less its last part, which writes C++ and knows nothing of processes."""
    torch._dynamo.reset()
    return torch.compile(function, backend="aot_eager", fullgraph=True)


def results_of(rank: int) -> dict[str, list[Tensor]]:
    """What one process finds in every case."""

    def parallel(loss: Any, case: str) -> list[Tensor]:
        return step(DistributedDataParallel(network()), loss, shares(case)[rank])

    found = {}
    for metric in METRICS:
        for case in SIZES:
            found[f"{metric} {case}"] = parallel(loss_of(metric, sync=True), case)
        found[f"{metric} apart"] = parallel(loss_of(metric), "uneven")[0]
    share = shares("uneven")[rank]
    found["curvature"] = curvature(loss_of("mIoU", sync=True, backend="reference"), share)
    return found


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    images, target = shares("uneven")[rank]
    early, logits = compiled(loss_of("mIoU", sync=True)), network()(images)
    alone = early(logits, target).detach()
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'meeting'}",
        rank=rank,
        world_size=WORLD,
        timeout=timedelta(seconds=250),
    )
    found = results_of(rank)
    found["alone"] = [alone]
    found["compiled"] = step(DistributedDataParallel(network()), early, (images, target))
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: Any) -> list[Any]:
    """Of each process."""
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, __file__]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([*command, str(rank), str(folder)], env=environment)
        for rank in range(WORLD)
    ]
    try:
        assert [process.wait() for process in processes] == [0] * WORLD
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORLD)]


def whole(case: str) -> Share:
    """The batch of one process that has all images."""
    images, targets = zip(*shares(case), strict=True)
    return torch.cat(images), torch.cat(targets)


def assert_same(results: list[Any], name: str, expected: list[Tensor]) -> None:
    """Every process found the same, to 1e-6 of the largest number of each gradient."""
    assert len(expected) == 5 and all(x.isfinite().all() and x.any() for x in expected)
    for result in results:
        for found, wanted in zip(result[name], expected, strict=True):
            bound = 1e-6 * float(wanted.abs().max())
            torch.testing.assert_close(found, wanted, rtol=0, atol=bound)


@pytest.mark.parametrize("case", SIZES)
@pytest.mark.parametrize("metric", METRICS)
def test_a_step_equals_that_of_one_process(results: Any, metric: str, case: str) -> None:
    expected = step(network(), loss_of(metric), whole(case))
    assert_same(results, f"{metric} {case}", expected)


@pytest.mark.parametrize("metric", METRICS)
def test_unless_asked_each_process_has_its_own_loss(results: Any, metric: str) -> None:
    own = [step(network(), loss_of(metric), share)[0].item() for share in shares("uneven")]
    assert [result[f"{metric} apart"].item() for result in results] == pytest.approx(own, rel=1e-12)
    together = step(network(), loss_of(metric), whole("uneven"))[0].item()
    assert min(abs(value - together) for value in own) > 1e-5


def test_a_loss_compiled_before_the_processes_met(results: Any) -> None:
    """Compiled code must notice the group: else each process would go on by itself, unseen."""
    expected = step(network(), loss_of("mIoU"), whole("uneven"))
    assert_same(results, "compiled", expected)
    own = [step(network(), loss_of("mIoU"), share)[0].item() for share in shares("uneven")]
    assert [result["alone"][0].item() for result in results] == pytest.approx(own, rel=1e-12)
    assert min(abs(x - expected[0].item()) for x in own) > 1e-5


def test_gradients_of_gradients(results: Any) -> None:
    loss = loss_of("mIoU", backend="reference")
    _, expected = curvature(loss, whole("uneven"), losses=WORLD)
    assert expected.any()
    found = torch.cat([result["curvature"][1] for result in results])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9 * float(expected.max()))


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of one."""
    dist.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
    )
    yield
    dist.destroy_process_group()


def test_a_single_process_has_the_plain_loss(alone: None) -> None:
    logits, target = samples.batch(0)
    found = samples.value_and_gradient(loss_of("mIoU", sync=True), logits, target)
    plain = samples.value_and_gradient(loss_of("mIoU"), logits, target)
    assert torch.equal(found[0], plain[0]) and torch.equal(found[1], plain[1])


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
