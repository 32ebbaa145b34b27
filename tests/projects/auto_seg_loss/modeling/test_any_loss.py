"""modeling/any_loss.py: what holds for every head, whatever the network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

HEAD = "MODEL.SEM_SEG_HEAD."
SEARCHED = (HEAD + "LOSS_TYPE", "auto_seg_loss", HEAD + "LOSS_SPEC", "voc-miou-bezier")
AUXILIARY = ("MODEL.AUX_HEAD.ENABLED", True, "MODEL.AUX_HEAD.CONVS_DIM", 16)


class Spy(nn.Module):
    """A loss that keeps what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        self.calls.append((logits, target))
        return logits.square().mean() + 1  # not 0 at the start, where logits are small


@pytest.mark.parametrize("size", [(64, 64), (33, 41)], ids=str)
def test_the_loss_sees_logits_at_full_size_and_the_target(make_network, make_batch, size):
    model, spy, batch = make_network().train(), Spy(), make_batch(2, *size)
    model.sem_seg_head.loss = spy
    losses = model(batch)
    losses["loss_sem_seg"].backward()
    ((logits, target),) = spy.calls
    assert list(losses) == ["loss_sem_seg"]
    assert logits.shape == (2, 7, *target.shape[-2:])
    labels = torch.stack([item["sem_seg"] for item in batch])
    assert torch.equal(target[:, : size[0], : size[1]], labels)


def test_a_searched_loss_moves_every_weight(make_network, make_batch):
    model = make_network(*SEARCHED, *AUXILIARY).train()
    losses = model(make_batch())
    assert list(losses) == ["loss_sem_seg", "loss_sem_seg_aux"]
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_auxiliary_head_has_the_same_loss_times_its_weight_in_float32(make_network, make_batch):
    model, spy = make_network(*AUXILIARY).train(), Spy()
    model.sem_seg_head.loss = spy
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(make_batch())
        sum(losses.values()).backward()
    (main, target), (second, same_target) = spy.calls
    assert target is same_target and second.shape == main.shape
    assert main.dtype == second.dtype == torch.float32
    torch.testing.assert_close(losses["loss_sem_seg_aux"], 0.4 * (second.square().mean() + 1))
    torch.testing.assert_close(losses["loss_sem_seg"], main.square().mean() + 1)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
