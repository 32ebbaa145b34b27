"""train_loop.py: many small batches make one step; mixed precision works on a CPU."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from detectron2.engine import SimpleTrainer
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from auto_seg_loss.train_loop import TrainLoop


class Network(nn.Module):
    """A convolution, without batch norm, trained with cross entropy and a second loss."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, batch: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        logits = self.conv(torch.stack([item["image"] for item in batch]))
        target = torch.stack([item["sem_seg"] for item in batch])
        loss = nn.functional.cross_entropy(logits.float(), target)
        return {"loss_sem_seg": loss, "loss_other": 0.1 * logits.float().square().mean()}


def images(count: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "image": torch.randn(3, 8, 8, generator=generator),
            "sem_seg": torch.randint(4, (8, 8), generator=generator),
        }
        for _ in range(count)
    ]


def batches(size: int):
    """Twelve images over and over, in batches."""
    endless = itertools.cycle(images(12))
    return iter(lambda: list(itertools.islice(endless, size)), None)


def trained(kind: type, size: int, steps: int = 3, **settings: object):
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loop = kind(model, batches(size), optimizer, **settings)
    loop.train(0, steps)
    return loop


def weights(loop: SimpleTrainer) -> torch.Tensor:
    return nn.utils.parameters_to_vector(loop.model.parameters()).detach()


def history(loop: SimpleTrainer, name: str) -> list[float]:
    return [value for value, _ in loop.storage.history(name).values()]


def test_a_step_of_one_batch_is_detectron2s():
    ours, theirs = trained(TrainLoop, 4), trained(SimpleTrainer, 4)
    assert torch.equal(weights(ours), weights(theirs))
    assert history(ours, "total_loss") == history(theirs, "total_loss")


@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_batches_are_one_batch_of_all_images(accumulate):
    whole = trained(TrainLoop, 4)
    parts = trained(TrainLoop, 4 // accumulate, accumulate=accumulate)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=1e-5, atol=1e-7)
    for name in ("total_loss", "loss_sem_seg", "loss_other"):
        assert history(parts, name) == pytest.approx(history(whole, name), rel=1e-5)


def test_mixed_precision_on_a_cpu_computes_in_bfloat16():
    seen = []
    model = Network()
    model.conv.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    TrainLoop(model, batches(4), optimizer, mixed_precision=True).train(0, 2)
    assert seen == [torch.bfloat16] * 2
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())


def test_a_loss_that_is_not_finite_stops_before_the_step():
    model = Network()
    broken = copy.deepcopy(images(4))
    broken[3]["image"][0, 0, 0] = float("inf")
    loop = TrainLoop(
        model,
        itertools.cycle([broken[:2], broken[2:]]),
        torch.optim.SGD(model.parameters(), lr=1),
        accumulate=2,
    )
    with pytest.raises(FloatingPointError, match="infinite or NaN at iteration=0"):
        loop.train(0, 1)
    assert torch.equal(weights(loop), nn.utils.parameters_to_vector(Network().parameters()))


@pytest.fixture
def one_process(tmp_path):
    """A process group of this process alone."""
    meeting = f"file://{tmp_path / 'meeting-point'}"
    distributed.init_process_group("gloo", init_method=meeting, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_processes_exchange_gradients_once_a_step(one_process):
    exchanges = []

    def counted(state, bucket):  # torch reads annotations, and does not take them as text
        exchanges.append(bucket.index())
        future = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future

    plain = trained(TrainLoop, 2, accumulate=3)
    model = DistributedDataParallel(Network())
    model.register_comm_hook(None, counted)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loop = TrainLoop(model, batches(2), optimizer, accumulate=3)
    loop.train(0, 3)
    assert exchanges == [0, 0, 0]
    torch.testing.assert_close(weights(loop), weights(plain))
