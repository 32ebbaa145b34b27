"""train_loop.py: many small batches make one step; mixed precision works on a CPU."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.engine import SimpleTrainer
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from auto_seg_loss.config import project_defaults
from auto_seg_loss.train_loop import TrainLoop


class Network(nn.Module):
    """A convolution, without batch norm, trained with cross entropy and a second loss."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone, self.sem_seg_head = nn.Identity(), nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, batch: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        logits = self.sem_seg_head(torch.stack([item["image"] for item in batch]))
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


def solver(*options: object) -> CfgNode:
    """Plain SGD with momentum at a constant rate."""
    cfg = project_defaults()
    fixed = ("BASE_LR", 0.1, "WEIGHT_DECAY", 0.0, "WARMUP_ITERS", 0, "GAMMA", 1.0, *options)
    cfg.SOLVER.merge_from_list(list(fixed))
    return cfg


def trained(size: int, *options: object, model: nn.Module | None = None) -> SimpleTrainer:
    loop = TrainLoop(solver(*options), model or Network(), batches(size))
    loop.train(0, 3)
    return loop


def weights(loop: SimpleTrainer) -> torch.Tensor:
    return nn.utils.parameters_to_vector(loop.model.parameters()).detach()


def history(loop: SimpleTrainer, name: str) -> list[float]:
    return [value for value, _ in loop.storage.history(name).values()]


def test_a_step_of_one_batch_is_detectron2s():
    model = Network()
    theirs = SimpleTrainer(
        model, batches(4), torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    )
    theirs.train(0, 3)
    ours = trained(4)
    assert torch.equal(weights(ours), weights(theirs))
    assert history(ours, "total_loss") == history(theirs, "total_loss")


@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_batches_are_one_batch_of_all_images(accumulate):
    whole, parts = trained(4), trained(4 // accumulate, "ACCUMULATE", accumulate)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=1e-5, atol=1e-7)
    for name in ("total_loss", "loss_sem_seg", "loss_other"):
        assert history(parts, name) == pytest.approx(history(whole, name), rel=1e-5)


def test_mixed_precision_on_a_cpu_computes_in_bfloat16():
    seen, model = [], Network()
    model.sem_seg_head.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    trained(4, "AMP.ENABLED", True, model=model)
    assert seen == [torch.bfloat16] * 3
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())


def test_a_loss_that_is_not_finite_stops_before_the_step():
    broken = copy.deepcopy(images(4))
    broken[3]["image"][0, 0, 0] = float("inf")
    halves = itertools.cycle([broken[:2], broken[2:]])
    loop = TrainLoop(solver("ACCUMULATE", 2), Network(), halves)
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

    plain = trained(2, "ACCUMULATE", 3)
    model = DistributedDataParallel(Network())
    model.register_comm_hook(None, counted)
    loop = trained(2, "ACCUMULATE", 3, model=model)
    assert exchanges == [0, 0, 0]
    torch.testing.assert_close(weights(loop), weights(plain))
